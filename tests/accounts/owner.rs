//! Root's engines, and a user whose logins they get: `owner`. Everything of the user's is asked for as
//! that user.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::session::{Session, logged_in, user};

const OWNER: &str = "owner = \"labuser\"\n[engines.podman]\ntrust_annotations = true\n";

/// What podman calls without a shim.
fn hooks(lab: &Lab) {
    lab.ok(
        r#"keyslip install tmpfs; keyslip install hooks
        sed -i "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#
        s#^runtime = .*#&\nhooks_dir = [\"/etc/keyslip/hooks.d\"]#" $CONTAINERS_CONF; ! grep -q libexec $CONTAINERS_CONF"#,
    );
    lab.image();
}

#[test]
fn roots_engines_get_the_owners_login_from_the_keyring() {
    let Some(lab) = Lab::new("accounts-owner") else { return };
    let token = lab.token("CLAUDE");
    lab.configure(OWNER);
    let session = Session::begin(&lab, "unlocked");
    logged_in(&lab, "claude --store keyring", &token);
    hooks(&lab);
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        assert!(container.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{runtime}: shim");
        assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}: shim");
        container.end();
        let run = format!("podman --runtime {runtime} run --rm --annotation dev.keyslip.agents=claude bb");
        let seen = lab
            .ok(&format!("{run} sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE; cat /run/secrets/claude'"));
        assert_eq!(seen, "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>\n<CLAUDE>", "{runtime}: hook");
        lab.assert_nothing_left(runtime);
    }
    assert_eq!(lab.ok("jq -r .event /var/lib/keyslip/audit.log | sort -u"), "cleaned\ndelivered");
    drop(session);
    assert_eq!(lab.leaks(&["/run /home /var/lib/keyslip /var/tmp /etc/keyslip"], &token), [""; 0]);
}

/// A helper that writes down who it is, what it was given and what it can see, and prints a token.
const REPORT: &str = r#"#!/bin/bash
{ grep -E '^(Uid|Gid|Groups|Cap...|Seccomp):' /proc/self/status | tr -s ' \t' ' '
  echo "open $(ls /proc/self/fd | sort -n | tr '\n' ' ')"
  echo "parent $(grep -E '^(Uid|CapEff):' /proc/$PPID/status | tr -s ' \t' ' ' | tr '\n' ' ')"
  for pid in $$ $PPID; do tr '\0' '\n' </proc/$pid/cmdline; tr '\0' '\n' </proc/$pid/environ | sort; done
  cat; } >$HOME/report 2>&1
cat $HOME/helper.token
"#;

#[test]
fn the_helper_of_root_is_wholly_the_owner() {
    let Some(lab) = Lab::new("accounts-helper-owner") else { return };
    let token = lab.token("CLAUDE");
    lab.configure(&format!(
        "{OWNER}[store]\nbackend = \"command\"\n[store.command]\nargv = [\"/etc/keyslip/report\"]\noutput = \"text\"\n"
    ));
    lab.write("/etc/keyslip/report", REPORT.as_bytes());
    lab.write("/home/labuser/helper.token", token.as_bytes());
    lab.ok("chmod 755 /etc/keyslip/report; usermod -aG root,disk labuser");
    hooks(&lab);
    for runtime in RUNTIMES {
        for way in ["shim", "hook"] {
            let what = format!("{way} on {runtime}");
            lab.ok("rm -f /home/labuser/report");
            if way == "shim" {
                let mut container = Bare::new(&lab, runtime, &format!("{runtime}-h"), "");
                container.bundle = lab.bundle(&container.id, r#".annotations={"dev.keyslip.agents":"claude"}"#);
                container.shim = format!("ROOTS_OWN=FAKE-of-root {}", container.shim);
                container.start();
                assert!(container.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{what}");
                container.end();
            } else {
                let run = format!(
                    "ROOTS_OWN=FAKE-of-root podman --runtime {runtime} run --rm --annotation dev.keyslip.agents=claude bb"
                );
                let seen = lab.ok(&format!("{run} sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE'"));
                assert_eq!(seen, "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{what}");
            }
            let report = lab.ok("stat -c '%U %G' /home/labuser/report; cat /home/labuser/report");
            check(&report, &what);
        }
    }
    assert_eq!(lab.leaks(&["/run /home/labuser/report /var/lib/keyslip /var/tmp /etc/keyslip"], &token), [""; 0]);
}

#[track_caller]
fn check(report: &str, what: &str) {
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "labuser labuser", "{what}: {report}");
    for line in [
        "Uid: 4100 4100 4100 4100",
        "Gid: 4100 4100 4100 4100",
        "Groups:",
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapAmb: 0000000000000000",
        "HOME=/home/labuser",
        r#"{"account":"default","agent":"claude","operation":"get","version":1}"#,
    ] {
        assert!(lines.iter().any(|it| it.trim() == line), "{what}: no {line:?} in {report}");
    }
    // Three streams, and the directory that `ls` reads.
    assert!(lines.contains(&"open 0 1 2 3 ") || lines.contains(&"open 0 1 2 3"), "{what}: {report}");
    assert!(report.contains("parent Uid: 4100 4100 4100 4100 CapEff: 0000000000000000"), "{what}: {report}");
    assert!(report.contains("/usr/libexec/keyslip/keyslip\ncredential\nget\n"), "{what}: {report}");
    assert!(!report.contains("ROOTS_OWN") && !report.contains("HOME=/root"), "{what}: {report}");
    assert!(!report.contains("<CLAUDE>"), "{what}: {report}");
}

#[test]
fn an_owner_who_is_nobody_is_an_error_that_names_him() {
    let Some(lab) = Lab::new("accounts-nobody") else { return };
    lab.configure("owner = \"nosuchuser\"\n");
    for script in ["keyslip auth status", "keyslip auth logout claude", "keyslip auth switch claude work"] {
        let said = lab.sh(script);
        assert!(!said.succeeded() && said.stderr.contains("\"nosuchuser\""), "{script}: {said}");
    }
    let bundle = lab.bundle("b", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    let refused = Bare::new(&lab, "crun", "b", &bundle).create();
    assert!(!refused.succeeded() && refused.stderr.contains("\"nosuchuser\""), "{refused}");
    assert_eq!(user(&lab, "keyslip auth status").lines().count(), 1, "a user's own configuration is another");
}
