//! Several accounts of one agent: which one is meant by its name alone, who may ask for another, and
//! what follows the switch into containers that run.

use crate::lab::{Bare, Lab, RUNTIMES};

const WORK: &str = r#".annotations["dev.keyslip.agents"]="claude@work""#;
const SHOW: &str = "echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude";
const RULE: &str = "[[allow]]\nengine = \"bare\"\nagents = [\"claude\"]\naccounts = [\"work\"]\n";

/// A lab with the logins `<CLAUDE>` and, for the account work, `<WORK>`.
fn with_two(name: &str) -> Option<Lab> {
    let lab = Lab::with_claude(&format!("accounts-{name}"))?;
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.configure("");
    Some(lab)
}

fn selected(lab: &Lab) -> String {
    lab.ok("keyslip auth status claude --json | jq -r '.[] | select(.selected) | .account'")
}

fn try_to_start(lab: &Lab, runtime: &str, id: &str, agent: &str) -> crate::lab::Output {
    let bundle = lab.bundle(id, &format!(r#".annotations={{"dev.keyslip.agents":"{agent}"}}"#));
    Bare::new(lab, runtime, id, &bundle).create()
}

#[test]
fn the_account_that_was_switched_to_is_meant_by_the_agents_name_alone() {
    let Some(lab) = with_two("switch") else { return };
    assert_eq!(selected(&lab), "default");
    for runtime in RUNTIMES {
        for (account, mark) in [("work", "<WORK>"), ("default", "<CLAUDE>")] {
            lab.ok(&format!("keyslip auth switch claude {account}"));
            assert_eq!(selected(&lab), account);
            assert!(lab.ok("keyslip auth status").contains(&format!("{account}*")), "it is marked");
            let container = Bare::started(&lab, runtime, "");
            assert_eq!(container.exec(SHOW), format!("{mark}\n{mark}"), "{runtime}: {account}");
            assert!(container.main_env().contains(&format!("CLAUDE_CODE_OAUTH_TOKEN={mark}")), "{runtime}: {account}");
            container.end();
        }
    }
    let nowhere = lab.sh("keyslip auth switch claude private");
    assert!(!nowhere.succeeded() && nowhere.stderr.contains("--account private"), "{nowhere}");
    assert_eq!(selected(&lab), "default", "a switch to nowhere changes nothing");
    lab.ok("keyslip auth switch claude work");
    lab.ok("keyslip auth logout claude --account work");
    assert_eq!(selected(&lab), "default", "with its login the switch is gone");
    assert_eq!(lab.ok("ls /var/lib/keyslip/tokens"), "claude-oauth.json");
    lab.ok("keyslip auth switch claude default");
    let broken = lab.sh("touch /var/lib/keyslip/tokens/claude.account; chmod 600 /var/lib/keyslip/tokens/claude.account; keyslip plan --bundle $W/crun-* 2>&1 | head -3; keyslip auth switch claude default && keyslip auth status claude --json | jq -r '.[].selected'");
    assert!(broken.stdout.ends_with("true\n"), "a broken note can be mended: {broken}");
}

#[test]
fn another_account_needs_a_rule_and_a_rule_can_pin_one() {
    let Some(lab) = with_two("rules") else { return };
    for runtime in RUNTIMES {
        lab.configure("");
        lab.ok("keyslip auth switch claude work");
        let denied = try_to_start(&lab, runtime, &format!("{runtime}-denied"), "claude@work");
        assert!(
            !denied.succeeded() && denied.stderr.contains("claude@work, which no [[allow]] rule permits"),
            "{denied}"
        );
        let rule =
            denied.stderr.split("allow-bare.toml: ").nth(1).unwrap_or_default().lines().next().unwrap_or_default();
        lab.ok("keyslip auth switch claude default");
        lab.configure(rule.trim_end_matches('"'));
        let work = Bare::started(&lab, runtime, WORK);
        assert_eq!(work.exec(SHOW), "<WORK>\n<WORK>", "{runtime}: by {rule}");
        work.end();
        // A pinned account is given whatever is asked for, and whatever was switched to.
        lab.configure("[[allow]]\nname = [\"crun-pin*\", \"runc-pin*\"]\nagents = [\"claude\"]\naccount = \"work\"\n");
        for agent in ["claude", "claude@work"] {
            let id = format!("{runtime}-pin-{}", agent.len());
            let edit = format!(r#".annotations={{"dev.keyslip.agents":"{agent}"}}"#);
            let container = Bare::new(&lab, runtime, &id, &lab.bundle(&id, &edit));
            container.start();
            assert_eq!(container.exec(SHOW), "<WORK>\n<WORK>", "{id}");
            lab.ok("keyslip sync");
            assert_eq!(container.exec(SHOW), "<WORK>\n<WORK>", "{id}: after a sync");
            container.end();
        }
        let other = try_to_start(&lab, runtime, &format!("{runtime}-pinned"), "claude@private");
        assert!(!other.succeeded() && other.stderr.contains("with the account work alone"), "{other}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_switch_reaches_running_containers_by_a_sync_and_revoke_finds_them() {
    let Some(lab) = with_two("switch-sync") else { return };
    lab.configure(RULE);
    for (runtime, end) in
        RUNTIMES.into_iter().zip(["keyslip revoke --account claude@work", "keyslip auth logout claude --account work"])
    {
        let [by_switch, always] = ["", WORK].map(|edit| Bare::started(&lab, runtime, edit));
        assert_eq!(
            [&by_switch, &always].map(|it| it.exec(SHOW)),
            ["<CLAUDE>\n<CLAUDE>", "<WORK>\n<WORK>"],
            "{runtime}"
        );
        lab.ok("keyslip auth switch claude work");
        let sync = lab.ok("keyslip sync");
        assert!(sync.contains("claude was updated") && sync.contains("claude@work is current"), "{runtime}: {sync}");
        assert_eq!(by_switch.exec(SHOW), "<WORK>\n<WORK>", "{runtime}");
        assert!(by_switch.main_env().contains("=<CLAUDE>"), "{runtime}: a process keeps what it has");
        assert_eq!(lab.ok("keyslip sync | grep -c 'is current'"), "2", "{runtime}");
        let none = lab.ok("keyslip revoke --account claude");
        assert!(none.contains("no container that runs holds it"), "{runtime}: {none}");
        let said = lab.ok(end);
        assert_eq!(said.matches("took away claude@work").count(), 2, "{runtime}: {said}");
        let new = "echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; ls -A /run/secrets";
        assert_eq!([&by_switch, &always].map(|it| it.exec(new)), ["none", "none"], "{runtime}");
        lab.ok("keyslip sync");
        assert_eq!(by_switch.exec(new), "none", "{runtime}: nothing is brought back");
        lab.ok("keyslip auth switch claude default");
        by_switch.end();
        always.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_container_that_started_through_the_switch_is_hit_by_a_logout_and_no_other() {
    let Some(lab) = with_two("switch-held") else { return };
    lab.ok("keyslip auth switch claude work");
    let work = Bare::started(&lab, "crun", "");
    lab.ok("keyslip auth switch claude default");
    let default = Bare::started(&lab, "runc", "");
    assert_eq!([&work, &default].map(|it| it.exec("cat /run/secrets/claude")), ["<WORK>", "<CLAUDE>"]);
    let said = lab.ok("keyslip auth logout claude --account work");
    assert_eq!(said.matches("took away").count(), 1, "{said}");
    let show = "cat /run/secrets/claude 2>/dev/null || echo none";
    assert_eq!([&work, &default].map(|it| it.exec(show)), ["none", "<CLAUDE>"]);
    work.end();
    default.end();
}

#[test]
fn a_sync_after_a_switch_to_the_same_token_knows_whose_it_is() {
    let Some(lab) = Lab::new("accounts-same-token") else { return };
    lab.configure("");
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.login_account("claude", "work", &token);
    let container = Bare::started(&lab, "crun", "");
    lab.ok("keyslip auth switch claude work; keyslip sync");
    let said = lab.ok("keyslip revoke --account claude@work");
    assert!(said.contains("took away claude@work"), "{said}");
    assert_eq!(container.exec("ls -A /run/secrets"), "");
    container.end();
}

#[test]
fn a_logout_and_a_switch_at_once_leave_no_switch_to_nowhere() {
    let Some(lab) = with_two("switch-race") else { return };
    // The logout rests for a moment after the first file that it removes.
    lab.ok("keyslip auth switch claude work
        strace -f -qq -o /dev/null -e trace=unlink -e inject=unlink:delay_exit=600000:when=1 keyslip auth logout claude --account work & logout=$!
        sleep 0.3; keyslip auth switch claude work || true; wait $logout");
    assert_eq!(lab.ok("keyslip auth status claude --json | jq -r '.[] | .account'"), "default");
    let container = Bare::started(&lab, "crun", "");
    assert_eq!(container.exec(SHOW), "<CLAUDE>\n<CLAUDE>");
    container.end();
}

#[test]
fn without_a_key_for_fingerprints_a_sync_brings_a_new_login_all_the_same() {
    let Some(lab) = with_two("no-fingerprints") else { return };
    lab.ok("mkdir -p /var/lib/keyslip/fingerprint.key");
    let container = Bare::started(&lab, "crun", "");
    lab.login("claude", &lab.token("NEW"));
    lab.ok("keyslip sync");
    assert_eq!(container.exec(SHOW), "<NEW>\n<NEW>");
    container.end();
}
