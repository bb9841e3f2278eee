//! A session bus that takes connections and never answers: a crashed desktop leaves one behind. No
//! container waits for it longer than its start may take, and nothing goes on waiting.

use crate::lab::{Bare, Lab};
use crate::session::{Session, hook, in_time, logged_in, processes, started_at_once, user};

/// Longest that a start may take. One wait for the bus takes five seconds.
const LIMIT: u64 = 14;

/// Listens as the user where the bus should be.
fn silence(lab: &Lab) {
    let listen = r#"perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 50) or die; push @c, $s->accept while 1' /run/user/4100/bus"#;
    user(lab, &format!("{listen} >/dev/null 2>&1 & until [ -S /run/user/4100/bus ]; do sleep 0.02; done"));
}

/// Starts a container that asks for `agents` through the shim, and one through the hook; their warnings.
#[track_caller]
fn starts(lab: &Lab, agents: &str) -> [String; 2] {
    let ask = format!(r#".annotations={{"dev.keyslip.agents":"{agents}"}}"#);
    let containers = [("shim", "$BARE/crun", ask.clone()), ("hook", "crun", format!("{ask} | {}", hook()))].map(
        |(id, shim, edit)| {
            let mut container = Bare::new(lab, "crun", id, &lab.bundle(id, &edit));
            container.shim = shim.to_owned();
            container
        },
    );
    in_time(LIMIT, "the start of both", || started_at_once(lab, &containers));
    assert_eq!(processes(lab, "^/usr/libexec/keyslip"), "", "still running");
    let warnings = containers.map(|container| {
        let warnings = lab.ok(&format!(
            "keyslip list --json | jq -r '.[] | select(.container==\"{}\") | .state, .warnings[]'",
            container.id
        ));
        container.end();
        warnings
    });
    lab.assert_nothing_left("a dead bus");
    warnings
}

pub fn a_start_with_a_dead_bus_comes_back_with_a_warning() {
    let Some(lab) = Lab::new("accounts-dead-bus") else { return };
    lab.configure("owner = \"labuser\"\n");
    let session = Session::begin(&lab, "unlocked");
    let token = lab.token("CLAUDE");
    logged_in(&lab, "claude --store keyring", &token);
    logged_in(&lab, "claude --store keyring --account work", &token);
    drop(session);
    silence(&lab);
    for warnings in starts(&lab, "claude") {
        assert!(warnings.starts_with("pending\n"), "{warnings}");
        assert!(warnings.contains("the keyring did not answer within 5 s"), "{warnings}");
    }
    let said = in_time(LIMIT, "both", || {
        user(
            &lab,
            "keyslip auth logout claude --account work >logout & pid=$!
            keyslip auth status --json | jq -r '.[] | select(.account == \"default\") | .state'; wait $pid || cat logout",
        )
    });
    assert!(said.starts_with("unavailable\n"), "{said}");
    assert!(said.contains("the keyring still has it: the keyring did not answer"), "{said}");
    lab.ok("rm /run/user/4100/bus");
}

pub fn a_dead_bus_is_waited_for_once_and_not_for_every_login_that_might_be_there() {
    let Some(lab) = Lab::new("accounts-dead-bus-none") else { return };
    lab.configure("owner = \"labuser\"\n");
    silence(&lab);
    for warnings in starts(&lab, "claude, codex") {
        assert!(warnings.starts_with("pending\n"), "{warnings}");
        assert!(warnings.contains("the keyring did not answer within 5 s"), "{warnings}");
    }
    lab.write("/home/labuser/login", lab.token("CLAUDE").as_bytes());
    let said = in_time(LIMIT, "both", || {
        user(
            &lab,
            "keyslip auth status codex & keyslip auth login claude --store auto <login >said; wait; cat said; rm login",
        )
    });
    assert!(said.contains("no stored login for codex"), "{said}");
    assert!(said.contains("chose file") && said.contains("did not answer"), "{said}");
    // A file is read all the same.
    let container = in_time(5, "a start with a file", || Bare::started(&lab, "crun", ""));
    assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>");
    container.end();
    lab.ok("rm /run/user/4100/bus");
}
