//! Odd input, and surroundings that are out of order.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::session::{Session, items, logged_in, user};

#[test]
fn a_token_that_is_not_whole_is_refused_and_the_old_one_stays() {
    let Some(lab) = Lab::with_claude("accounts-cut") else { return };
    for token in [
        r"sk-ant-oat01-FAKE\n  wrapped",
        r"sk-ant-oat01-FA\0KE",
        "sk-ant-oat01-FA KE",
        r"sk-ant-oat01-FAKE\t\r\n\r\nX",
        "sk-ant-oat01-",
    ] {
        let said = lab.sh(&format!("printf '{token}' | keyslip auth login claude --store file"));
        assert!(!said.succeeded() && said.stderr.contains("Nothing was stored"), "{token}: {said}");
    }
    lab.ok(r"printf '\n sk-ant-oat01-FAKE-whole \r\n\n' | keyslip auth login claude --store file --account work");
    let stored = lab.ok("cd /var/lib/keyslip/tokens; jq -r .token claude-oauth.json claude-oauth@work.json");
    assert_eq!(stored, "<CLAUDE>\nsk-ant-oat01-FAKE-whole");
}

#[test]
fn who_ignores_the_end_of_his_children_gets_his_login() {
    let Some(lab) = Lab::new("accounts-children") else { return };
    let ignoring = r#"perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV'"#;
    lab.write("login", lab.token("CLAUDE").as_bytes());
    lab.ok(&format!("{ignoring} keyslip auth login claude --store encrypted <$W/login"));
    assert_eq!(lab.ok(&format!("{ignoring} keyslip auth status claude --json | jq -r '.[].state'")), "valid");
    for runtime in RUNTIMES {
        let bundle = lab.bundle(runtime, r#".annotations={"dev.keyslip.agents":"claude"}"#);
        let mut container = Bare::new(&lab, runtime, runtime, &bundle);
        let shim = container.shim.clone();
        container.shim = format!("{ignoring} {shim}");
        assert!(container.create().succeeded(), "{runtime}");
        container.shim = shim;
        lab.ok(&format!("{} start {runtime}", container.shim));
        assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
        container.end();
    }
}

#[test]
fn a_disk_that_fails_at_any_write_leaves_the_old_login_or_the_new_one() {
    let Some(lab) = Lab::new("accounts-disk") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let old = lab.token("OLD");
    lab.write("/home/labuser/new", lab.token("NEW").as_bytes());
    let status = "keyslip auth status claude --json | jq -r '.[] | .state + \" \" + .store'";
    let mut failures = 0;
    for before in ["file", "keyring"] {
        for (call, last) in [("fsync", 5), ("rename", 1), ("openat", 40)] {
            for number in (1..=last).filter(|number| call != "openat" || number % 5 == 0) {
                let what = format!("{call} {number} after {before}");
                logged_in(&lab, &format!("claude --store {before}"), &old);
                let failing = format!(
                    "strace -f -b execve -qq -o /dev/null -e trace={call} -e inject={call}:error=ENOSPC:when={number}"
                );
                let login = lab.as_user(&format!("{failing} keyslip auth login claude --store keyring <new"));
                failures += u32::from(!login.succeeded());
                let (state, there) = (user(&lab, status), items(&lab, "claude/default"));
                match (state.as_str(), there.as_slice()) {
                    ("valid file", []) if before == "file" => {}
                    ("valid keyring", [item]) if item == "<NEW>" || before == "keyring" && item == "<OLD>" => {}
                    other => panic!("{what}: {other:?} {login}"),
                }
            }
        }
    }
    assert!(failures > 10, "{failures}");
}
