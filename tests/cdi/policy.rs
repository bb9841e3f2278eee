//! What is refused, and how the person who asked learns of it.

use crate::lab::{RUNTIMES, Tree};
use crate::setup::{self, CLAUDE, TREES};

/// The one sentence about the last refusal.
const REASON: &str = "keyslip status --json | jq -r '[.problems[].reason | values] | last'";

#[test]
fn an_account_without_a_rule_is_refused_in_one_sentence_that_says_what_to_write() {
    for (tree, engine) in TREES {
        let Some(lab) = setup::podman(tree, "denied") else { return };
        let login = lab.token("WORK");
        lab.write("token", login.as_bytes());
        let said = lab.ok("keyslip auth login claude --account work <$W/token; rm $W/token");
        assert!(said.contains("/etc/cdi/keyslip.json has none for it; `keyslip cdi generate` adds it"), "{said}");
        lab.ok("keyslip cdi generate");
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            lab.configure("");
            lab.ok("rm -rf /etc/keyslip/conf.d");
            let run = format!(
                "podman --runtime {runtime} run --rm --device keyslip.dev/agent=claude.work bb cat /run/secrets/claude"
            );
            let denied = lab.sh(&run);
            assert!(!denied.succeeded() && denied.stdout.is_empty(), "{what}: {denied}");
            // crun shows the exit code of a hook and nothing that it said.
            let reason = if runtime == "runc" { denied.stderr.clone() } else { lab.ok(REASON) };
            assert!(reason.contains("cdi asks for claude@work, which no [[allow]] rule permits"), "{what}: {reason}");
            assert_eq!(lab.ok("podman ps -aq"), "", "{what}");
            lab.assert_nothing_left(&what);
            let reason = lab.ok(REASON);
            let (file, rule) =
                reason.split_once("write into ").and_then(|(_, advice)| advice.split_once(": ")).expect("advice");
            lab.ok("mkdir -p /etc/keyslip/conf.d");
            lab.write(file, rule.as_bytes());
            assert_eq!(lab.ok(&run), "<WORK>", "{what}");
        }
    }
}

#[test]
fn without_default_rights_a_device_needs_a_rule() {
    let Some(lab) = setup::podman(Tree::Debian12, "no-default") else { return };
    for runtime in RUNTIMES {
        lab.configure("no_default_allow = true\n");
        let run = format!("podman --runtime {runtime} run --rm {CLAUDE} bb cat /run/secrets/claude");
        assert!(!lab.sh(&run).succeeded(), "{runtime}");
        lab.configure("no_default_allow = true\n[[allow]]\nform = \"cdi\"\nagents = [\"claude\"]\n");
        assert_eq!(lab.ok(&run), "<CLAUDE>", "{runtime}");
    }
}

#[test]
fn a_device_that_nobody_offers_is_the_engines_to_refuse() {
    for (tree, engine) in TREES {
        let Some(lab) = setup::podman(tree, "unknown") else { return };
        for runtime in RUNTIMES {
            let run = lab.sh(&format!("podman --runtime {runtime} run --rm --device keyslip.dev/agent=nobody bb true"));
            assert!(!run.succeeded(), "{engine}, {runtime}: {run}");
            assert!(run.stderr.contains("keyslip.dev/agent=nobody"), "{engine}, {runtime}: {run}");
            assert_eq!(lab.ok("podman ps -aq"), "", "{engine}, {runtime}");
            lab.assert_nothing_left(engine);
        }
    }
}

#[test]
fn two_accounts_of_one_agent_are_refused() {
    let Some(lab) = setup::podman(Tree::Debian12, "accounts") else { return };
    lab.ok("keyslip cdi generate --account work");
    for runtime in RUNTIMES {
        let run = lab.sh(&format!("podman --runtime {runtime} run --rm {CLAUDE} {CLAUDE}.work bb true"));
        assert!(!run.succeeded(), "{runtime}: {run}");
        assert_eq!(lab.ok(REASON), "two accounts are asked for claude, default and work; a container can have one");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_container_asks_in_one_way() {
    let Some(lab) = setup::podman(Tree::Debian12, "ways") else { return };
    lab.login("codex", "sk-FAKE-codex");
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    // The shim has delivered before the device's hook is called.
    lab.ok("sed -i -E 's#^(crun|runc) = .*#\\1 = [\"/usr/libexec/keyslip/podman/\\1\"]#' $CONTAINERS_CONF");
    for runtime in RUNTIMES {
        let run = |agents: &str| {
            lab.sh(&format!(
                "podman --runtime {runtime} run --rm {CLAUDE} --annotation 'dev.keyslip.agents={agents}' bb sh -c 'ls /run/secrets; echo ${{CLAUDE_CODE_OAUTH_TOKEN-none}}'"
            ))
        };
        let refused = run("codex");
        assert!(!refused.succeeded(), "{runtime}: {refused}");
        let reason = lab.ok(REASON);
        assert!(
            reason.ends_with("asks for codex by annotation, and otherwise for claude; ask for everything in one way"),
            "{reason}"
        );
        lab.assert_nothing_left(&format!("{runtime}, refused"));
        // What the device asks for is there already, with its variable.
        for agents in ["claude", "claude codex"] {
            let served = run(agents);
            let expected = format!("{}\n<CLAUDE>", agents.replace(' ', "\n"));
            assert_eq!(served.text(), expected, "{runtime}: {served}");
            lab.assert_nothing_left(runtime);
        }
    }
}

#[test]
fn a_hook_directory_and_a_device_do_not_hide_each_others_files() {
    let Some(lab) = setup::podman(Tree::Debian12, "hooks") else { return };
    lab.write("/etc/keyslip/openai", b"FAKE-openai");
    lab.configure("[secrets]\nopenai = \"/etc/keyslip/openai\"\n[engines.podman]\ntrust_annotations = true\n");
    // Without precreate both deliver at the same stage, one after the other.
    lab.ok("keyslip install hooks; rm /etc/keyslip/hooks.d/*precreate*");
    for runtime in RUNTIMES {
        let run = |asks: &str| {
            lab.sh(&format!(
                "podman --hooks-dir /etc/keyslip/hooks.d --runtime {runtime} run --rm {CLAUDE} --annotation '{asks}' bb ls /run/secrets"
            ))
        };
        for asks in ["dev.keyslip.secrets=openai", "dev.keyslip.agents=codex"] {
            let refused = run(asks);
            assert!(!refused.succeeded(), "{runtime}, {asks}: {refused}");
            let reason = lab.ok(REASON);
            assert!(reason.ends_with("; ask for everything in one way"), "{runtime}, {asks}: {reason}");
            lab.assert_nothing_left(&format!("{runtime}, {asks}"));
        }
        assert_eq!(run("dev.keyslip.agents=claude").text(), "claude", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}
