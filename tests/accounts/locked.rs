//! A keyring that cannot be asked is not one without a login: containers, `auth status` and `sync` say
//! what is wrong, and nothing else takes the login's place.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::session::{BUS, Session, logged_in, user};

/// How a session can be of no use, and what is said of it.
const STATES: [(Option<&str>, &str); 4] = [
    (Some("locked"), "the keyring is locked; unlock it"),
    (Some("bus"), "no keyring service on the session bus"),
    (None, "no keyring can be reached (the session bus unix:path=/run/user/4100/bus"),
    (Some("fresh"), "is kept in the keyring, where it is no more"),
];

/// A lab whose user has a login `<CLAUDE>` in the keyring, which root's engines use; no session is on.
fn with_login(name: &str) -> Option<Lab> {
    let lab = Lab::new(name)?;
    let _session = Session::begin(&lab, "unlocked");
    logged_in(&lab, "claude --store keyring", &lab.token("CLAUDE"));
    drop(_session);
    // The host's own login must not be taken in its place.
    let end = lab.ok("date -d '8 hours' +%s000");
    let host = format!(
        r#"{{"claudeAiOauth":{{"accessToken":"{}","refreshToken":"","expiresAt":{end},"scopes":["user:inference"]}}}}"#,
        lab.token("HOST")
    );
    lab.ok("mkdir /home/labuser/.claude; chown labuser: /home/labuser/.claude");
    lab.write("/home/labuser/.claude/.credentials.json", host.as_bytes());
    lab.ok("cd /home/labuser/.claude; chown labuser: .credentials.json; chmod 600 .credentials.json");
    lab.configure("owner = \"labuser\"\n");
    Some(lab)
}

#[test]
fn a_start_says_what_is_wrong_with_the_keyring() {
    let Some(lab) = with_login("accounts-locked") else { return };
    let ask = r#".annotations={"dev.keyslip.agents":"claude"}"#;
    for (number, (state, why)) in STATES.into_iter().enumerate() {
        let _session = state.map(|state| Session::begin(&lab, state));
        let runtime = RUNTIMES[number % 2];
        let what = format!("{state:?} on {runtime}");
        let container = Bare::started(&lab, runtime, "");
        assert_eq!(
            container.exec(
                "env | grep -c CLAUDE_CODE || true; ls -A /run/secrets; tr -d ' \\n' </root/.claude/.credentials.json"
            ),
            "0\n{}",
            "{what}"
        );
        let warnings = lab.ok("keyslip list --json | jq -r '.[] | .state, .warnings[]'");
        assert!(warnings.starts_with("pending\n") && warnings.contains(why), "{what}: {warnings}");
        assert!(!warnings.contains("no credential"), "{what}: {warnings}");
        let status = user(&lab, "keyslip auth status --json | jq -r '.[] | [.store, .state, .advice] | join(\" \")'");
        assert!(status.starts_with("keyring unavailable ") && status.contains(why), "{what}: {status}");
        let table = user(&lab, "keyslip auth status");
        assert!(table.contains("unavailable") && table.contains(why), "{what}: {table}");
        let sync = lab.ok("keyslip sync");
        assert!(sync.contains("still pending") && sync.contains(why), "{what}: {sync}");
        assert!(!sync.contains("no credential"), "{what}: {sync}");
        container.end();
        lab.configure("owner = \"labuser\"\non_missing = \"fail\"\n");
        let id = format!("strict{number}");
        let strict = Bare::new(&lab, runtime, &id, &lab.bundle(&id, ask)).create();
        assert!(!strict.succeeded() && strict.stderr.contains(why), "{what}: {strict}");
        assert!(!strict.stderr.contains("no credential"), "{what}: {strict}");
        lab.configure("owner = \"labuser\"\n");
        lab.assert_nothing_left(&what);
    }
}

#[test]
fn a_container_that_started_too_early_gets_its_login_by_a_sync_and_keeps_it_when_the_keyring_is_locked() {
    let Some(lab) = with_login("accounts-unlocked") else { return };
    let locked = Session::begin(&lab, "locked");
    let containers = RUNTIMES.map(|runtime| Bare::started(&lab, runtime, ""));
    assert_eq!(lab.ok("keyslip list --json | jq -r '.[].state'"), "pending\npending");
    drop(locked);
    let session = Session::begin(&lab, "unlocked");
    assert_eq!(lab.ok("keyslip sync | grep -c 'was pending and is delivered now'"), "2");
    let holds = |what: &str| {
        for container in &containers {
            let seen = container.exec("cat ~/.claude/.credentials.json");
            let seen: serde_json::Value = serde_json::from_str(&seen).unwrap_or_default();
            assert_eq!(seen["claudeAiOauth"]["accessToken"], "<CLAUDE>", "{what}");
            assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{what}");
        }
    };
    holds("after the sync");
    user(
        &lab,
        &format!(
            "{BUS} busctl --user --quiet call org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service Lock ao 1 /org/freedesktop/secrets/collection/login"
        ),
    );
    let sync = lab.ok("keyslip sync");
    assert!(sync.matches("is kept as it is").count() == 2 && sync.contains("the keyring is locked"), "{sync}");
    assert!(!sync.contains("the store has none"), "{sync}");
    holds("while it is locked");
    drop(session);
    containers.iter().for_each(Bare::end);
    lab.assert_nothing_left("unlocked");
}
