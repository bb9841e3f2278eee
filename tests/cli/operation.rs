//! What an operator alerts on, and what the timer does.

use serde_json::{Value, json};

use crate::lab::{Bare, Lab};

/// Lets a stored login end in so many days.
fn let_end(lab: &Lab, file: &str, days: i64) {
    lab.ok(&format!(
        r#"cd /var/lib/keyslip/tokens; end=$(date -u -d '{days} days 1 hour' +%FT%TZ)
        jq --arg t "$end" '.expiresAt = $t' {file} >new && cat new >{file} && rm new"#
    ));
}

fn status(lab: &Lab) -> Value {
    serde_json::from_str(&lab.ok("keyslip status --json")).expect("JSON")
}

#[test]
fn the_status_has_what_an_operator_alerts_on() {
    let Some(lab) = Lab::with_claude("cli-alerts") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.login_account("claude", "old", &lab.token("OLD"));
    let_end(&lab, "claude-oauth.json", 12);
    let_end(&lab, "claude-oauth@old.json", -3);
    lab.ok("keyslip install podman --trust-annotations");

    let live = Bare::started(&lab, "crun", "");
    let bundle = lab.bundle("pending", r#".annotations={"dev.keyslip.agents":"codex"}"#);
    let pending = Bare::new(&lab, "crun", "pending", &bundle);
    pending.start();
    let bundle = lab.bundle("dead", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    Bare::new(&lab, "crun", "dead", &bundle).start();
    lab.ok("crun delete --force dead");
    let bundle = lab.bundle("denied", r#".annotations={"dev.keyslip.agents":"claude@work"}"#);
    assert!(!Bare::new(&lab, "crun", "denied", &bundle).create().succeeded());

    let report = status(&lab);
    let expected = json!({
        "containers": {"live": 1, "pending": 1, "dead": 1, "unknown": 0},
        "logins": {"valid": 1, "expiring": 1, "expired": 1, "unavailable": 0, "broken": 0},
        "denied": 1,
        "failed": 0,
    });
    assert_eq!(report["counts"], expected);
    let days = |account: &str| {
        let logins = report["logins"].as_array().expect("a list");
        logins.iter().find(|login| login["account"] == account).map(|login| login["daysLeft"].clone())
    };
    assert_eq!(days("default"), Some(json!(12)));
    assert_eq!(days("old"), Some(json!(-3)));
    assert_eq!(days("work"), Some(json!(364)));
    let engines: Vec<(&str, &str)> = report["engines"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| Some((it["engine"].as_str()?, it["mode"].as_str()?)))
        .collect();
    assert_eq!(engines, [("podman", "shim")]);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let shown = lab.ok("keyslip status");
    assert!(shown.contains("engines        podman (shim)"), "{shown}");
    assert!(shown.contains("next: some containers ended without a clean-up; `keyslip sweep`"), "{shown}");
    live.end();
    pending.end();
}

#[test]
fn maintenance_warns_once_a_day_and_at_once_when_it_gets_worse() {
    let Some(lab) = Lab::with_claude("cli-maintain") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    let quiet = lab.sh("keyslip maintain");
    assert_eq!((quiet.code(), quiet.said().as_str()), (Some(0), ""), "{quiet}");

    let_end(&lab, "claude-oauth.json", 12);
    let first = lab.sh("JOURNAL_STREAM=1:2 keyslip maintain");
    assert!(first.succeeded(), "a warning is no failure: {first}");
    assert!(
        first.stderr.starts_with("<4>keyslip: the login for claude (default) ends in 12d"),
        "the journal reads the level: {first}"
    );
    assert!(first.stderr.contains("keyslip auth login claude"), "what to do is said: {first}");
    assert!(!first.stderr.contains("work"), "{first}");
    assert_eq!(lab.sh("keyslip maintain").said(), "", "it has been said");
    assert_eq!(lab.ok("stat -c %a /var/lib/keyslip/warned.json"), "600");

    let_end(&lab, "claude-oauth.json", -1);
    let worse = lab.sh("keyslip maintain");
    assert!(worse.stderr.starts_with("keyslip: the login for claude (default) ended on 20"), "{worse}");
    lab.ok(
        r#"cd /var/lib/keyslip; jq --arg day "$(date -u -d '25 hours ago' +%FT%TZ)" 'map_values(.time = $day)' warned.json >new && cat new >warned.json && rm new"#,
    );
    assert!(lab.sh("keyslip maintain").stderr.contains("claude (default)"), "a day later again");

    lab.login("claude", &lab.token("NEW"));
    assert_eq!(lab.sh("keyslip maintain").said(), "");
    assert_eq!(lab.ok("cat /var/lib/keyslip/warned.json"), "{}", "and nothing is remembered of it");
}

#[test]
fn maintenance_of_roots_warns_of_the_owners_login_before_root_has_any_state() {
    let Some(lab) = Lab::new("cli-maintain-owner") else { return };
    lab.user_login("claude", &lab.token("ALICE"));
    lab.configure("owner = \"labuser\"\n");
    lab.ok(
        r#"cd /home/labuser/.local/state/keyslip/tokens; end=$(date -u -d '12 days 1 hour' +%FT%TZ)
        jq --arg t "$end" '.expiresAt = $t' claude-oauth.json >new && cat new >claude-oauth.json && rm new; rm -rf /var/lib/keyslip"#,
    );
    let first = lab.sh("keyslip maintain");
    assert!(first.succeeded() && first.stderr.contains("claude (default) ends in 12d"), "{first}");
    assert_eq!(lab.ok("stat -c %a /var/lib/keyslip"), "700");
    assert_eq!(lab.sh("keyslip maintain").said(), "");
}

#[test]
fn maintenance_synchronises_and_sweeps_and_one_failure_does_not_keep_it_from_the_rest() {
    let Some(lab) = Lab::with_claude("cli-maintain-all") else { return };
    let live = Bare::started(&lab, "crun", "");
    let bundle = lab.bundle("dead", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    Bare::new(&lab, "crun", "dead", &bundle).start();
    lab.ok("crun delete --force dead");
    lab.ok("touch -d '-61 seconds' /run/keyslip/sandbox/*/*");
    lab.login("claude", &lab.token("NEW"));
    let done = lab.sh("keyslip maintain");
    assert!(done.succeeded(), "{done}");
    assert!(done.stdout.contains("removed 1, "), "{done}");
    assert_eq!(live.exec("cat /run/secrets/claude"), "<NEW>");
    lab.assert_rootfs_untouched(&bundle);

    // A configuration that cannot be read: nothing is renewed, and the sweep is done all the same.
    let bundle = lab.bundle("dead2", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    Bare::new(&lab, "crun", "dead2", &bundle).start();
    lab.ok("crun delete --force dead2");
    lab.ok("touch -d '-61 seconds' /run/keyslip/sandbox/*/*");
    lab.configure("this is no configuration\n");
    let failed = lab.sh("keyslip maintain");
    assert_eq!(failed.code(), Some(1), "{failed}");
    assert!(failed.stdout.contains("removed 1"), "{failed}");
    assert!(failed.stderr.contains("keyslip.toml"), "{failed}");
    lab.configure("");
    live.end();
}
