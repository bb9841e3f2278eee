//! `[store.command]`: credentials come from a program, through the shim and the hook.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::session::{hook, in_time, processes};

const SETTINGS: &str = "[store]\nbackend = \"command\"\n[store.command]\nargv = [\"/etc/keyslip/helper\", \"{agent}\", \"{account}\"]\ntimeout_seconds = 1\n";

/// Makes a script of bash the helper; `$1` and `$2` are agent and account.
fn helper(lab: &Lab, script: &str) {
    lab.write("/etc/keyslip/helper", format!("#!/bin/bash\n{script}\n").as_bytes());
    lab.ok("chmod 700 /etc/keyslip/helper");
}

#[test]
fn what_the_helper_gives_is_in_the_container_and_a_sync_brings_another() {
    let Some(lab) = Lab::new("accounts-command") else { return };
    lab.configure(&format!("{SETTINGS}[[allow]]\nagents = [\"claude\"]\naccounts = [\"work\"]\n"));
    let tokens = [("claude", "default", lab.token("ONE")), ("claude", "work", lab.token("WORK"))];
    for (agent, account, token) in &tokens {
        lab.write(&format!("/etc/keyslip/{agent}-{account}"), token.as_bytes());
    }
    helper(&lab, r#"printf '{"credential": "%s", "expiresAt": "2099-01-01T00:00:00Z"}' "$(cat /etc/keyslip/$1-$2)""#);
    for runtime in RUNTIMES {
        let shim = Bare::started(&lab, runtime, "");
        assert!(shim.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<ONE>"), "{runtime}");
        let id = format!("{runtime}-hook");
        let mut hook = Bare::new(
            &lab,
            runtime,
            &id,
            &lab.bundle(&id, &format!(r#".annotations={{"dev.keyslip.agents":"claude"}} | {}"#, hook())),
        );
        hook.shim = runtime.to_owned();
        hook.start();
        let work = Bare::started(&lab, runtime, r#".annotations["dev.keyslip.agents"]="claude@work""#);
        let show = "cat /run/secrets/claude";
        assert_eq!([&shim, &hook, &work].map(|it| it.exec(show)), ["<ONE>", "<ONE>", "<WORK>"], "{runtime}");
        let origin = lab.ok("keyslip list --json | jq -r '.[].agents[] | .origin + \" \" + .expires' | sort -u");
        assert_eq!(origin, "credential-helper 2099-01-01T00:00:00Z", "{runtime}");
        lab.write("/etc/keyslip/claude-default", lab.token("TWO").as_bytes());
        assert_eq!(lab.ok("keyslip sync | grep -c 'claude was updated'"), "2", "{runtime}");
        assert_eq!([&shim, &hook, &work].map(|it| it.exec(show)), ["<TWO>", "<TWO>", "<WORK>"], "{runtime}");
        lab.write("/etc/keyslip/claude-default", tokens[0].2.as_bytes());
        [&shim, &hook, &work].into_iter().for_each(Bare::end);
        lab.assert_nothing_left(runtime);
    }
    assert_eq!(lab.ok("ls /var/lib/keyslip/tokens 2>/dev/null || true"), "", "nothing is stored");
    // A login of one's own would be asked for and then forgotten.
    let login = lab.sh("echo sk-ant-oat01-FAKE | keyslip auth login claude");
    assert!(!login.succeeded() && login.stderr.contains("--store file"), "{login}");
}

/// Helpers that do not do what they should: what they do, and what the container's warning says.
const BAD: &[(&str, &str, &str)] = &[
    (
        "fails with the token in its complaint",
        "echo \"403 for $(cat /etc/keyslip/token)\" >&2; exit 7",
        "failed with exit code 7: 403 for [...]",
    ),
    ("prints the token and fails", "cat /etc/keyslip/token; exit 1", "failed with exit code 1"),
    ("prints no JSON", "cat /etc/keyslip/token", "gave no answer that can be used"),
    ("prints nothing", "true", "gave no answer that can be used"),
    ("prints an empty credential", r#"echo '{"credential": ""}'"#, "the credential is empty"),
    (
        "has one that has expired",
        r#"echo "{\"credential\": \"$(cat /etc/keyslip/token)\", \"expiresAt\": \"2026-01-01T00:00:00Z\"}""#,
        "expired",
    ),
    ("has none", r#"echo '{"credential": null}'"#, "no credential"),
    ("prints too much", r#"yes "$(cat /etc/keyslip/token)""#, "printed more than 1 MiB"),
    ("is killed", "kill -9 $$", "failed with signal 9"),
    ("waits", "sleep 1000 & sleep 1000", "did not end within 1 s"),
    ("leaves somebody behind", "sleep 1000 & exit 1", "failed with exit code 1"),
    ("does not answer to the end of its time", "trap '' TERM; exec >&-; sleep 1000", "did not end within 1 s"),
];

#[test]
fn a_helper_that_misbehaves_is_a_warning_without_its_words() {
    let Some(lab) = Lab::new("accounts-command-bad") else { return };
    let token = lab.token("CLAUDE");
    lab.configure(SETTINGS);
    lab.write("/etc/keyslip/token", token.as_bytes());
    for (number, (what, script, said)) in BAD.iter().enumerate() {
        helper(&lab, script);
        let container = in_time(9, what, || Bare::started(&lab, RUNTIMES[number % 2], ""));
        let warnings = lab.ok("keyslip list --json | jq -r '.[] | .state, .warnings[]'");
        assert!(warnings.starts_with("pending\n") && warnings.contains(said), "{what}: {warnings}");
        assert!(!warnings.contains("<CLAUDE>"), "{what}: {warnings}");
        assert_eq!(processes(&lab, "sleep 1000|/etc/keyslip/helper|credential get"), "", "{what}: still running");
        container.end();
        lab.assert_nothing_left(what);
    }
    for (change, said) in [
        ("chmod 702 /etc/keyslip/helper", "can be written by everybody"),
        ("chmod 600 /etc/keyslip/helper", "cannot be started"),
        ("rm /etc/keyslip/helper", "cannot be started"),
    ] {
        lab.ok(change);
        let container = Bare::started(&lab, "crun", "");
        let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
        assert!(warnings.contains(said), "{change}: {warnings}");
        container.end();
    }
    assert_eq!(lab.leaks(&["/run /var/lib/keyslip /var/tmp"], &token), [""; 0]);
}

pub fn a_helper_that_hangs_for_as_long_as_it_may_does_not_end_the_hook() {
    let Some(lab) = Lab::new("accounts-command-hang") else { return };
    lab.configure(&SETTINGS.replace("timeout_seconds = 1\n", ""));
    helper(&lab, "sleep 1000");
    let edit = format!(r#".annotations={{"dev.keyslip.agents":"claude"}} | {}"#, hook());
    let mut container = Bare::new(&lab, "crun", "hook", &lab.bundle("hook", &edit));
    container.shim = "crun".to_owned();
    container.start();
    let warnings = lab.ok("keyslip list --json | jq -r '.[] | .state, .warnings[]'");
    assert!(warnings.starts_with("pending\n") && warnings.contains("did not end within 10 s"), "{warnings}");
    assert_eq!(processes(&lab, "sleep 1000|credential get"), "", "still running");
    container.end();
}
