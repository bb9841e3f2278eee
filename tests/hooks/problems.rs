//! podman hides what a hook says, so refusals and failures are found in `keyslip status`.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, ASKS};

/// The newest problem as `keyslip status --json` has it: event, engine, reason.
fn newest(lab: &Lab) -> (String, String, String) {
    let text = lab.ok("keyslip status --json | jq -c '.problems[-1] | [.event, .engine, .reason]'");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_refused_request_is_found_in_status() {
    let Some(lab) = setup::podman("denied") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    for runtime in RUNTIMES {
        let run =
            lab.sh(&format!("podman --runtime {runtime} run --rm --annotation dev.keyslip.agents=claude@work bb true"));
        assert!(!run.succeeded(), "{runtime}: {run}");
        let (event, engine, reason) = newest(&lab);
        assert_eq!((event.as_str(), engine.as_str()), ("denied", "podman"), "{runtime}");
        assert!(reason.contains("claude@work") && reason.contains("[[allow]]"), "{reason}");
        let status = lab.ok("keyslip status");
        assert!(status.contains("refused or failed") && status.contains(&reason), "{status}");
        lab.assert_nothing_left(runtime);
        // The rule that the message gives is one that helps.
        let rule = &reason[reason.find("allow = [").expect("a rule")..];
        lab.ok("mkdir -p /etc/keyslip/conf.d");
        lab.write("/etc/keyslip/conf.d/allow-podman.toml", rule.as_bytes());
        let allowed = lab.ok(&format!(
            "podman --runtime {runtime} run --rm --annotation dev.keyslip.agents=claude@work bb cat /run/secrets/claude"
        ));
        assert_eq!(allowed, "<WORK>", "{runtime}");
        lab.ok("rm /etc/keyslip/conf.d/allow-podman.toml");
    }
    assert_eq!(lab.ok("podman ps -aq"), "");
}

#[test]
fn a_failed_request_is_found_in_status() {
    let Some(lab) = setup::podman("failed") else { return };
    let cases = [
        ("dev.keyslip.agents=nobody", "agent nobody is unknown"),
        ("dev.keyslip.agents=../x", "dev.keyslip.agents"),
        ("dev.keyslip.secrets=none", "none"),
        ("dev.keyslip.agents=claude --annotation dev.keyslip.user=ghost", "ghost"),
        ("dev.keyslip.agents=codex --annotation dev.keyslip.on-missing=fail", "codex"),
    ];
    for runtime in RUNTIMES {
        for (request, part) in cases {
            let run = lab.sh(&format!("podman --runtime {runtime} run --rm --annotation {request} bb true"));
            assert!(!run.succeeded(), "{runtime}: {request}: {run}");
            let (event, engine, reason) = newest(&lab);
            assert_eq!((event.as_str(), engine.as_str()), ("failed", "podman"), "{request}");
            assert!(reason.contains(part), "{request}: {reason}");
            assert!(lab.ok("keyslip status").contains(&reason), "{request}");
            lab.assert_nothing_left(request);
        }
    }
    assert_eq!(lab.ok("podman ps -aq"), "");
}

#[test]
fn annotations_of_images_that_nobody_trusts_stop_nothing() {
    let Some(lab) = setup::podman("untrusted") else { return };
    lab.configure("");
    for runtime in RUNTIMES {
        let said = lab.ok(&format!(
            "podman --runtime {runtime} run --rm {ASKS} bb sh -c 'echo ${{CLAUDE_CODE_OAUTH_TOKEN-none}}; ls -A /run/secrets /run/.keyslip 2>/dev/null; true'"
        ));
        assert_eq!(said, "none", "{runtime}");
        assert_eq!(lab.ok("jq -r .event /var/lib/keyslip/audit.log | tail -1"), "ignored", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn variables_in_the_specification_are_a_choice_that_is_warned_about() {
    let Some(lab) = setup::podman("env-spec") else { return };
    lab.configure("[engines.podman]\ntrust_annotations = true\n[delivery]\nenv = \"spec\"\n");
    for runtime in RUNTIMES {
        lab.ok(&format!("podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000"));
        let seen = lab.ok("podman exec c sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE; cat /run/secrets/claude; echo; ls -d /run/.keyslip 2>/dev/null || echo no launcher'");
        assert_eq!(seen, "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>\n<CLAUDE>\nno launcher", "{runtime}");
        let listed = lab.ok("keyslip list");
        assert!(listed.contains("env = \"spec\"") && listed.contains("inspect"), "{runtime}: {listed}");
        assert!(lab.ok("keyslip status").contains("env = \"spec\""), "{runtime}");
        lab.remove("c");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_missing_launcher_stops_the_start_with_advice() {
    let Some(lab) = setup::podman("no-launcher") else { return };
    lab.ok("rm /usr/libexec/keyslip/keyslip-launch");
    assert!(!lab.sh(&format!("podman run --rm {ASKS} bb true")).succeeded());
    let (event, _, reason) = newest(&lab);
    assert!(event == "failed" && reason.contains("keyslip-launch") && reason.contains("install"), "{reason}");
    lab.assert_nothing_left("without the launcher");
}
