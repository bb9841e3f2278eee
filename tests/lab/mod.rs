//! A lab for one test: engines, an installation and logins of its own, in a private mount namespace
//! (see the script `enter`). Nothing of the machine's own is changed.
//!
//! Credentials are *marked*: wherever a marked value turns up in the output of a command it is
//! replaced by its mark, so no assertion can print one, and tests compare with the mark: `<CLAUDE>`.

#![allow(dead_code, unused_imports)]

mod bare;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

pub use bare::Bare;

/// The low-level runtimes that everything is shown with.
pub const RUNTIMES: [&str; 2] = ["crun", "runc"];

/// Longest that one script may take.
const SECONDS: &str = "90";

/// The agents that ship with Keyslip, by name: the definitions of `config/agents`, without the probe's.
pub fn shipped() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/agents");
    let names = fs::read_dir(dir).expect("config/agents").flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".toml")?.to_owned())).collect();
    names.retain(|name| name != "keyslip-probe");
    names.sort();
    names
}

/// The Debian that a lab's engines are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The machine's own, Debian 12: podman 4.3, crun 1.8, runc 1.1.5, containerd 1.6, docker 20.10.
    Debian12,
    /// Debian 13: podman 5.4, crun 1.21, runc 1.1.15, containerd 1.7, docker 26.1. See `debian13`.
    Debian13,
}

impl Tree {
    /// Where it is; nothing for the machine's own.
    fn path(self) -> Option<PathBuf> {
        if self == Self::Debian12 {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/debian13");
        let output = Command::new(script).output().expect("tests/lab/debian13 starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    }
}

/// A private lab.
pub struct Lab {
    dir: TempDir,
    /// The process that keeps the namespace.
    door: Child,
    marks: RefCell<Vec<(String, String)>>,
    calls: Cell<u32>,
}

/// What a script did; marked values are replaced by their marks.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Standard output without the white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// What was said: both streams.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr)
    }
}

impl Lab {
    /// Opens a lab with the machine's own engines; nothing without root, and a line that says so.
    pub fn new(name: &str) -> Option<Self> {
        Self::on(Tree::Debian12, name)
    }

    /// Opens a lab with the engines of a Debian.
    pub fn on(tree: Tree, name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: {name} needs root for mount namespaces and engines");
            return None;
        }
        let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(repo.join("build/bin/keyslip-runtime").exists(), "build/bin is empty; run `make build` first");
        let dir = tempfile::Builder::new().prefix(&format!("keyslip-{name}-")).tempdir().expect("a directory");
        let log = File::create(dir.path().join("enter.log")).expect("a log");
        let mut door = Command::new(repo.join("tests/lab/enter"))
            .arg(dir.path())
            .args(["sh", "-c", "echo open; exec cat"])
            .env_clear()
            .envs([("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")])
            .envs(tree.path().map(|path| ("KEYSLIP_LAB_TREE", path)))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("tests/lab/enter starts");
        let mut word = [0_u8; 5];
        let open = door.stdout.as_mut().expect("a pipe").read_exact(&mut word);
        assert!(open.is_ok(), "the lab: {}", fs::read_to_string(dir.path().join("enter.log")).unwrap_or_default());
        Some(Self { dir, door, marks: RefCell::default(), calls: Cell::new(0) })
    }

    /// Starts docker's daemon, which the scripts' `docker` then reaches; it knows the image
    /// `localhost/bb`. Its configuration is `/etc/docker/daemon.json`, if a test has written one.
    #[track_caller]
    pub fn docker(&self) {
        self.ok("$REPO/tests/lab/daemon docker start");
    }

    /// Starts containerd, which the scripts' `ctr` then reaches, with its CRI; it knows the images
    /// `localhost/bb` and `localhost/pause:1`. Its configuration is `/etc/containerd/config.toml`.
    #[track_caller]
    pub fn containerd(&self) {
        self.ok("$REPO/tests/lab/daemon containerd start");
    }

    /// Ends a daemon and starts it again; its containers live on or not as it has it.
    #[track_caller]
    pub fn restart(&self, daemon: &str) {
        self.ok(&format!("$REPO/tests/lab/daemon {daemon} stop; $REPO/tests/lab/daemon {daemon} start"));
    }

    /// A path of the lab as this process sees it, for sockets.
    pub fn seen_from_outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.door.id()))
    }

    /// The directory that scripts know as `$W`.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a script with `bash -eu`, as root.
    pub fn sh(&self, script: &str) -> Output {
        self.run(&[], script, b"")
    }

    /// Runs a script that must succeed; its standard output.
    pub fn ok(&self, script: &str) -> String {
        let output = self.sh(script);
        assert!(output.succeeded(), "{script}\n{output}");
        output.text().to_owned()
    }

    /// Runs a script as an ordinary user, `labuser`, with an environment of a fresh login.
    pub fn as_user(&self, script: &str) -> Output {
        self.run(&user_prefix(self.path()), script, b"")
    }

    /// A command that is yet to get its program, in the lab, as root or as the ordinary user.
    pub fn command(&self, user: bool) -> Command {
        let mut command = self.nsenter();
        if user {
            command.args(user_prefix(self.path()));
        }
        command
    }

    fn nsenter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.door.id().to_string(), "-m", "-r", "-w"]).env_clear();
        command.envs(environment(self.path())).current_dir("/");
        command
    }

    fn run(&self, prefix: &[String], script: &str, input: &[u8]) -> Output {
        let call = self.calls.get();
        self.calls.set(call + 1);
        // Files, not pipes: a container keeps the descriptors it was given, and nobody waits for it.
        let logs = ["in", "out", "err"].map(|kind| self.path().join(format!("call{call}.{kind}")));
        fs::write(&logs[0], input).expect("standard input");
        let status = self
            .nsenter()
            .args(["timeout", "-k", "5", SECONDS])
            .args(prefix)
            .args(["bash", "-eu", "-c", script])
            .stdin(File::open(&logs[0]).expect("standard input"))
            .stdout(File::create(&logs[1]).expect("standard output"))
            .stderr(File::create(&logs[2]).expect("standard error"))
            .status()
            .expect("nsenter starts");
        let text = |path: &PathBuf| self.masked(&String::from_utf8_lossy(&fs::read(path).expect("output")));
        let output = Output { status, stdout: text(&logs[1]), stderr: text(&logs[2]) };
        // They may hold a value; a later search must not find it here.
        for log in &logs {
            let _ = fs::remove_file(log);
        }
        output
    }

    /// A new Claude token, obviously no real one, shown as `<mark>` from now on.
    pub fn token(&self, mark: &str) -> String {
        let token = format!("sk-ant-oat01-FAKE-{mark}-{}-{}", std::process::id(), self.unique());
        self.mark(mark, &token);
        token
    }

    /// Shows `value` as `<mark>` from now on.
    pub fn mark(&self, mark: &str, value: &str) {
        self.marks.borrow_mut().push((value.to_owned(), format!("<{mark}>")));
    }

    /// `text` with every marked value replaced by its mark.
    pub fn masked(&self, text: &str) -> String {
        self.marks.borrow().iter().fold(text.to_owned(), |text, (value, mark)| text.replace(value, mark))
    }

    /// A word that no other lab has: cgroups are the machine's, and containerd names them by the container.
    pub fn unique(&self) -> String {
        self.path().file_name().map(|name| name.to_string_lossy().replace('-', "")).unwrap_or_default()
    }

    /// Stores a login in root's store.
    pub fn login(&self, agent: &str, credential: &str) {
        self.login_with(&[], &format!("keyslip auth login {agent}"), credential);
    }

    /// Stores a login for one of several accounts.
    pub fn login_account(&self, agent: &str, account: &str, credential: &str) {
        self.login_with(&[], &format!("keyslip auth login {agent} --account {account}"), credential);
    }

    /// Stores a login in the ordinary user's own store.
    pub fn user_login(&self, agent: &str, credential: &str) {
        self.login_with(&user_prefix(self.path()), &format!("keyslip auth login {agent}"), credential);
    }

    fn login_with(&self, prefix: &[String], command: &str, credential: &str) {
        let output = self.run(prefix, command, credential.as_bytes());
        assert!(output.succeeded(), "{command}: {output}");
    }

    /// A lab with root's Claude login, shown as `<CLAUDE>`.
    pub fn with_claude(name: &str) -> Option<Self> {
        let lab = Self::new(name)?;
        lab.login("claude", &lab.token("CLAUDE"));
        Some(lab)
    }

    /// Writes a file below the lab, `path` being absolute as the lab sees it, or relative to `$W`.
    pub fn write(&self, path: &str, content: &[u8]) {
        let output = self.run(&[], &format!("cd $W; cat >{path}"), content);
        assert!(output.succeeded(), "{path}: {output}");
    }

    /// Replaces the configuration.
    pub fn configure(&self, toml: &str) {
        self.write("/etc/keyslip/keyslip.toml", toml.as_bytes());
    }

    /// A bundle `$W/NAME` for a bare runtime, with a root file system of its own and `sleep` as its
    /// main process; `edit` is a filter of jq on its configuration. Cgroups are the machine's, so its
    /// path there is one that no other lab has.
    pub fn bundle(&self, name: &str, edit: &str) -> String {
        let edit = if edit.is_empty() { "." } else { edit };
        self.ok(&format!(
            r#"mkdir $W/{name}; cp -a $W/rootfs $W/{name}/rootfs; cd $W/{name}; runc spec
            jq -c '.process.terminal=false | .process.args=["sleep","1000"] | .process.env=["PATH=/bin"]
              | .root={{path:"rootfs",readonly:false}} | .process.rlimits=[{{type:"RLIMIT_NOFILE",hard:1024,soft:1024}}]
              | .linux.namespaces=[{{type:"pid"}},{{type:"ipc"}},{{type:"uts"}},{{type:"mount"}},{{type:"network"}}]
              | .linux.cgroupsPath="/{}-{name}" | {edit}' config.json >new; mv new config.json; echo $W/{name}"#,
            self.unique()
        ))
    }

    /// Imports the image `bb`.
    pub fn image(&self) {
        self.ok("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb");
    }

    /// Ends and removes containers of podman. Now and then podman 4.3 with a user namespace leaves
    /// its own `shm` mounted at the first attempt, whatever the runtime is.
    #[track_caller]
    pub fn remove(&self, names: &str) {
        self.ok(&format!("podman rm -f -t0 {names} || {{ sleep 0.5; podman rm -f -t0 {names}; }}"));
    }

    /// Asserts that no container has left anything: no file below a runtime directory, no mount.
    #[track_caller]
    pub fn assert_nothing_left(&self, what: &str) {
        let left = self.ok("find /run/keyslip /run/user/*/keyslip ! -type d 2>/dev/null || true
            grep -E ' /run/(user/[0-9]+/)?keyslip/' /proc/self/mountinfo || true");
        assert_eq!(left, "", "{what}: left behind");
    }

    /// Asserts that the root file system of a bundle is as it was made.
    #[track_caller]
    pub fn assert_rootfs_untouched(&self, bundle: &str) {
        let list = "find . -printf '%p %y %m %U:%G %s\\n' | grep -v '^\\. ' | sort";
        let changed = self.ok(&format!(
            "(cd $W/rootfs; {list}) >$W/before; (cd {bundle}/rootfs; {list}) >$W/after; diff $W/before $W/after || true"
        ));
        // A directory's size and times may change; what is in it may not.
        assert_eq!(changed, "", "{bundle}: the root file system was changed");
    }

    /// The files below `places` that hold `value`.
    pub fn leaks(&self, places: &[&str], value: &str) -> Vec<String> {
        let script = format!("grep -rlaF -D skip -f /dev/stdin {} 2>/dev/null || true", places.join(" "));
        self.run(&[], &script, value.as_bytes()).text().lines().map(str::to_owned).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let end = "
            if [ -e $W/docker.pid ]; then
                containers=$(docker ps -aq); [ -z \"$containers\" ] || docker rm -f $containers || true
                $REPO/tests/lab/daemon docker stop || true
            fi
            if [ -e $W/containerd.pid ]; then
                for n in k8s.io default; do
                    for t in $(ctr -n $n task ls -q); do ctr -n $n task rm -f $t || true; done
                    for c in $(ctr -n $n c ls -q); do ctr -n $n c rm $c || true; done
                done
                $REPO/tests/lab/daemon containerd stop || true
            fi
            for r in crun runc runsc; do for id in $($r list -q 2>/dev/null); do $r delete --force $id || true; done; done
            if [ -d /var/lib/containers/storage ]; then podman rm -af -t0 || true; fi";
        self.run(&[], end, b"");
        if self.path().join("home/labuser/.local/share/containers").exists() {
            self.as_user("podman rm -af -t0 || true");
        }
        self.kill_the_rest();
        drop(self.door.stdin.take());
        let _ = self.door.wait();
    }
}

impl Lab {
    /// Kills what still lives in the lab or in one of its containers: whoever sees one of its mounts.
    fn kill_the_rest(&self) {
        let name = self.path().to_string_lossy().into_owned();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let sees = fs::read_to_string(entry.path().join("mountinfo")).is_ok_and(|mounts| mounts.contains(&name));
            if sees && pid != self.door.id() && pid != std::process::id() {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a number of a process");
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The environment that `enter` exports, and the directory of the shim's links for bare runtimes.
fn environment(dir: &Path) -> Vec<(&'static str, String)> {
    let repo = env!("CARGO_MANIFEST_DIR");
    vec![
        ("W", dir.display().to_string()),
        ("REPO", repo.to_owned()),
        ("PATH", format!("{repo}/build/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        ("HOME", "/root".to_owned()),
        ("CONTAINERS_CONF", dir.join("containers.conf").display().to_string()),
        ("PODMAN_IGNORE_CGROUPSV1_WARNING", "1".to_owned()),
        ("BARE", "/usr/libexec/keyslip/bare".to_owned()),
    ]
}

/// What makes a command run as the ordinary user.
fn user_prefix(dir: &Path) -> Vec<String> {
    let switch = ["setpriv", "--reuid", "4100", "--regid", "4100", "--init-groups", "env", "-i", "-C", "/home/labuser"];
    let mut prefix: Vec<String> = switch.map(str::to_owned).to_vec();
    let own = environment(dir).into_iter().filter(|(name, _)| *name != "HOME");
    let user = [("HOME", "/home/labuser"), ("USER", "labuser"), ("XDG_RUNTIME_DIR", "/run/user/4100")];
    prefix.extend(own.map(|(name, value)| format!("{name}={value}")));
    prefix.extend(user.map(|(name, value)| format!("{name}={value}")));
    prefix
}
