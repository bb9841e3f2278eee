//! The keyring, with a real D-Bus daemon and a real gnome-keyring of the lab's user.

use crate::driver;
use crate::lab::{Lab, Output};

const MINE: &str = r#""service=dev.keyslip","account=claude/default""#;

fn open(name: &str) -> Option<Lab> {
    let lab = Lab::new(name)?;
    driver::install(&lab);
    Some(lab)
}

/// A lab with a token, `<TOKEN>`, in the file `$W/token`.
fn with_token(name: &str) -> Option<Lab> {
    let lab = open(name)?;
    token(&lab, "TOKEN", "token");
    Some(lab)
}

fn token(lab: &Lab, mark: &str, file: &str) -> String {
    let token = lab.token(mark);
    lab.write(file, token.as_bytes());
    token
}

/// Runs a script as the user while a session of theirs is on.
fn in_session(lab: &Lab, state: &str, script: &str) -> Output {
    lab.as_user(&format!("$REPO/tests/lab/session {state} {}", driver::script(lab, script)))
}

#[track_caller]
fn says(lab: &Lab, state: &str, script: &str) -> String {
    let output = in_session(lab, state, script);
    assert!(output.succeeded(), "{script}\n{output}");
    output.text().to_owned()
}

#[test]
fn what_is_put_is_found_by_others_and_can_be_replaced_and_removed() {
    let Some(lab) = with_token("keyring-put") else { return };
    token(&lab, "SECOND", "second");
    let said = says(
        &lab,
        "unlocked",
        &format!(
            r#"driver '["state"]'
            driver '["find",{MINE}]'
            driver '["put",{MINE}]' <$W/token
            tool lookup service dev.keyslip account claude/default; echo
            driver '["put",{MINE}]' <$W/second
            driver '["find",{MINE}]'
            driver '["many",{MINE}]'
            driver '["remove",{MINE}]'
            driver '["remove",{MINE}]'
            driver '["find",{MINE}]'
            tool lookup service dev.keyslip account claude/default || echo gone"#
        ),
    );
    let found = r#"1 {"account": "claude/default", "service": "dev.keyslip"} Keyslip: a test <SECOND>"#;
    assert_eq!(said, format!("Unlocked\n0 \nput\n<TOKEN>\nput\n{found}\ndone\n1\n0\n0 \ngone"));
}

#[test]
fn what_has_more_attributes_is_another_item() {
    let Some(lab) = with_token("keyring-exact") else { return };
    for name in ["SECOND", "THIRD"] {
        token(&lab, name, name);
    }
    // The last one, with fewer attributes, would take the place of the others if it were up to
    // gnome-keyring.
    let said = says(
        &lab,
        "unlocked",
        r#"driver '["put","service=s","account=a"]' <$W/token
        driver '["put","service=s","account=b"]' <$W/SECOND
        driver '["put","service=s"]' <$W/THIRD
        driver '["find","service=s"]'
        driver '["remove","service=s"]'
        driver '["find","service=s"]'"#,
    );
    let (a, b) = (
        r#"{"account": "a", "service": "s"} Keyslip: a test <TOKEN>"#,
        r#"{"account": "b", "service": "s"} Keyslip: a test <SECOND>"#,
    );
    let c = r#"{"service": "s"} Keyslip: a test <THIRD>"#;
    assert_eq!(said, format!("put\nput\nput\n3 {a} | {b} | {c}\n1\n2 {a} | {b}"));
}

#[test]
fn an_item_of_another_program_is_found_and_survives_the_daemon() {
    let Some(lab) = with_token("keyring-other") else { return };
    says(&lab, "unlocked", "tool store --label=Login service 'Codex Auth' account 'cli|x' <$W/token");
    // Read from its file again, it has attributes that the service added.
    let said = says(
        &lab,
        "unlocked",
        r#"tool search service 'Codex Auth' 2>&1 | grep schema
        driver '["find","service=Codex Auth"]'
        driver '["remove","service=Codex Auth","account=cli|x"]'"#,
    );
    let found = r#"1 {"account": "cli|x", "service": "Codex Auth"} Login <TOKEN>"#;
    assert_eq!(said, format!("schema = org.freedesktop.Secret.Generic\n{found}\n1"));
}

#[test]
fn nobody_on_the_bus_sees_the_secret() {
    let Some(lab) = open("keyring-bus") else { return };
    let canary = token(&lab, "TOKEN", "token");
    let said = says(
        &lab,
        "unlocked",
        &format!(
            r#"DBUS_SESSION_BUS_ADDRESS=$bus dbus-monitor >~/monitor 2>&1 & monitor=$!
            until grep -q NameLost ~/monitor; do sleep 0.05; done
            driver '["put",{MINE}]' <$W/token
            driver '["find",{MINE}]'
            sleep 0.5; kill $monitor; grep -c 'member=CreateItem\|member=GetSecret' ~/monitor"#
        ),
    );
    assert!(said.contains("<TOKEN>") && said.ends_with("\n2"), "{said}");
    assert_eq!(lab.leaks(&["/home/labuser"], &canary), [""; 0]);
}

#[test]
fn a_locked_keyring_is_not_an_empty_one_and_nobody_is_asked() {
    let Some(lab) = with_token("keyring-locked") else { return };
    says(&lab, "unlocked", &format!(r#"driver '["put",{MINE}]' <$W/token"#));
    let requests = format!(
        r#"driver '["state"]'
        for request in '["find",{MINE}]' '["find","service=other"]' '["remove",{MINE}]' '["put",{MINE}]'; do
            driver "$request" <$W/token
        done"#
    );
    let monitored = format!(
        r#"DBUS_SESSION_BUS_ADDRESS=$bus dbus-monitor >~/monitor 2>&1 & monitor=$!
        until grep -q NameLost ~/monitor; do sleep 0.05; done
        {requests}
        kill $monitor; grep -q member=SearchItems ~/monitor
        grep -c 'member=Unlock\|member=Prompt\|/prompt/' ~/monitor || true"#
    );
    let locked = "Locked: the keyring is locked; unlock it (log in on the desktop, or open its password program), or use `--store file`";
    let expected = format!("Locked\n{locked}\n{locked}\n{locked}\n{locked}");
    assert_eq!(says(&lab, "locked", &monitored), format!("{expected}\n0"), "never unlocked");
    let lock = "DBUS_SESSION_BUS_ADDRESS=$bus busctl --user --quiet call org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service Lock ao 1 /org/freedesktop/secrets/collection/login";
    assert_eq!(says(&lab, "unlocked", &format!("{lock}\n{requests}")), expected, "locked again");
}

#[test]
fn a_keyring_that_was_never_set_up() {
    let Some(lab) = with_token("keyring-fresh") else { return };
    let said = says(
        &lab,
        "fresh",
        &format!(
            r#"driver '["state"]'
            driver '["put",{MINE}]' <$W/token
            driver '["find",{MINE}]'
            driver '["remove",{MINE}]'"#
        ),
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[2], lines[3]), ("Uninitialised", "0 ", "0"), "{said}");
    assert!(lines[1].starts_with("Uninitialised: the keyring was never set up"), "{said}");
}

#[test]
fn without_a_bus_or_a_service_there_is_no_keyring() {
    let Some(lab) = open("keyring-none") else { return };
    let call = driver::script(&lab, r#"driver '["open"]'"#);
    let nobody = lab.as_user(&call);
    assert!(nobody.text().starts_with("Unreachable: no keyring can be reached (the session bus"), "{nobody}");
    assert!(nobody.text().contains("/run/user/4100/bus") && nobody.text().contains("`--store file`"), "{nobody}");
    let elsewhere = lab.as_user(&format!("export DBUS_SESSION_BUS_ADDRESS=tcp:host=127.0.0.1,port=1; {call}"));
    assert!(elsewhere.text().contains("is no local socket"), "{elsewhere}");
    let empty = says(&lab, "bus", r#"driver '["open"]'"#);
    assert!(empty.starts_with("Unreachable:") && empty.contains("no keyring service on the session bus"), "{empty}");
}

#[test]
fn root_of_a_user_namespace_is_still_that_user() {
    let Some(lab) = with_token("keyring-userns") else { return };
    let said = says(
        &lab,
        "unlocked",
        &format!(
            r#"driver '["put",{MINE}]' <$W/token
            export -f driver
            unshare --user --map-root-user bash -c 'id -u; driver "[\"find\",\"service=dev.keyslip\"]"'
            podman unshare bash -c 'id -u; driver "[\"find\",\"service=dev.keyslip\"]"'"#
        ),
    );
    let found = r#"1 {"account": "claude/default", "service": "dev.keyslip"} Keyslip: a test <TOKEN>"#;
    assert_eq!(said, format!("put\n0\n{found}\n0\n{found}"));
}

#[test]
fn root_is_refused_by_a_users_bus_and_told_what_to_do() {
    let Some(lab) = open("keyring-root") else { return };
    let call = driver::script(&lab, r#"export DBUS_SESSION_BUS_ADDRESS=$bus; driver '["open"]'"#);
    let output = lab.sh(&format!("$REPO/tests/lab/session unlocked {call}"));
    assert_eq!(
        output.text(),
        "Refused: the session bus refuses this user (it is that of uid 4100, and this is uid 0); run this as the user whose session it is, or use `--store file`",
        "{output}"
    );
}

#[test]
fn a_keyring_that_hangs_is_given_up() {
    let Some(lab) = with_token("keyring-hangs") else { return };
    let said = says(
        &lab,
        "unlocked",
        r#"pid=$(DBUS_SESSION_BUS_ADDRESS=$bus busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetConnectionUnixProcessID s org.freedesktop.secrets)
        pid=${pid#u }
        trap 'kill -CONT $pid' EXIT
        kill -STOP $pid
        SECONDS=0; driver '["open"]'; echo $((SECONDS < 8))"#,
    );
    assert!(said.starts_with("TimedOut: the keyring did not answer within 5 s") && said.ends_with("\n1"), "{said}");
}
