//! Starting a container by one of the ways in, from a bundle that is made anew for each start, and saying what became of it.

use crate::lab::{Lab, Output};

/// How a container gets its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The shim, asked by annotation.
    Shim,
    /// A `createRuntime` hook alone, asked by annotation.
    CreateRuntime,
    /// `precreate` and `createRuntime`, asked by annotation.
    Precreate,
    /// A `createRuntime` hook, asked by devices, as a CDI file has it.
    Device,
}

/// What is to become of a start.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The container has its credentials, where its user's home directory is.
    Starts,
    /// It does not start, and this is said.
    Refused(&'static str),
    /// The runtime itself refuses or never ends; our part of it does.
    Runtimes,
    /// It starts, and has nothing.
    Nothing,
    /// It starts or not, but ends by itself, and no program of ours is killed by a signal.
    Ends,
}

/// Starts of one way in.
pub struct Start<'a> {
    lab: &'a Lab,
    way: Way,
    rootless: bool,
}

const HOOK: &str = "/usr/libexec/keyslip/keyslip-hook";

/// What the container runs: both credentials, where an agent would look for them.
const SHOW: &str = "cat /run/secrets/claude; echo; cat $HOME/.codex/auth.json";

impl<'a> Start<'a> {
    /// Logs in, with `<CLAUDE>` and `<CODEX>`, and makes a small root file system `$W/small`. A user's containers are started
    /// in the user namespace of podman, as podman does.
    pub fn new(lab: &'a Lab, way: Way, rootless: bool) -> Self {
        let codex = format!("sk-FAKE-codex-{}", lab.unique());
        lab.mark("CODEX", &codex);
        for (agent, credential) in [("claude", lab.token("CLAUDE")), ("codex", codex)] {
            if rootless { lab.user_login(agent, &credential) } else { lab.login(agent, &credential) }
        }
        Self::small(lab);
        if rootless {
            lab.ok("chown labuser: $W; chown -R labuser: $W/small");
        }
        Self { lab, way, rootless }
    }

    fn small(lab: &Lab) {
        lab.ok("cd $W; mkdir -p small/{bin,dev,etc,proc,run,sys,tmp,home/dev,root}; cp busybox small/bin/busybox
            for applet in sh cat env sleep ls; do ln -sf busybox small/bin/$applet; done
            cp rootfs/etc/{passwd,group} small/etc/; [ -e config.json ] || runc spec");
    }

    /// Starts of another way in, in a lab that has been made ready by the first; its logins stay as they are.
    pub fn again(lab: &'a Lab, way: Way) -> Self {
        lab.mark("CODEX", "sk-FAKE-again");
        lab.login("codex", "sk-FAKE-again");
        Self::small(lab);
        Self { lab, way, rootless: false }
    }

    /// The home directory of the container's user, below the root.
    pub fn home(&self) -> &'static str {
        "home/dev"
    }

    /// The filter of jq that turns what `runc spec` writes into the bundle's configuration.
    fn configuration(&self) -> String {
        let hook = |stage: &str, more: &[&str]| {
            let engine = if self.way == Way::Device { "cdi" } else { "bare" };
            let mut args = vec!["keyslip-hook", stage, "--engine", engine, "--home", "/home/labuser"];
            args.extend(more);
            format!(r#"[{{path:"{HOOK}",args:{args:?},env:["PATH=/usr/bin:/bin"],timeout:10}}]"#)
        };
        let hooks = |more: &[&str]| {
            format!(".hooks={{createRuntime:{},poststop:{}}}", hook("createRuntime", more), hook("poststop", &[]))
        };
        let ask = r#".annotations={"dev.keyslip.agents":"claude codex"}"#;
        let how = match self.way {
            Way::Shim => ask.to_owned(),
            Way::CreateRuntime | Way::Precreate => format!("{ask} | {}", hooks(&[])),
            Way::Device => hooks(&["--device", "claude", "--device", "codex"]),
        };
        format!(
            r#".process.terminal=false | .process.args=["sh","-c",$show] | .process.user={{uid:1000,gid:1000}}
            | .process.env=["PATH=/bin"] | .process.rlimits=[] | .root={{path:($w+"/b/rootfs"),readonly:false}}
            | .linux.namespaces=[{{type:"pid"}},{{type:"ipc"}},{{type:"uts"}},{{type:"mount"}},{{type:"network"}}]
            | .mounts|=map(select(.type!="cgroup")) | del(.linux.resources) | .linux.cgroupsPath="/{}" | {how}"#,
            self.lab.unique()
        )
    }

    /// Makes the bundle `$W/b` anew; `script` then runs in its root file system.
    pub fn prepare(&self, runtime: &str, script: &str) {
        self.prepare_with(runtime, script, ".");
    }

    /// The same, with a last filter of jq for the configuration.
    pub fn prepare_with(&self, _runtime: &str, script: &str, edit: &str) {
        // Root of podman's user namespace is labuser, the others are those of the range that labuser has.
        let owners = match self.rootless {
            true => {
                "chown -hR 4100:4100 .; find . -path './home/dev*' -exec chown -h 300999:300999 {} +; chown 4100:4100 .."
            }
            false => "chown -hR 1000:1000 home",
        };
        let more = if self.rootless { "| del(.linux.cgroupsPath)" } else { "" };
        self.lab.write("edit", format!("{} {more} | {edit}", self.configuration()).as_bytes());
        self.lab.write("show", SHOW.as_bytes());
        self.lab.ok(&format!(
            "cd $W; rm -rf b /var/lib/keyslip/audit.log /home/labuser/.local/state/keyslip/audit.log
            mkdir b; cp -a small b/rootfs; jq -c --arg w $W --rawfile show show -f edit config.json >b/config.json
            cd b/rootfs; {script}
            {owners}"
        ));
    }

    /// Runs a script as whoever starts containers.
    pub fn sh(&self, script: &str) -> Output {
        match self.rootless {
            true => self.lab.as_user(&format!("podman unshare bash -eu <<'END'\n{script}\nEND")),
            false => self.lab.sh(script),
        }
    }

    /// Starts the container, waits for its end, and cleans up what the runtime left.
    pub fn run(&self, runtime: &str) -> Output {
        let options = match (self.rootless, runtime) {
            (true, "crun") => "--cgroup-manager=disabled --root /run/user/4100/crun",
            (true, _) => "--rootless=true --root /run/user/4100/runc",
            _ => "",
        };
        let program = if self.way == Way::Shim { format!("$BARE/{runtime}") } else { runtime.to_owned() };
        let before = match self.way {
            Way::Precreate => {
                format!(
                    "timeout 10 {HOOK} precreate --engine bare <$W/b/config.json >$W/b/new; mv $W/b/new $W/b/config.json"
                )
            }
            _ => String::new(),
        };
        self.sh(&format!(
            "{before}
            code=0; timeout -k 2 20 {program} {options} run --bundle $W/b k </dev/null || code=$?
            [ $code = 0 ] || {program} {options} delete --force k >/dev/null 2>&1 || true
            exit $code"
        ))
    }

    /// Sweeps what `precreate` made for a container that the runtime then refused, as if that had been long ago.
    pub fn sweep(&self) {
        if self.way == Way::Precreate {
            self.sweep_now();
        }
    }

    fn sweep_now(&self) {
        let dir = if self.rootless { "/run/user/4100/keyslip" } else { "/run/keyslip" };
        let output = self.sh(&format!(
            "[ -d {dir} ] || exit 0
            for record in $(find {dir} -name record.json); do
                jq -c '.created=\"2026-01-01T00:00:00Z\"' $record >$W/aged; cat $W/aged >$record
            done
            find {dir} -type d -exec touch -d '1 hour ago' {{}} +; keyslip sweep"
        ));
        assert!(output.succeeded(), "{output}");
    }

    /// The same, whatever becomes of it, as long as it ends.
    #[track_caller]
    pub fn run_again(&self, runtime: &str) {
        let output = self.run(runtime);
        assert!(![Some(124), Some(137)].contains(&output.code()), "it never ended: {output}");
    }

    /// Starts the prepared bundle and asserts what becomes of it.
    #[track_caller]
    pub fn becomes(&self, runtime: &str, outcome: Outcome, what: &str) {
        match outcome {
            Outcome::Starts => {
                let output = self.run(runtime);
                assert!(output.succeeded(), "{what}: {output}");
                let has_all = output.stdout.contains("<CLAUDE>") && output.stdout.contains("<CODEX>");
                assert!(has_all && !output.stdout.contains("HOST-ONLY"), "{what}: {output}");
            }
            Outcome::Refused(sentence) => {
                let output = self.run(runtime);
                assert!(!output.succeeded() && output.code() != Some(124), "{what}: it was to be refused: {output}");
                assert!(output.stdout.is_empty(), "{what}: it ran: {output}");
                let reason = self.sh("keyslip status --json | jq -r '.problems[-1].reason'");
                assert!(reason.text().contains(sentence), "{what}: {reason}");
            }
            Outcome::Nothing => {
                let output = self.run(runtime);
                assert!(output.code() == Some(1) && !output.stdout.contains('<'), "{what}: {output}");
            }
            Outcome::Ends => {
                let output = self.run(runtime);
                assert!(output.code().is_some_and(|code| code < 124 || code == 255), "{what}: {output}");
            }
            Outcome::Runtimes => {
                // What every way in has in common, asked by annotation.
                let plan = self.sh(&format!(
                    "jq -c '.annotations={{\"dev.keyslip.agents\":\"claude codex\"}}' $W/b/config.json |
                        timeout 10 {HOOK} precreate --engine bare --home /home/labuser >/dev/null"
                ));
                self.sweep_now();
                assert!(plan.succeeded(), "{what}: {plan}");
            }
        }
    }
}
