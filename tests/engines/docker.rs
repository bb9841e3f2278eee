//! docker, the daemon: 20.10 with a request mount, 26.1 with an annotation.

mod daemon;
mod images;
mod life;

use crate::lab::{Lab, Output, Tree};

/// A docker of one Debian, in a lab with root's Claude login.
struct Docker {
    lab: Lab,
    version: &'static str,
    token: String,
    /// What asks for Claude on its command line.
    ask: &'static str,
}

const RUNTIME: &str = r#""runtimes": {"keyslip": {"path": "/usr/libexec/keyslip/docker/runc"}}"#;

/// Debian, version, and what asks: there is no `--annotation` before 24.
const BOTH: [(Tree, &str, &str); 2] = [
    (Tree::Debian12, "20.10.24", "-v $(keyslip request claude):/request:ro"),
    (Tree::Debian13, "26.1.5", "--annotation dev.keyslip.agents=claude"),
];

/// What an agent finds in the container: who it is, variable, secret file, settings.
const SHOW: &str = "echo $(id -u) $HOME $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(cat ~/.claude.json)";

/// What it finds as root.
const ALL: &str = "0 /root <CLAUDE> <CLAUDE> {\"hasCompletedOnboarding\":true}";

/// The variable of the main process.
const MAIN: &str = "tr \"\\0\" \"\\n\" </proc/1/environ | grep ^CLAUDE";

impl Docker {
    /// Starts both versions, one after the other; `settings` are members of `daemon.json`.
    fn each(name: &str, settings: &str) -> impl Iterator<Item = Self> {
        BOTH.into_iter().filter_map(move |(tree, version, ask)| {
            let lab = Lab::on(tree, &format!("docker{}-{name}", &version[..2]))?;
            let token = lab.token("CLAUDE");
            lab.login("claude", &token);
            let docker = Self { lab, version, token, ask };
            docker.configure("");
            docker.settings(settings);
            docker.lab.docker();
            let said =
                docker.ok("docker version --format '{{.Server.Version}} {{.Client.Version}}' | sed 's/+[^ ]*//g'");
            assert_eq!(said, format!("{version} {version}"));
            Some(docker)
        })
    }

    /// Writes the daemon's configuration.
    fn settings(&self, more: &str) {
        let comma = if more.is_empty() { "" } else { ", " };
        self.lab.write("/etc/docker/daemon.json", format!("{{{RUNTIME}{comma}{more}}}").as_bytes());
    }

    /// Ends the daemon and starts it with other settings.
    #[track_caller]
    fn restart_with(&self, settings: &str) {
        self.settings(settings);
        self.lab.restart("docker");
    }

    /// Writes Keyslip's configuration.
    fn configure(&self, more: &str) {
        self.lab.configure(&format!("{more}\n[engines.docker]\nversion = \"{}\"\n", self.version));
    }

    /// The script, with Debian's own client: the machine may have a newer one before it.
    fn script(script: &str) -> String {
        format!("docker() {{ /usr/bin/docker \"$@\"; }}\n{script}")
    }

    #[track_caller]
    fn ok(&self, script: &str) -> String {
        self.lab.ok(&Self::script(script))
    }

    fn sh(&self, script: &str) -> Output {
        self.lab.sh(&Self::script(script))
    }

    /// The command that runs a container that asks. Its process would not notice a TERM.
    fn run(&self) -> String {
        format!("docker run --runtime keyslip --network none --stop-signal KILL {}", self.ask)
    }

    /// The same for another account or agent.
    fn run_for(&self, asked: &str) -> String {
        self.run().replace("claude", asked)
    }

    /// Starts a container that asks and sleeps.
    #[track_caller]
    fn start(&self, name: &str, options: &str) {
        self.ok(&format!("{} -d --name {name} {options} localhost/bb sleep 1000", self.run()));
    }

    /// Runs a script, which has no single quotes in it.
    #[track_caller]
    fn exec(&self, container: &str, script: &str) -> String {
        self.ok(&format!("docker exec {container} sh -c '{script}'"))
    }

    /// Waits until the daemon says so of a container.
    #[track_caller]
    fn until(&self, container: &str, format: &str, expected: &str) {
        self.ok(&format!(
            "for i in $(seq 150); do [ \"$(docker inspect -f '{format}' {container})\" = '{expected}' ] && exit; sleep 0.1; done
            docker inspect {container}; exit 1"
        ));
    }

    #[track_caller]
    fn remove(&self, containers: &str) {
        self.ok(&format!("docker rm -f {containers}"));
        self.assert_nothing_left(containers);
    }

    /// Asserts it of all but the paths that ask, which last until the next boot.
    #[track_caller]
    fn assert_nothing_left(&self, what: &str) {
        self.ok("rm -rf /run/keyslip/request");
        self.lab.assert_nothing_left(&format!("docker {}: {what}", self.version));
    }
}
