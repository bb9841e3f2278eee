//! containerd without Kubernetes: `ctr` of 1.6 and 1.7, with `--runc-binary`.

use crate::lab::{Lab, Output, RUNTIMES, Tree};
use crate::setup::Cgroups;

/// A containerd of one Debian, in a lab with root's Claude login.
struct Ctr {
    lab: Lab,
    version: &'static str,
    token: String,
    /// What containers are named after: cgroups are the machine's.
    unique: String,
}

/// What an agent finds in the container.
const SHOW: &str = "echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(cat ~/.claude.json)";

const ALL: &str = "0 <CLAUDE> <CLAUDE> {\"hasCompletedOnboarding\":true}";

impl Ctr {
    /// Starts both versions, one after the other.
    fn each(name: &str) -> impl Iterator<Item = Self> {
        [(Tree::Debian12, "1.6.20"), (Tree::Debian13, "1.7.24")].into_iter().filter_map(move |(tree, version)| {
            let lab = Lab::on(tree, &format!("ctr{}-{name}", &version[..3]))?;
            let token = lab.token("CLAUDE");
            lab.login("claude", &token);
            lab.containerd();
            let said = lab.ok("containerd --version");
            assert!(said.contains(version), "{said}");
            let ctr = Self { unique: lab.unique(), lab, version, token };
            ctr.configure("");
            Some(ctr)
        })
    }

    /// Writes Keyslip's configuration.
    fn configure(&self, more: &str) {
        self.lab.configure(&format!("{more}\n[engines.containerd]\nversion = \"{}\"\n", self.version));
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.unique)
    }

    /// `ctr run` by the shim, up to the image.
    fn run(runtime: &str, asked: &str) -> String {
        let ask = if asked.is_empty() { String::new() } else { format!("--annotation dev.keyslip.agents={asked}") };
        format!("ctr run --runc-binary /usr/libexec/keyslip/containerd/{runtime} {ask}")
    }

    /// Starts a container of the image `bb` that asks and sleeps.
    #[track_caller]
    fn start(&self, runtime: &str, name: &str, options: &str) {
        self.start_image(runtime, name, options, "bb");
    }

    #[track_caller]
    fn start_image(&self, runtime: &str, name: &str, options: &str, image: &str) {
        let name = self.name(name);
        self.lab
            .ok(&format!("{} -d {options} localhost/{image}:latest {name} sleep 1000", Self::run(runtime, "claude")));
    }

    /// Makes an image of the lab's root file system; `config` are its settings.
    #[track_caller]
    fn image(&self, name: &str, config: &str) {
        self.lab.ok(&format!(
            "$REPO/tests/lab/archive $W/image.tar localhost/{name}:latest '{config}' >$W/{name}.tar; ctr images import $W/{name}.tar"
        ));
    }

    /// Runs a script, which has no single quotes in it. On a busy machine ctr 1.7 now and then loses what a
    /// process has written, with any runtime, and this asks again then.
    #[track_caller]
    fn exec_with(&self, name: &str, options: &str, script: &str) -> String {
        let exec = format!(
            "ctr {options} --exec-id e$RANDOM$RANDOM {} sh -c '{script}; echo; echo END' || true",
            self.name(name)
        );
        for _ in 0..5 {
            let output = self.lab.sh(&exec);
            if let Some(said) = output.text().strip_suffix("END") {
                return said.trim().to_owned();
            }
            assert!(output.stderr.is_empty(), "{exec}: {output}");
        }
        panic!("{exec}: ctr says nothing");
    }

    #[track_caller]
    fn exec(&self, name: &str, script: &str) -> String {
        self.exec_with(name, "task exec", script)
    }

    /// The variable of the main process.
    fn main(&self, name: &str) -> String {
        let pid = format!("ctr task ls | grep '^{} ' | awk '{{print $2}}'", self.name(name));
        self.lab.ok(&format!("tr '\\0' '\\n' </proc/$({pid})/environ | grep ^CLAUDE_CODE"))
    }

    /// Ends and removes a container of a containerd namespace.
    #[track_caller]
    fn remove_in(&self, namespace: &str, name: &str) {
        let name = self.name(name);
        self.lab.ok(&format!(
            "ctr() {{ /usr/bin/ctr -n {namespace} \"$@\"; }}; ctr task kill -s 9 {name}
            for i in $(seq 100); do ctr task ls | grep -q '^{name} .*STOPPED' && break; sleep 0.05; done
            ctr task rm {name} 2>/dev/null || true; ctr c rm {name}"
        ));
    }

    #[track_caller]
    fn remove(&self, name: &str) {
        self.remove_in("default", name);
    }

    #[track_caller]
    fn assert_nothing_left(&self, what: &str) {
        self.lab.assert_nothing_left(&format!("containerd {}: {what}", self.version));
    }
}

#[test]
fn containers_of_every_kind_are_authenticated() {
    for ctr in Ctr::each("kinds") {
        for runtime in RUNTIMES {
            kinds(&ctr, runtime);
            foreground(&ctr, runtime);
        }
        refused(&ctr);
        labels(&ctr);
        namespaces(&ctr);
    }
}

fn kinds(ctr: &Ctr, runtime: &str) {
    // ctr 1.6 has no `--user`, so the image says it.
    ctr.image("dev", r#"{"Env":["PATH=/bin"],"User":"dev"}"#);
    let cases = [
        ("plain", "bb", "", ALL.to_owned(), "<CLAUDE>"),
        ("user", "dev", "", ALL.replacen('0', "1000", 1), "<CLAUDE>"),
        ("readonly", "bb", "--read-only", ALL.to_owned(), "<CLAUDE>"),
        ("own", "bb", "--env CLAUDE_CODE_OAUTH_TOKEN=own", ALL.replacen("<CLAUDE>", "own", 1), "own"),
    ];
    for (name, image, options, all, variable) in cases {
        let what = format!("{} {runtime} {name}", ctr.version);
        ctr.start_image(runtime, name, options, image);
        assert_eq!(ctr.exec(name, SHOW), all, "{what}");
        assert_eq!(ctr.main(name), format!("CLAUDE_CODE_OAUTH_TOKEN={variable}"), "{what}: main process");
        // Another user has the variable; the file is its owner's.
        let other = ctr.exec_with(
            name,
            "task exec --user 1001",
            "echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude 2>&1",
        );
        assert_eq!(
            other,
            format!("1001 {variable}\ncat: can't open '/run/secrets/claude': Permission denied"),
            "{what}"
        );
        ctr.remove(name);
        ctr.assert_nothing_left(&what);
    }
}

fn foreground(ctr: &Ctr, runtime: &str) {
    let run = Ctr::run(runtime, "claude");
    let output = ctr.lab.sh(&format!(
        "{run} --rm localhost/bb:latest {} sh -c 'cat /run/secrets/claude; sleep 0.2; exit 5'",
        ctr.name("fore")
    ));
    assert_eq!((output.code(), output.text()), (Some(5), "<CLAUDE>"), "{} {runtime}: {output}", ctr.version);
    ctr.assert_nothing_left("foreground");
}

/// ctr shows one sentence, and doing what it says helps.
fn refused(ctr: &Ctr) {
    ctr.lab.login_account("claude", "work", &ctr.lab.token("WORK"));
    let run = |runtime: &str| -> Output {
        let name = ctr.name("refused");
        ctr.lab.sh(&format!(
            "{} --rm localhost/bb:latest {name} cat /run/secrets/claude",
            Ctr::run(runtime, "claude@work")
        ))
    };
    for runtime in RUNTIMES {
        let what = format!("{} {runtime}", ctr.version);
        let output = run(runtime);
        assert_eq!((output.code(), output.stdout.as_str()), (Some(1), ""), "{what}: {output}");
        let said = output.stderr.trim();
        assert!(said.lines().count() == 1 && said.matches("keyslip: container").count() == 1, "{what}: {output}");
        assert!(said.contains("containerd asks for claude@work, which no [[allow]] rule permits"), "{what}: {output}");
        let (file, rule) = said.split_once("write into ").and_then(|(_, rest)| rest.split_once(": ")).expect(said);
        ctr.lab.ok("mkdir -p /etc/keyslip/conf.d");
        ctr.lab.write(file, &rule.as_bytes()[..=rule.rfind(']').expect(said)]);
        let output = run(runtime);
        assert_eq!(output.text(), "<WORK>", "{what}: {output}");
        ctr.lab.ok("rm -r /etc/keyslip/conf.d");
        assert_eq!(ctr.lab.ok("ctr c ls -q"), "", "{what}");
        ctr.assert_nothing_left(&what);
    }
}

/// An image's labels and variables are nobody's word.
fn labels(ctr: &Ctr) {
    let labels = r#""Labels":{"dev.keyslip.agents":"claude"}"#;
    ctr.image("labelled", &format!(r#"{{"Env":["PATH=/bin","dev.keyslip.agents=claude"],"Cmd":["sh"],{labels}}}"#));
    for runtime in RUNTIMES {
        let name = ctr.name("labelled");
        let output = ctr.lab.sh(&format!(
            "{} --rm localhost/labelled:latest {name} sh -c 'env | grep -c OAUTH; ls /run/secrets; sleep 0.2'",
            Ctr::run(runtime, "")
        ));
        assert_eq!(output.text(), "0", "{} {runtime}: {output}", ctr.version);
        ctr.assert_nothing_left("labels");
    }
}

/// One name in two of containerd's namespaces is two containers.
fn namespaces(ctr: &Ctr) {
    let accounts = "[[allow]]\nengine = \"containerd\"\nagents = [\"claude\"]\naccounts = [\"work\", \"default\"]\n";
    ctr.configure(accounts);
    ctr.lab.ok("ctr -n other images import $W/bb.tar");
    for runtime in RUNTIMES {
        let what = format!("{} {runtime}", ctr.version);
        ctr.start(runtime, "twin", "");
        let run = Ctr::run(runtime, "claude@work").replacen("ctr", "ctr -n other", 1);
        ctr.lab.ok(&format!("{run} -d localhost/bb:latest {} sleep 1000", ctr.name("twin")));
        let other = || ctr.exec_with("twin", "-n other task exec", SHOW);
        assert_eq!((ctr.exec("twin", SHOW), other()), (ALL.to_owned(), ALL.replace("CLAUDE", "WORK")), "{what}");
        ctr.remove("twin");
        assert_eq!(other(), ALL.replace("CLAUDE", "WORK"), "{what}: after the end of the other");
        ctr.remove_in("other", "twin");
        ctr.assert_nothing_left(&what);
    }
    ctr.configure("");
}

#[test]
fn containers_live_through_restarts_of_containerd_and_checkpoints() {
    for ctr in Ctr::each("life") {
        let _cgroups = Cgroups;
        restarts(&ctr);
        checkpoint(&ctr);
    }
}

/// containerd ends and comes again; the shims of other containers are killed.
fn restarts(ctr: &Ctr) {
    let version = ctr.version;
    let stays = RUNTIMES.map(|runtime| format!("stays-{runtime}"));
    let orphans = RUNTIMES.map(|runtime| ctr.name(&format!("orphan-{runtime}"))).join(" ");
    for (runtime, name) in RUNTIMES.iter().zip(&stays) {
        ctr.start(runtime, name, "");
        ctr.start(runtime, &format!("orphan-{runtime}"), "");
    }
    ctr.lab.restart("containerd");
    for name in &stays {
        assert_eq!(ctr.exec(name, SHOW), ALL, "{version} {name}: after a restart of containerd");
        assert_eq!(ctr.main(name), "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{version} {name}");
    }
    // containerd sees that a shim is gone, and removes what it can by the runtime's `delete`.
    ctr.lab.ok(&format!(
        "for name in {orphans}; do pid=$(ctr task ls | grep \"^$name \" | awk '{{print $2}}'); kill -KILL $(awk '/^PPid/{{print $2}}' /proc/$pid/status); done
        for i in $(seq 200); do [ \"$(keyslip list --json | jq length)\" = 2 ] && break; sleep 0.1; done
        for name in {orphans}; do ctr task rm -f $name 2>/dev/null || true; ctr c rm $name; done"
    ));
    assert_eq!(ctr.lab.ok("keyslip list --json | jq length"), "2", "{version}: without their shims");
    for name in &stays {
        assert_eq!(ctr.exec(name, SHOW), ALL, "{version} {name}: beside what ended");
        ctr.remove(name);
    }
    ctr.assert_nothing_left("restarts");
}

/// With a criu that works on this kernel: the image of the memory holds what the memory held, and nothing
/// else of the checkpoint holds it. A restored container has the login of today as a file.
fn checkpoint(ctr: &Ctr) {
    let what = ctr.version;
    ctr.start("runc", "source", "");
    let source = ctr.name("source");
    let output = ctr.lab.sh(&format!("ctr task checkpoint --image-path $W/images {source}"));
    if ctr.version.starts_with("1.6") {
        assert!(!output.succeeded(), "{what}: Debian 12 has no criu that works: {output}");
        assert_eq!(ctr.exec("source", SHOW), ALL, "{what}: a checkpoint that failed");
        ctr.remove("source");
        return ctr.assert_nothing_left(what);
    }
    assert!(output.succeeded(), "{what}: {output}");
    ctr.lab.ok("cd $W/images; for f in *.tar.gz.img; do mkdir $f.d; tar -C $f.d -xzf $f; done; ls *.d | grep -q .");
    let mut holding = ctr.lab.leaks(&["$W/images"], &ctr.token);
    holding.retain(|path| !path.contains("/pages-"));
    assert_eq!(holding, [""; 0], "{what}: beside the memory");
    ctr.lab.ok(&format!("rm -r $W/images; ctr c checkpoint --rw --task --image {source} localhost/checkpoint:1"));
    assert_eq!(ctr.exec("source", SHOW), ALL, "{what}: after a checkpoint");
    ctr.remove("source");
    ctr.assert_nothing_left(what);

    ctr.lab.login("claude", &ctr.lab.token("TODAY"));
    let restored = ctr.name("restored");
    let restore = format!("ctr c restore --rw --live {restored} localhost/checkpoint:1");
    // Whose image that is, a version does not say; criu misses the mounts.
    assert!(!ctr.lab.sh(&restore).succeeded(), "{what}: restored by the annotations of an image");
    ctr.lab.ok(&format!("ctr task rm -f {restored} 2>/dev/null || true; ctr c rm {restored}"));
    ctr.assert_nothing_left(what);
    ctr.configure("trust_annotations = true");
    ctr.lab.ok(&restore);
    assert_eq!(ctr.exec("restored", SHOW), ALL.replace("CLAUDE", "TODAY"), "{what}: restored");
    assert_eq!(ctr.main("restored"), "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{what}: what its memory held");
    ctr.remove("restored");
    ctr.configure("");
    ctr.lab.ok("ctr images rm --sync localhost/checkpoint:1; ctr content prune references >/dev/null 2>&1 || true");
    ctr.assert_nothing_left(what);
}
