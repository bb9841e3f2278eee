//! A process in the container that reads its login in a tight loop while it is changed a thousand times.

use crate::lab::{Bare, Lab};
use crate::setup;

/// How often the login is changed.
const SYNCS: u32 = 1000;

/// Logs in and syncs over and over; `login` has places for a number and for some more text, of a length
/// that changes. `runtime` is the shim, or a runtime whose bundle has `hooks`. The reader compares the strings `keys`, which both hold the number.
fn never_sees_half(hooks: &str, runtime: &str, agent: &str, login: &str, file: &str, keys: &str) {
    let Some(lab) = Lab::new(&format!("hooks-reader-{agent}")) else { return };
    lab.mark("PART", "FAKE-reader");
    setup::compile(&lab, "reader");
    lab.write("login", login.as_bytes());
    lab.ok(&format!("t=$(cat $W/login); t=${{t//@MORE@/}}; printf %s \"${{t//@N@/0}}\" | keyslip auth login {agent}"));
    let args: Vec<&str> =
        ["/reader", file].into_iter().chain(keys.split(' ')).chain(["/tmp/stop", "/tmp/result"]).collect();
    let edit = format!(
        r#"{hooks} | .annotations["dev.keyslip.agents"]="{agent}" | .process.env+=["HOME=/home/dev"] | .process.args={args:?}"#
    );
    let bundle = lab.bundle("b", &edit);
    lab.ok(&format!("cp $W/reader {bundle}/rootfs/reader"));
    let mut container = Bare::new(&lab, "", "reader", &bundle);
    runtime.clone_into(&mut container.shim);
    container.start();
    let updated = lab.ok(&format!(
        r#"t=$(cat $W/login); for i in $(seq {SYNCS}); do
            printf -v more '%*s' $((i * 37 % 500)) ''; u=${{t//@MORE@/${{more// /x}}}}
            printf %s "${{u//@N@/$i}}" | keyslip auth login {agent} >/dev/null; keyslip sync; done | grep -c 'was updated'"#
    ));
    assert_eq!(updated, SYNCS.to_string(), "every sync brought the login");
    let result = lab.ok(&format!("touch {bundle}/rootfs/tmp/stop; for i in $(seq 100); do [ -s {bundle}/rootfs/tmp/result ] && break; sleep 0.05; done; cat {bundle}/rootfs/tmp/result"));
    println!("{agent} on {runtime}: reads, torn, different: {result}");
    let numbers: Vec<u64> = result.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [reads, torn, different] = numbers[..] else { panic!("{result:?}") };
    assert!(reads > 10_000, "only {reads} reads");
    assert_eq!(torn, 0, "of {reads} reads");
    assert!(different > u64::from(SYNCS) / 2, "the reader saw only {different} of {SYNCS} values");
    lab.ok(&format!("{} delete --force {}", container.shim, container.id));
    lab.assert_nothing_left(agent);
}

#[test]
fn a_codex_login_is_never_seen_torn_or_empty() {
    let login = r#"{"tokens":{"id_token":"FAKE","access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-reader-@MORE@-@N@","refresh_token":"FAKE-reader-refresh","account_id":"@N@"}}"#;
    never_sees_half(
        &setup::hooks("createRuntime", &[]),
        "runc",
        "codex",
        login,
        "/home/dev/.codex/auth.json",
        "access_token account_id",
    );
}

#[test]
fn a_claude_login_is_never_seen_torn_or_empty() {
    let login = r#"{"claudeAiOauth":{"accessToken":"FAKE-reader-@MORE@-@N@","refreshToken":"FAKE-reader-refresh","expiresAt":4102444800000,"scopes":["user:inference"],"subscriptionType":"@N@"}}"#;
    never_sees_half(
        ".",
        "$BARE/crun",
        "claude",
        login,
        "/home/dev/.claude/.credentials.json",
        "accessToken subscriptionType",
    );
}
