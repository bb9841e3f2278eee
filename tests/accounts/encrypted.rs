//! Logins sealed by the real systemd-creds, with root's engines.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::session::{hook, in_time, processes, started_at_once};

const ENTRY: &str = "/var/lib/keyslip/tokens/claude-oauth.json";

const ASK: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;

fn with_sealed(name: &str) -> Option<(Lab, String)> {
    let lab = Lab::new(&format!("accounts-{name}"))?;
    let token = lab.token("CLAUDE");
    lab.login("claude --store encrypted", &token);
    Some((lab, token))
}

fn hooked<'a>(lab: &'a Lab, runtime: &str, id: &str) -> Bare<'a> {
    let mut container = Bare::new(lab, runtime, id, &lab.bundle(id, &format!("{ASK} | {}", hook())));
    container.shim = runtime.to_owned();
    container
}

#[test]
fn a_sealed_login_is_in_the_container_and_in_no_file_of_the_host() {
    let Some((lab, token)) = with_sealed("sealed") else { return };
    let places = ["/var/lib/keyslip /var/lib/systemd /run /etc/keyslip /var/tmp"];
    assert_eq!(lab.leaks(&places, &token), [""; 0]);
    assert_eq!(
        lab.ok(&format!("jq -r 'keys_unsorted | join(\" \")' {ENTRY}; stat -c %a {ENTRY}")),
        "encrypted createdAt expiresAt\n600"
    );
    let status = lab.ok("keyslip auth status claude --json | jq -r '.[] | [.state, .store, .kind] | join(\" \")'");
    assert_eq!(status, "valid encrypted long-lived OAuth token");
    for runtime in RUNTIMES {
        let shim = Bare::started(&lab, runtime, "");
        assert!(shim.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{runtime}");
        let hook = hooked(&lab, runtime, &format!("{runtime}-hook"));
        hook.start();
        for container in [&shim, &hook] {
            assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
            container.end();
        }
        lab.assert_nothing_left(runtime);
    }
    assert_eq!(lab.leaks(&places, &token), [""; 0], "afterwards");
    // No program is given it as an argument or in its environment.
    lab.write("login", token.as_bytes());
    let traced = "strace -f -v -s 100000 -qq -e trace=execve -o $W/trace";
    for command in ["auth login claude --store encrypted <$W/login", "auth status", "auth logout claude"] {
        lab.ok(&format!("{traced} keyslip {command} && grep -c execve $W/trace"));
        assert_eq!(lab.leaks(&["$W/trace"], &token), [""; 0], "{command}");
    }
    lab.login("claude --store encrypted", &token);
    let before = lab.ok(&format!("jq -r .encrypted {ENTRY}"));
    lab.login("claude --store encrypted", &lab.token("SECOND"));
    assert_ne!(before, lab.ok(&format!("jq -r .encrypted {ENTRY}")));
    assert_eq!(Bare::started(&lab, "crun", "").exec("cat /run/secrets/claude"), "<SECOND>");
    lab.ok("keyslip auth logout claude");
    assert_eq!(lab.ok("ls /var/lib/keyslip/tokens"), "");
}

#[test]
fn a_sealed_login_that_was_changed_or_is_anothers_is_refused_and_said_so() {
    let Some((lab, _)) = with_sealed("tampered") else { return };
    lab.login_account("claude", "work --store encrypted", &lab.token("WORK"));
    lab.ok(&format!("cp {ENTRY} $W/good"));
    for (number, (what, change)) in [
        (
            "a character was changed",
            r#"jq '.encrypted |= (.[0:-40] + (if .[-40:-39] == "A" then "B" else "A" end) + .[-39:])' $W/good"#,
        ),
        ("the end is missing", "jq '.encrypted |= .[0:-8]' $W/good"),
        ("it is no base64", "jq '.encrypted = \"what?\"' $W/good"),
        ("it is empty", "jq '.encrypted = \"\"' $W/good"),
        ("it is that of another account", "cat /var/lib/keyslip/tokens/claude-oauth@work.json"),
    ]
    .into_iter()
    .enumerate()
    {
        lab.ok(&format!("{change} >$W/bad; cat $W/bad >{ENTRY}"));
        let container = Bare::started(&lab, RUNTIMES[number % 2], "");
        assert_eq!(container.exec("env | grep -c CLAUDE || true; ls -A /run/secrets"), "0", "{what}");
        let warnings = lab.ok("keyslip list --json | jq -r '.[] | .state, .warnings[]'");
        assert!(warnings.starts_with("pending\n"), "{what}: {warnings}");
        for part in [
            "sealed by systemd-creds, which cannot be read: ",
            "systemd-creds cannot open keyslip.claude.default",
            "log in again",
        ] {
            assert!(warnings.contains(part), "{what}: {part:?} is not in {warnings}");
        }
        let status = lab.ok("keyslip auth status --json | jq -r '.[] | [.account, .store, .state] | join(\" \")'");
        assert_eq!(status, "default encrypted unavailable\nwork encrypted valid", "{what}");
        container.end();
        lab.assert_nothing_left(what);
    }
}

pub fn a_systemd_creds_that_hangs_is_given_up_and_ended() {
    let Some((lab, _)) = with_sealed("creds-hang") else { return };
    lab.write("hang", b"#!/bin/sh\nsleep 1000 & sleep 1000\n");
    lab.ok("chmod 755 $W/hang; mount --bind $W/hang /usr/bin/systemd-creds");
    let containers = [hooked(&lab, "crun", "hook"), Bare::new(&lab, "crun", "shim", &lab.bundle("shim", ASK))];
    in_time(15, "the start of both", || started_at_once(&lab, &containers));
    let warnings = lab.ok("keyslip list --json | jq -r '.[] | .state, .warnings[]'");
    assert_eq!(warnings.matches("pending\n").count(), 2, "{warnings}");
    assert_eq!(warnings.matches("cannot be read: systemd-creds").count(), 2, "{warnings}");
    assert_eq!(processes(&lab, "systemd-creds|sleep 1000|^/usr/libexec/keyslip"), "", "still running");
    containers.iter().for_each(Bare::end);
    lab.assert_nothing_left("hang");
    lab.ok("umount /usr/bin/systemd-creds");
}
