//! A desktop session of the lab's user that lasts over several scripts, and what its keyring holds.

use std::time::{Duration, Instant};

use crate::lab::{Bare, Lab, Output};

/// The session's bus, for programs that do not find it by themselves.
pub const BUS: &str = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4100/bus";

/// The filter of jq by which a bundle calls the hook, for as long as an installed one may take.
pub fn hook() -> String {
    let installed = include_str!("../../hooks/keyslip-createruntime.json");
    let limit = installed.split("\"timeout\": ").nth(1).and_then(|rest| rest.lines().next()).expect("a limit");
    format!(
        r#".hooks=(["createRuntime","poststop"] | map({{key:., value:[{{path:"/usr/libexec/keyslip/keyslip-hook",
        args:["keyslip-hook",.,"--engine","bare"],env:["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],timeout:{limit}}}]}}) | from_entries)"#
    )
}

/// A session that is on until this is dropped. The keyring's file stays, so that a later session has
/// the same items.
pub struct Session<'a> {
    lab: &'a Lab,
}

impl<'a> Session<'a> {
    /// Begins one: `unlocked`, `locked`, `fresh` or `bus`, see `tests/lab/session`.
    #[track_caller]
    pub fn begin(lab: &'a Lab, state: &str) -> Self {
        let script = format!(
            "rm -f $HOME/session.*; mkfifo $HOME/session.end
            $REPO/tests/lab/session {state} bash -c 'touch $HOME/session.on; read -r _ <$HOME/session.end || true' >$HOME/session.log 2>&1 &
            for i in $(seq 600); do [ -e $HOME/session.on ] && exit; sleep 0.05; done; cat $HOME/session.log >&2; exit 1"
        );
        user(lab, &script);
        Self { lab }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let end = "timeout 10 bash -c 'echo >$HOME/session.end' || true
            for i in $(seq 200); do [ -e /run/user/4100/bus ] || break; sleep 0.05; done; rm -f $HOME/session.*";
        self.lab.as_user(end);
    }
}

/// Runs a script as the user, which must succeed; its standard output.
#[track_caller]
pub fn user(lab: &Lab, script: &str) -> String {
    let output = lab.as_user(script);
    assert!(output.succeeded(), "{script}\n{output}");
    output.text().to_owned()
}

/// `keyslip auth login ARGUMENTS` as the user.
pub fn log_in(lab: &Lab, arguments: &str, token: &str) -> Output {
    lab.write("/home/labuser/login", token.as_bytes());
    let output = lab.as_user(&format!("keyslip auth login {arguments} <$HOME/login"));
    lab.ok("rm /home/labuser/login");
    output
}

/// The same, which must succeed.
#[track_caller]
pub fn logged_in(lab: &Lab, arguments: &str, token: &str) -> String {
    let output = log_in(lab, arguments, token);
    assert!(output.succeeded(), "{arguments}: {output}");
    output.text().to_owned()
}

/// The values in the user's keyring that are ours, sorted.
#[track_caller]
pub fn items(lab: &Lab, account: &str) -> Vec<String> {
    let found =
        user(lab, &format!("{BUS} secret-tool search --all service dev.keyslip account {account} 2>/dev/null || true"));
    let mut values: Vec<String> =
        found.lines().filter_map(|line| line.strip_prefix("secret = ")).map(str::to_owned).collect();
    values.sort();
    values
}

/// Asserts that something took less than `limit` seconds.
#[track_caller]
pub fn in_time<T>(limit: u64, what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    assert!(begin.elapsed() < Duration::from_secs(limit), "{what} took {:?}", begin.elapsed());
    result
}

/// The command lines of processes of this lab, outside of containers, that match `pattern`.
#[track_caller]
pub fn processes(lab: &Lab, pattern: &str) -> String {
    lab.ok(&format!(
        r#"own=$(stat -L -c %i /proc/self/ns/mnt)
        stat -L -c '%i %n' /proc/[0-9]*/ns/mnt 2>/dev/null | while read -r ns name; do
            [ "$ns" != "$own" ] || tr '\0' ' ' <${{name%/ns/mnt}}/cmdline 2>/dev/null | grep -E '{pattern}' | grep -v 'stat -L' || true
        done"#
    ))
}

/// Makes these containers at the same time, and starts them.
#[track_caller]
pub fn started_at_once(lab: &Lab, containers: &[Bare<'_>]) {
    let create = |it: &Bare<'_>| format!("{} create --bundle {} {} & pids=\"$pids $!\"", it.shim, it.bundle, it.id);
    let all: Vec<String> = containers.iter().map(create).collect();
    lab.ok(&format!("pids=\n{}\nfor pid in $pids; do wait $pid; done", all.join("\n")));
    for container in containers {
        lab.ok(&format!("{} start {}", container.shim, container.id));
    }
}
