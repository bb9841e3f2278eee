//! Requests that are none, or are not allowed: refused with a message that says what to do.

use crate::lab::{Bare, Lab, Output, RUNTIMES, shipped};

/// Creates a container from a bundle whose configuration `edit` has changed.
fn create<'a>(lab: &'a Lab, runtime: &str, edit: &str) -> (Bare<'a>, Output) {
    let name = format!("asks-{runtime}-{}", lab.ok("ls -d $W/*/rootfs 2>/dev/null | wc -l"));
    let bundle = lab.bundle(&name, edit);
    let container = Bare::new(lab, runtime, &name, &bundle);
    let output = container.create();
    (container, output)
}

#[track_caller]
fn refused(lab: &Lab, container: &Bare<'_>, output: &Output, parts: &[&str]) {
    assert!(!output.succeeded(), "{output}");
    for part in parts {
        assert!(output.stderr.contains(part), "{part:?} is not in: {output}");
    }
    assert!(!output.said().contains("<CLAUDE>"), "the credential is shown");
    let runtime = container.shim.replace("$BARE/", "");
    assert!(!lab.sh(&format!("{runtime} state {}", container.id)).succeeded(), "there is a container");
    lab.assert_nothing_left(&container.id);
    lab.assert_rootfs_untouched(&container.bundle);
}

fn agents(value: &str) -> String {
    format!(r#".annotations={{"dev.keyslip.agents":"{value}"}}"#)
}

#[test]
fn without_a_configuration_the_runtime_says_so_itself() {
    let Some(lab) = Lab::with_claude("no-config") else { return };
    for runtime in RUNTIMES {
        lab.ok(&format!("mkdir -p $W/{runtime}"));
        let shim = lab.sh(&format!("$BARE/{runtime} create --bundle $W/{runtime} k"));
        let real = lab.sh(&format!("{runtime} create --bundle $W/{runtime} k"));
        assert!(!shim.succeeded() && shim.said().contains("config.json"), "{runtime}: {shim}");
        assert_eq!(shim.code(), real.code(), "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_broken_configuration_that_speaks_of_us_is_refused_with_its_place() {
    let Some(lab) = Lab::with_claude("broken-config") else { return };
    for runtime in RUNTIMES {
        let bundle = lab.bundle(runtime, &agents("claude"));
        lab.ok(&format!("truncate -s -20 {bundle}/config.json"));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        let output = container.create();
        refused(&lab, &container, &output, &["keyslip:", &format!("{bundle}/config.json"), "line 1"]);
        // Without a word of us it is the runtime's to refuse.
        lab.ok(&format!("echo '{{' >{bundle}/config.json"));
        let output = container.create();
        assert!(!output.succeeded() && !output.stderr.contains("keyslip:"), "{runtime}: {output}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_unknown_agent_is_refused_and_the_known_ones_are_named() {
    let Some(lab) = Lab::with_claude("unknown-agent") else { return };
    let known = shipped().join(", ");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, &agents("clod"));
        refused(&lab, &container, &output, &["keyslip:", "clod", &known, "/etc/keyslip"]);
    }
}

#[test]
fn impossible_names_and_unknown_keys_are_refused() {
    let Some(lab) = Lab::with_claude("impossible") else { return };
    for runtime in RUNTIMES {
        for (key, value, part) in [
            ("secrets", "../../x", "../../x"),
            ("agents", "../../x", "../../x"),
            ("agents", "claude@../../x", "../../x"),
            ("template", "../../x", "../../x"),
            ("template", "none", "template none is not configured"),
            ("secrets", "unheard-of", "secret unheard-of is not configured"),
            ("agents", "claude\\u0001x", "agent name"),
            ("agents", "claude\\u0000", "agent name"),
            ("agents", "claude, claude@work", "two accounts"),
            ("agent", "claude", "dev.keyslip.agent"),
            ("on-missing", "warn", "stricter"),
        ] {
            let (container, output) = create(
                &lab,
                runtime,
                &format!(
                    r#".annotations={{"dev.keyslip.{key}":"{value}"}} | .annotations["dev.keyslip.agents"]//="claude""#
                ),
            );
            refused(&lab, &container, &output, &["keyslip:", part]);
        }
    }
}

#[test]
fn two_requests_for_one_file_or_variable_are_refused() {
    let Some(lab) = Lab::with_claude("two") else { return };
    let key = lab.token("KEY");
    lab.write("/etc/keyslip/key", key.as_bytes());
    lab.configure(
        "[secrets]\nclaude = \"/etc/keyslip/key\"\nkey = \"/etc/keyslip/key\"\n[agents.one]\nsecret_name = \"key\"\nauth_env_var = \"CLAUDE_CODE_OAUTH_TOKEN\"\n",
    );
    for runtime in RUNTIMES {
        let (container, output) =
            create(&lab, runtime, r#".annotations={"dev.keyslip.agents":"claude","dev.keyslip.secrets":"claude"}"#);
        refused(&lab, &container, &output, &["/run/secrets/claude", "agent claude", "secret claude"]);
        let (container, output) = create(&lab, runtime, &agents("claude,one"));
        refused(&lab, &container, &output, &["CLAUDE_CODE_OAUTH_TOKEN", "claude and one"]);
    }
}

#[test]
fn a_variable_that_the_container_sets_is_left_alone_with_a_warning() {
    let Some(lab) = Lab::with_claude("own-variable") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, r#".process.env += ["CLAUDE_CODE_OAUTH_TOKEN=own"]"#);
        let main = container.main_env();
        assert_eq!(
            main.lines().filter(|line| line.starts_with("CLAUDE")).collect::<Vec<_>>(),
            ["CLAUDE_CODE_OAUTH_TOKEN=own"]
        );
        assert_eq!(
            container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude"),
            "own\n<CLAUDE>",
            "{runtime}"
        );
        assert!(lab.ok("keyslip list").contains("CLAUDE_CODE_OAUTH_TOKEN is set by the container itself"), "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_variable_that_shadows_the_credential_warns_or_refuses() {
    let Some(lab) = Lab::with_claude("shadow") else { return };
    for runtime in RUNTIMES {
        lab.configure("");
        for name in ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"] {
            let container = Bare::started(&lab, runtime, &format!(r#".process.env += ["{name}=x"]"#));
            assert_eq!(container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN"), "<CLAUDE>", "{runtime}");
            let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
            assert!(warnings.contains(&format!("{name} is set by the container")), "{runtime}: {warnings}");
            container.end();
        }
        lab.configure("[delivery]\non_shadow = \"fail\"\n");
        let edit = format!(r#"{} | .process.env += ["ANTHROPIC_API_KEY=x"]"#, agents("claude"));
        let (container, output) = create(&lab, runtime, &edit);
        refused(&lab, &container, &output, &["ANTHROPIC_API_KEY", "on_shadow"]);
    }
}

#[test]
fn an_unknown_configuration_key_is_refused_with_file_line_and_column() {
    let Some(lab) = Lab::with_claude("unknown-key") else { return };
    lab.configure("log_level = \"debug\"\n\n  surprise = 1\n");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, &agents("claude"));
        refused(&lab, &container, &output, &["/etc/keyslip/keyslip.toml:3:3: ", "surprise"]);
        // Containers that ask for nothing are none of its business.
        let (container, output) = create(&lab, runtime, ".");
        assert!(output.succeeded(), "{runtime}: {output}");
        lab.ok(&format!("{} delete --force {}", container.shim, container.id));
    }
}

#[test]
fn a_denial_names_the_rule_that_would_allow_and_the_rule_helps() {
    let Some(lab) = Lab::with_claude("denied") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    for runtime in RUNTIMES {
        lab.configure("");
        let (container, output) = create(&lab, runtime, &agents("claude@work"));
        refused(&lab, &container, &output, &["claude@work", "[[allow]]", "write into /etc/keyslip/"]);
        let denied = lab.ok("jq -r 'select(.event==\"denied\") | .container' /var/lib/keyslip/audit.log | tail -1");
        assert_eq!(denied, container.id, "the audit log tells of it");
        let advice = output.stderr.split("write into ").nth(1).and_then(|advice| advice.split_once(": "));
        let (file, rule) = advice.expect("a file and what to write into it");
        lab.ok("mkdir -p /etc/keyslip/conf.d");
        lab.write(file, rule.as_bytes());
        let (container, output) = create(&lab, runtime, &agents("claude@work"));
        assert!(output.succeeded(), "{runtime}: {output}");
        lab.ok(&format!("{} start {}", container.shim, container.id));
        assert_eq!(container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN"), "<WORK>", "{runtime}");
        container.end();
        lab.ok("rm -r /etc/keyslip/conf.d");
    }
}

#[test]
fn an_error_is_a_json_line_in_the_runtimes_log() {
    let Some(lab) = Lab::with_claude("log-line") else { return };
    for runtime in RUNTIMES {
        for log in
            ["--log $W/log --log-format json", "--log=$W/log --log-format=json", "--log-format json --log $W/log"]
        {
            let bundle = lab.bundle(&lab.ok("mktemp -u bXXXXXX"), &agents("clod"));
            let output = lab.sh(&format!("rm -f $W/log; $BARE/{runtime} {log} create --bundle {bundle} k"));
            assert_eq!(output.code(), Some(1), "{runtime}: {output}");
            let line: serde_json::Value = serde_json::from_str(&lab.ok("tail -1 $W/log")).expect("a JSON line");
            assert_eq!(line["level"], "error", "{runtime}");
            assert_eq!(line["msg"], output.stderr.trim(), "{runtime}");
            let time = line["time"].as_str().unwrap_or_default();
            assert!(time.len() >= 20 && time.contains('T') && time.ends_with('Z'), "{runtime}: {time}");
        }
    }
}

#[test]
fn podman_shows_our_error() {
    let Some(lab) = Lab::with_claude("podman-shows") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let output =
            lab.sh(&format!("podman --runtime {runtime} run --rm --annotation dev.keyslip.agents=clod bb true"));
        assert_eq!(output.code(), Some(126), "{runtime}: {output}");
        assert!(output.stderr.contains("agent clod is unknown"), "{runtime}: {output}");
        assert_eq!(lab.ok("podman ps -aq"), "", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn annotations_that_an_image_may_have_set_are_ignored_without_trust() {
    let Some(lab) = Lab::with_claude("image-set") else { return };
    lab.image();
    lab.configure("");
    lab.ok("printf 'FROM localhost/bb\\nRUN true\\n' >/dev/null; c=$(buildah from localhost/bb); buildah config --annotation dev.keyslip.agents=claude $c; buildah commit -q $c asking; buildah rm $c");
    for runtime in RUNTIMES {
        lab.ok("rm -f /var/lib/keyslip/audit.log");
        let seen = lab.ok(&format!(
            "podman --runtime {runtime} run --rm asking sh -c 'echo ${{CLAUDE_CODE_OAUTH_TOKEN-none}}; ls /run'"
        ));
        assert!(seen.starts_with("none") && !seen.contains("secrets"), "{runtime}: {seen}");
        let audit = lab.ok("jq -r '.event + \" \" + .engine + \" \" + .reason' /var/lib/keyslip/audit.log");
        assert!(audit.starts_with("ignored podman ") && audit.contains("trust_annotations"), "{runtime}: {audit}");
        lab.assert_nothing_left(runtime);
        // A malformed one must not be able to stop the container either.
        let seen = lab
            .sh(&format!("podman --runtime {runtime} run --rm --annotation dev.keyslip.nonsense=../../x asking true"));
        assert_eq!((seen.code(), seen.said().as_str()), (Some(0), ""), "{runtime}: {seen}");
    }
}
