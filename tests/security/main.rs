//! What is made to do harm, and holes that were found, each with the test that stands where it was.
//! `docs/threat-model.md` says which test stands for what.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it was skipped.

mod crosstalk;
mod host;
mod incidents;
mod kube;
#[path = "../lab/mod.rs"]
mod lab;
mod logins;
mod race;
mod rootfs;
mod spec;
mod start;
#[path = "../lab/tally.rs"]
mod tally;
mod threats;

use lab::{Bare, Lab};

const ASKS: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;
const SHOW: &str = "echo [$CLAUDE_CODE_OAUTH_TOKEN]";

/// A bundle that mounts `$W/volume` at `/vol`, asks for an agent, and has more variables.
fn with_volume(lab: &Lab, name: &str, agent: &str, uid: u32, env: &str) -> String {
    lab.bundle(
        name,
        &format!(
            r#".annotations={{"dev.keyslip.agents":"{agent}"}} | .process.user={{uid:{uid},gid:{uid}}} | .process.env+=[{env}]
            | .mounts+=[{{destination:"/vol",type:"bind",source:"{}/volume",options:["bind"]}}]"#,
            lab.path().display()
        ),
    )
}

#[test]
fn settings_that_the_user_cannot_read_are_not_copied_for_them() {
    let Some(lab) = Lab::with_claude("hole-settings") else { return };
    lab.ok("mkdir -m 755 $W/volume; echo '{\"auths\":\"ROOT-ONLY\"}' >$W/volume/.claude.json; chmod 600 $W/volume/.claude.json");
    let bundle = with_volume(&lab, "settings", "claude", 1000, r#""CLAUDE_CONFIG_DIR=/vol""#);
    let container = Bare::new(&lab, "crun", "settings", &bundle);
    container.start();
    let seen = container.exec("cat /vol/.claude.json 2>&1 || true");
    assert!(!seen.contains("ROOT-ONLY"), "{seen}");
    assert!(lab.ok("keyslip list").contains("may ask before it starts"), "the warning says so");
    container.end();
}

#[test]
fn a_volume_that_is_swapped_for_a_link_leads_no_removal_to_the_host() {
    let Some(lab) = Lab::new("hole-swapped-base") else { return };
    lab.login("codex", "sk-FAKE-swapped");
    lab.ok("mkdir $W/volume $W/host; mkdir $W/host/sshd");
    let bundle = with_volume(&lab, "swapped", "codex", 0, r#""CODEX_HOME=/vol/sshd""#);
    let container = Bare::new(&lab, "runc", "swapped", &bundle);
    container.start();
    lab.ok("test -e $W/volume/sshd/auth.json; mv $W/volume $W/old; ln -s $W/host $W/volume");
    container.end();
    assert_eq!(lab.ok("ls $W/host"), "sshd", "a directory of the host was removed");
}

#[test]
fn what_a_container_left_does_not_come_to_another_of_its_name() {
    let Some(lab) = Lab::with_claude("hole-stale") else { return };
    let (asks, silent) = (lab.bundle("asks", ASKS), lab.bundle("silent", "."));
    for runtime in ["crun", "runc"] {
        let first = Bare::new(&lab, runtime, "job", &asks);
        first.start();
        // Deleted behind our back.
        lab.ok(&format!("{runtime} delete --force job"));
        let second = Bare::new(&lab, runtime, "job", &silent);
        second.start();
        assert_eq!(second.exec(SHOW), "[]", "{runtime}");
        assert_eq!(lab.ok(&format!("$BARE/{runtime} exec job sh -c '{SHOW}'")), "[]", "{runtime}: bare exec");
        second.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn crun_deletes_by_pattern_and_nothing_is_left() {
    let Some(lab) = Lab::with_claude("hole-regex") else { return };
    let bundle = lab.bundle("regex", ASKS);
    Bare::new(&lab, "crun", "regex", &bundle).start();
    lab.ok("$BARE/crun delete --force --regex '^reg.*'");
    lab.assert_nothing_left("delete --regex");
}

#[test]
fn a_root_that_nobody_names_is_a_root() {
    let Some(lab) = Lab::with_claude("hole-default-root") else { return };
    let (asks, silent) = (lab.bundle("asks", ASKS), lab.bundle("silent", "."));
    lab.ok("mkdir -p -m 700 /run/user/0");
    let mut elsewhere = Bare::new(&lab, "crun", "same", &asks);
    elsewhere.shim = "env XDG_RUNTIME_DIR=/run/user/0 $BARE/crun".to_owned();
    elsewhere.start();
    let mut here = Bare::new(&lab, "crun", "same", &silent);
    here.shim = "env -u XDG_RUNTIME_DIR $BARE/crun".to_owned();
    here.start();
    assert_eq!(here.exec(SHOW), "[]");
    assert_eq!(elsewhere.exec(SHOW), "[<CLAUDE>]");
    here.end();
    assert_eq!(lab.ok("keyslip list --json | jq -r .[].state"), "live", "the other one is still there");
    lab.ok("keyslip sweep");
    assert_eq!(elsewhere.exec("cat /run/secrets/claude"), "<CLAUDE>");
    elsewhere.end();
    lab.assert_nothing_left("both");
}

#[test]
fn an_images_labels_are_nobodys_request() {
    let Some(lab) = Lab::with_claude("hole-converted") else { return };
    // What a converter makes of an image with a label: conversion.md of the image specification.
    let converted = r#".annotations={"dev.keyslip.agents":"claude","org.opencontainers.image.os":"linux"}"#;
    let bundle = lab.bundle("converted", converted);
    let container = Bare::new(&lab, "crun", "converted", &bundle);
    container.start();
    assert_eq!(container.exec(SHOW), "[]");
    container.end();
    assert!(lab.ok("cat /var/lib/keyslip/audit.log").contains("\"ignored\""));
    assert!(lab.sh(&format!("keyslip inject --bundle {bundle}")).stderr.contains("asks for nothing"));
}

#[test]
fn a_container_cannot_keep_itself_or_others_from_being_revoked() {
    let Some(lab) = Lab::new("hole-revoke") else { return };
    let bundle = lab.bundle("huge", r#".annotations={"dev.keyslip.agents":"codex"} | .process.env+=["HOME=/root"]"#);
    let huge = Bare::new(&lab, "crun", "huge", &bundle);
    huge.start();
    // Pending, so the file is writable.
    huge.exec("truncate -s 1099511627776 /root/.codex/auth.json");
    lab.login("claude", &lab.token("CLAUDE"));
    let other = Bare::started(&lab, "runc", "");
    let output = lab.sh("keyslip revoke --account codex && keyslip revoke --account claude");
    assert!(output.succeeded(), "{output}");
    assert_eq!(other.exec(&format!("{SHOW}; ls /run/secrets")), "[]");
    assert_eq!(huge.exec("tr -d ' ' </root/.codex/auth.json"), r#"{"auth_mode":"apikey"}"#);
    other.end();
    huge.end();
}

#[test]
fn a_bare_exec_has_the_values_of_now() {
    let Some(lab) = Lab::with_claude("hole-bare-exec") else { return };
    for runtime in ["crun", "runc"] {
        let container = Bare::started(&lab, runtime, "");
        let bare = format!("$BARE/{runtime} exec {} sh -c '{SHOW}'", container.id);
        assert_eq!(lab.ok(&bare), "[<CLAUDE>]", "{runtime}");
        let newer = lab.token("NEWER");
        lab.login("claude", &newer);
        lab.ok("keyslip sync");
        assert_eq!(lab.ok(&bare), "[<NEWER>]", "{runtime}: after sync");
        lab.ok(&format!("keyslip revoke {}", container.id));
        assert_eq!(lab.ok(&bare), "[]", "{runtime}: after revoke");
        container.end();
        let first = lab.token("CLAUDE");
        lab.login("claude", &first);
    }
}

#[test]
fn a_container_that_is_still_being_made_is_not_swept() {
    let Some(lab) = Lab::with_claude("hole-slow-create") else { return };
    let slow = r#".hooks={createRuntime:[{path:"/bin/sleep",args:["sleep","3"],env:["PATH=/bin"]}]}"#;
    let bundle = lab.bundle("slow", &format!("{ASKS} | {slow}"));
    lab.ok(&format!(
        "$BARE/crun create --bundle {bundle} slow </dev/null >/dev/null 2>&1 & sleep 1
        touch -d '5 minutes ago' /run/keyslip/sandbox/*/*; keyslip sweep; wait $!; $BARE/crun start slow"
    ));
    let container = Bare::new(&lab, "crun", "slow", &bundle);
    assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>");
    container.end();
    lab.assert_nothing_left("slow create");
}

#[test]
fn what_an_image_says_does_not_steer_a_terminal() {
    let Some(lab) = Lab::with_claude("hole-terminal") else { return };
    let odd = r#".process.env+=["CLAUDE_CONFIG_DIR=/proc/\u001b]0;pwned\u0007"]"#;
    let container = Bare::started(&lab, "crun", odd);
    assert!(!lab.ok("keyslip list").contains('\u{1b}'));
    container.end();
}

#[test]
fn a_configuration_through_a_pipe_is_the_runtimes() {
    let Some(lab) = Lab::with_claude("hole-pipe") else { return };
    let echo = r#".process.args=["echo","ran"]"#;
    for (edit, name) in [(".", "silent"), (ASKS, "asks")] {
        let bundle = lab.bundle(name, &format!("{edit} | {echo}"));
        let said = lab.ok(&format!("cd {bundle}; $BARE/crun run --config <(cat config.json) {name} </dev/null"));
        assert_eq!(said, "ran", "{name}");
    }
    lab.assert_nothing_left("pipe");
}
