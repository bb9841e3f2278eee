//! Killed at every step of a write: afterwards the old login is there or the new one, never neither and
//! never half of one, and what was left over goes with the next login.

use std::collections::BTreeSet;

use crate::lab::Lab;
use crate::session::Session;

/// Functions for scripts. `step CALL N COMMAND...` kills COMMAND as it enters its N-th CALL; programs that
/// it starts run on their own. `found` prints what there is, in a line: what `auth status` says, what a
/// container that asks for Claude now would find, files that should not be there.
const FUNCTIONS: &str = r#"
login() { keyslip auth login claude --store $1 <$W/$2 >/dev/null; }
step() { local call=$1 n=$2; shift 2; code=0
    strace -f -b execve -qq -o /dev/null -e trace=$call -e inject=$call:signal=SIGKILL:when=$n "$@" >/dev/null 2>&1 || code=$?; echo "$code"; }
found() {
    status=$(keyslip auth status claude --json | jq -r '[.[] | .account + (if .selected then "*" else "" end) + " " + .state] | join(", ")')
    $AS_ENGINE /usr/libexec/keyslip/keyslip-hook precreate --engine podman --home $HOME <$W/b/config.json 2>&1 >/dev/null || echo refused
    value=$(cat $RUNTIME/sandbox/*/*/secrets/claude 2>/dev/null || echo none)
    rm -rf $RUNTIME/sandbox; echo "$status: $value"; }
left() { ls -A $TOKENS | grep -vE '^claude-oauth(@work)?.json$|^claude.account$|^\.lock' || true; }
items() { DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4100/bus secret-tool search --all service dev.keyslip 2>/dev/null | grep -c '^secret' || true; }
"#;

/// Calls by which something outside of the process changes.
const CALLS: [&str; 14] = [
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "flock",
    "mkdir",
    "sendmsg",
    "sendto",
];

struct Writes<'a> {
    lab: &'a Lab,
    by_user: bool,
}

impl<'a> Writes<'a> {
    fn new(lab: &'a Lab, by_user: bool) -> Self {
        for mark in ["OLD", "NEW", "WORK"] {
            lab.write(mark, lab.token(mark).as_bytes());
        }
        lab.bundle(
            "b",
            &format!(
                r#".annotations={{"dev.keyslip.agents":"claude"}} | .root.path="{}/b/rootfs""#,
                lab.path().display()
            ),
        );
        lab.ok(&format!("keyslip install tmpfs; chown -R {} $W/b/rootfs", if by_user { "labuser:" } else { "root:" }));
        Self { lab, by_user }
    }

    /// The output of a script, line by line.
    #[track_caller]
    fn run(&self, script: &str) -> Vec<String> {
        // A user's engine calls hooks as root of a namespace.
        let place = if self.by_user {
            "RUNTIME=/run/user/4100/keyslip; TOKENS=$HOME/.local/state/keyslip/tokens; AS_ENGINE='unshare -r'"
        } else {
            "RUNTIME=/run/keyslip; TOKENS=/var/lib/keyslip/tokens; AS_ENGINE="
        };
        let script = format!("{place}\n{FUNCTIONS}\n{script}");
        let output = if self.by_user { self.lab.as_user(&script) } else { self.lab.sh(&script) };
        assert!(output.succeeded(), "{script}\n{output}");
        output.text().lines().map(str::to_owned).collect()
    }

    /// The steps of `command`: each call and which one of this name it is.
    fn steps(&self, command: &str) -> Vec<(String, usize)> {
        let trace = self.run(&format!(
            "T=$(mktemp); strace -f -b execve -qq -o $T -e trace={} {command} >&2; cat $T; rm $T",
            CALLS.join(",")
        ));
        let mut counts = std::collections::BTreeMap::<(String, String), usize>::new();
        let mut steps = BTreeSet::new();
        for line in &trace {
            let Some((pid, call)) = line.split_once(' ') else { continue };
            let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
            if !CALLS.contains(&name) {
                continue;
            }
            let number = counts.entry((pid.to_owned(), name.to_owned())).and_modify(|count| *count += 1).or_insert(1);
            // Reading changes nothing.
            if name != "openat" || arguments.contains("O_CREAT") {
                steps.insert((name.to_owned(), *number));
            }
        }
        steps.into_iter().collect()
    }

    /// Kills `command` at each of its steps, before and after it in turn one of `around`. After the first of
    /// these and the kill one of `expected` must be found; the second prints what is left over, which must be
    /// nothing.
    #[track_caller]
    fn at_every_step(&self, command: &str, around: &[(&str, &str)], expected: &[&str]) {
        self.run(around[0].0);
        let steps = self.steps(command);
        let mut seen = BTreeSet::new();
        for (index, (call, number)) in steps.iter().enumerate() {
            let (before, after) = around[index % around.len()];
            let said = self.run(&format!("{before}\nstep {call} {number} {command}\nfound\n{after}"));
            assert!(said.len() >= 2, "{call} {number}: {said:?}");
            // Threads share the work differently each time, so a step may not be reached.
            assert!(["137", "0"].contains(&said[0].as_str()), "{call} {number}: {said:?}");
            assert!(expected.contains(&said[1].as_str()), "{call} {number}: {:?} is none of {expected:?}", said[1]);
            assert_eq!(said[2..], [""; 0], "{call} {number}: left over");
            seen.insert((said[0] == "137", said[1].clone()));
        }
        for expected in expected {
            assert!(seen.contains(&(true, (*expected).to_owned())), "{expected:?} was not seen: {seen:?}");
        }
        println!("{command}: {} steps", steps.len());
    }
}

const OLD: &str = "default* valid: <OLD>";
const NEW: &str = "default* valid: <NEW>";
const NONE: &str = ": none";

#[test]
fn with_files() {
    let Some(lab) = Lab::new("accounts-killed") else { return };
    let writes = Writes::new(&lab, false);
    let login = "keyslip auth login claude --store file <$W/NEW";
    let after = "login file OLD; left";
    writes.at_every_step(login, &[("login file OLD", after)], &[OLD, NEW]);
    writes.at_every_step("keyslip auth logout claude", &[("login file OLD", after)], &[OLD, NONE]);
    // A first login: there was nothing before.
    writes.at_every_step(login, &[("rm -rf $TOKENS", after)], &[NONE, NEW]);
}

#[test]
fn a_switch_and_a_logout_of_the_account_that_was_switched_to() {
    let Some(lab) = Lab::new("accounts-killed-switch") else { return };
    let writes = Writes::new(&lab, false);
    let before = "login file OLD; login 'file --account work' WORK";
    let (default, work) = ("default* valid, work valid: <OLD>", "default valid, work* valid: <WORK>");
    let to_work = "keyslip auth switch claude work";
    let to_default = "keyslip auth switch claude default";
    let (at_default, at_work) =
        (format!("{before}; {to_default} >/dev/null"), format!("{before}; {to_work} >/dev/null"));
    writes.at_every_step(
        to_work,
        &[(&at_default, "keyslip auth switch claude work >/dev/null; left")],
        &[default, work],
    );
    writes.at_every_step(to_default, &[(&at_work, "left")], &[default, work]);
    // First the switch is taken back, then the login goes.
    writes.at_every_step("keyslip auth logout claude --account work", &[(&at_work, "left")], &[work, default, OLD]);
}

#[test]
fn with_sealed_files() {
    let Some(lab) = Lab::new("accounts-killed-sealed") else { return };
    let writes = Writes::new(&lab, false);
    let around = [("login encrypted OLD", "login encrypted OLD; left")];
    writes.at_every_step("keyslip auth login claude --store encrypted <$W/NEW", &around, &[OLD, NEW]);
}

#[test]
fn a_login_into_a_keyring() {
    let Some(lab) = Lab::new("accounts-killed-keyring") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let writes = Writes::new(&lab, true);
    let around = [
        ("login keyring OLD", "login keyring OLD; left | grep -v '^.keyring-' || true; items | grep -v '^1$' || true"),
        ("login file OLD", "login file OLD; left; items | grep -v '^0$' || true"),
    ];
    writes.at_every_step("keyslip auth login claude --store keyring <$W/NEW", &around, &[OLD, NEW]);
}

#[test]
fn a_logout_from_a_keyring() {
    let Some(lab) = Lab::new("accounts-killed-logout") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let writes = Writes::new(&lab, true);
    let none = "left; items | grep -v '^0$' || true";
    let (again, file) =
        (format!("keyslip auth logout claude >/dev/null 2>&1 || true; {none}"), format!("login file OLD; {none}"));
    writes.at_every_step(
        "keyslip auth logout claude",
        &[("login keyring OLD", &again), ("login keyring OLD", &file)],
        &[OLD, NONE],
    );
}
