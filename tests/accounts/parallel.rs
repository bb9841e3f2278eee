//! Fifty processes at once that log in and out, switch, look and deliver: nobody finds half a file or
//! half a value, and what was reported as stored is there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lab::{Lab, Output};
use crate::session::{Session, user};

/// What many processes do to one store, and what of it stays.
struct Crowd<'a> {
    lab: &'a Lab,
    by_user: bool,
    store: &'static str,
    /// Scripts of jobs, each run in a process of its own.
    jobs: Vec<String>,
    /// Logins of which it is known who wrote them last: account, mark.
    alone: Vec<(String, String)>,
}

/// Functions for the jobs. A job waits for the lock that is let go when all are there. `reading` prints
/// what a new container that asks for `$1` would find.
const FUNCTIONS: &str = r#"
login() { keyslip auth login claude --account $1 --store $STORE <$W/tokens/$2 || echo "FAILED login $1"; }
logout() { keyslip auth logout claude --account $1; }
states() { keyslip auth status claude --json; }
reading() { sed "s/ASKED/$1/" $W/b/config.json | $AS_ENGINE /usr/libexec/keyslip/keyslip-hook precreate --engine podman --home $HOME |
    jq -r '.mounts[] | select(.destination == "/run/secrets") | .source' | while read -r dir; do cat $dir/claude || echo nothing; echo; done; }
"#;

impl<'a> Crowd<'a> {
    fn new(lab: &'a Lab, by_user: bool, store: &'static str) -> Self {
        let rule = "[engines.podman]\ntrust_annotations = true\n[[allow]]\nagents = [\"claude\"]\naccounts = [\"*\"]\n";
        let (config, owner) =
            if by_user { ("/home/labuser/.config/keyslip", "labuser") } else { ("/etc/keyslip", "root") };
        lab.write(&format!("{config}/keyslip.toml"), rule.as_bytes());
        lab.bundle(
            "b",
            &format!(
                r#".annotations={{"dev.keyslip.agents":"ASKED"}} | .root.path="{}/b/rootfs""#,
                lab.path().display()
            ),
        );
        // Containers have a root file system each; here many share one, so that the mountpoints are there.
        lab.ok(&format!(
            "mkdir -p $W/tokens $W/out $W/b/rootfs/run/secrets $W/b/rootfs/root/.claude; cd $W/b/rootfs/root
            touch .claude.json .claude/.credentials.json; chown -R {owner}: $W/out $W/b/rootfs; keyslip install tmpfs"
        ));
        Self { lab, by_user, store, jobs: Vec::new(), alone: Vec::new() }
    }

    fn run(&self, script: &str) -> Output {
        if self.by_user { self.lab.as_user(script) } else { self.lab.sh(script) }
    }

    fn script(&self, text: &str) -> String {
        // A user's engine calls hooks as root of a namespace.
        let engine = if self.by_user { "unshare -r" } else { "" };
        format!("STORE={}; AS_ENGINE='{engine}'\n{FUNCTIONS}\n{text}", self.store)
    }

    /// A token in the file `$W/tokens/NAME`, shown as `<NAME>`.
    fn token(&self, name: &str) {
        self.lab.write(&format!("tokens/{name}"), self.lab.token(name).as_bytes());
    }

    #[track_caller]
    fn before(&self, account: &str, name: &str) {
        self.token(name);
        let said = self.run(&self.script(&format!("login {account} {name}")));
        assert!(said.stdout.contains("stored"), "{said}");
    }

    fn job(&mut self, script: String) {
        self.jobs.push(script);
    }

    /// So many logins for accounts of their own.
    fn logins(&mut self, count: usize) {
        for number in 0..count {
            let (account, name) = (format!("a{number}"), format!("A{number}"));
            self.token(&name);
            self.job(format!("login {account} {name}"));
            self.alone.push((account, name));
        }
    }

    /// So many logins for the account `shared`, one after the other in each of the jobs.
    fn rivals(&mut self, jobs: usize) {
        for number in 0..jobs {
            for turn in 0..2 {
                self.token(&format!("S{number}{turn}"));
            }
            self.job(format!("login shared S{number}0; login shared S{number}1"));
        }
    }

    fn logged_out(&mut self, count: usize) {
        for number in 0..count {
            self.token(&format!("B{number}"));
            self.job(format!("login b{number} B{number}; logout b{number}"));
        }
    }

    /// Runs all jobs at once; what each said.
    fn at_once(&self) -> Vec<Output> {
        let jobs: String = self
            .jobs
            .iter()
            .enumerate()
            .map(|(number, job)| format!("( flock -s 9; exec 9>&-; {job} ) >$W/out/{number} 2>&1 &\n"))
            .collect();
        let all = self
            .run(&self.script(&format!("set +e; exec 9>$W/out/start; flock 9\n{jobs}\nsleep 0.3; flock -u 9; wait")));
        assert!(all.succeeded(), "{all}");
        (0..self.jobs.len()).map(|number| self.lab.sh(&format!("cat $W/out/{number}"))).collect()
    }

    fn states(&self) -> Value {
        let said = self.run(&self.script("states"));
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    #[track_caller]
    fn reading(&self, asked: &str) -> String {
        let said = self.run(&self.script(&format!("reading {asked}")));
        assert!(said.succeeded(), "{said}");
        said.text().to_owned()
    }
}

/// The accounts that are there, all of them valid.
#[track_caller]
fn accounts(states: &Value) -> BTreeSet<String> {
    let all = states.as_array().expect("a list");
    for login in all {
        assert_eq!(login["state"], "valid", "{login}");
    }
    all.iter().map(|login| login["account"].as_str().expect("an account").to_owned()).collect()
}

/// Checks what the jobs said: every status is whole, every value one that somebody stored.
#[track_caller]
fn check(crowd: &Crowd<'_>, outputs: &[Output]) {
    for (job, output) in crowd.jobs.iter().zip(outputs) {
        let said = output.text();
        assert!(!said.contains("FAILED") && !said.contains("nothing"), "{job}: {said}");
        if job.contains("states") {
            for states in serde_json::Deserializer::from_str(said).into_iter::<Value>() {
                accounts(&states.unwrap_or_else(|error| panic!("{job}: {error}: {said}")));
            }
        } else if job.contains("reading") {
            let whole = |line: &str| line.starts_with('<') && line.ends_with('>') && line.matches('<').count() == 1;
            assert!(!said.is_empty() && said.lines().filter(|line| !line.is_empty()).all(whole), "{job}: {said}");
        }
    }
}

/// Checks what is there afterwards: `stay` besides those who had an account of their own.
#[track_caller]
fn check_afterwards(crowd: &Crowd<'_>, stay: &[&str]) {
    let mut expected: BTreeSet<String> = stay.iter().map(|name| (*name).to_owned()).collect();
    expected.extend(crowd.alone.iter().map(|(account, _)| account.clone()));
    let mut there = accounts(&crowd.states());
    there.remove("contest");
    assert_eq!(there, expected);
    for (account, name) in &crowd.alone {
        assert_eq!(crowd.reading(&format!("claude@{account}")), format!("<{name}>"));
    }
    let last = crowd.reading("claude@shared");
    assert!(last.starts_with("<S"), "{last}");
    let dir = if crowd.by_user { "/home/labuser/.local/state/keyslip/tokens" } else { "/var/lib/keyslip/tokens" };
    let left = crowd.lab.ok(&format!(
        "ls -A {dir} | grep -vE '^(claude-oauth(@[a-z0-9]+)?.json|claude.account|\\.lock.*|\\.keyring-.*)$' || true"
    ));
    assert_eq!(left, "", "left behind");
}

#[test]
fn fifty_at_once_with_files() {
    let Some(lab) = Lab::new("accounts-fifty") else { return };
    let mut crowd = Crowd::new(&lab, false, "file");
    for (account, name) in [("default", "D"), ("x", "X"), ("y", "Y"), ("shared", "S"), ("contest", "C")] {
        crowd.before(account, name);
    }
    crowd.logins(14);
    crowd.rivals(8);
    crowd.logged_out(8);
    for _ in 0..4 {
        crowd.job(
            "for account in x y default x; do keyslip auth switch claude $account || echo FAILED; done".to_owned(),
        );
        crowd.job("for i in 1 2 3; do states; done".to_owned());
        crowd.job("for i in 1 2 3 4; do reading claude; done".to_owned());
        crowd.job("for i in 1 2 3 4; do reading claude@shared; done".to_owned());
        crowd.job("login contest C; logout contest || true".to_owned());
    }
    assert_eq!(crowd.jobs.len(), 50);
    let outputs = crowd.at_once();
    check(&crowd, &outputs);
    check_afterwards(&crowd, &["default", "x", "y", "shared"]);
    assert_eq!(crowd.reading("claude"), "<X>", "the last switch of each");
}

#[test]
fn twenty_at_once_with_a_keyring() {
    let Some(lab) = Lab::new("accounts-twenty") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let mut crowd = Crowd::new(&lab, true, "keyring");
    for (account, name) in [("default", "D"), ("x", "X"), ("shared", "S"), ("contest", "C")] {
        crowd.before(account, name);
    }
    crowd.logins(4);
    crowd.rivals(4);
    crowd.logged_out(3);
    for _ in 0..2 {
        crowd.job("for account in x default x; do keyslip auth switch claude $account || echo FAILED; done".to_owned());
        crowd.job("for i in 1 2; do states; done".to_owned());
        crowd.job("login contest C; logout contest || true".to_owned());
    }
    for _ in 0..3 {
        crowd.job("for i in 1 2 3; do reading claude@shared; done".to_owned());
    }
    assert_eq!(crowd.jobs.len(), 20);
    let outputs = crowd.at_once();
    check(&crowd, &outputs);
    check_afterwards(&crowd, &["default", "x", "shared"]);
    let stored = accounts(&crowd.states()).len().to_string();
    let items =
        format!("{} secret-tool search --all service dev.keyslip 2>/dev/null | grep -c '^secret'", crate::session::BUS);
    assert_eq!(user(&lab, &items), stored, "as many items as logins");
}
