//! Credentials that are missing, expired, unreadable or impossible: a clear error and nothing half
//! done, or a start with a warning where that is the rule.

use crate::lab::{Bare, Lab, Output, RUNTIMES};

/// A container that asks by the annotations in `request`, and what came of making it.
fn create<'a>(lab: &'a Lab, runtime: &str, request: &str) -> (Bare<'a>, Output) {
    let name = format!("{runtime}-{}", lab.ok("ls -d $W/*/config.json 2>/dev/null | wc -l"));
    let bundle = lab.bundle(&name, &format!(".annotations={{{request}}}"));
    let container = Bare::new(lab, runtime, &name, &bundle);
    let output = container.create();
    (container, output)
}

/// Asserts that the container was refused with a message of all `parts`, and nothing was left.
#[track_caller]
fn refused(lab: &Lab, container: &Bare<'_>, output: &Output, parts: &[&str]) {
    assert_eq!(output.code(), Some(1), "{output}");
    for part in parts.iter().chain(&["keyslip:", container.id.as_str()]) {
        assert!(output.stderr.contains(part), "{part:?} is not in: {output}");
    }
    assert_eq!(output.stderr.lines().count(), 1, "one sentence: {output}");
    let runtime = container.shim.replace("$BARE/", "");
    assert!(!lab.sh(&format!("{runtime} state {}", container.id)).succeeded(), "there is a container");
    lab.assert_nothing_left(&container.id);
    lab.assert_rootfs_untouched(&container.bundle);
}

/// Asserts that the container started without its credential, and that `keyslip list` says why.
#[track_caller]
fn starts_pending(lab: &Lab, container: &Bare<'_>, output: &Output, warning: &str) {
    assert_eq!((output.code(), output.said().as_str()), (Some(0), ""), "a start is silent: {output}");
    lab.ok(&format!("{} start {}", container.shim, container.id));
    let seen = container
        .exec("echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; ls /run/secrets; grep -c ' /run/secrets ' /proc/self/mountinfo");
    assert_eq!(seen, "none\n1", "its mounts are there");
    assert_eq!(lab.ok("keyslip list --json | jq -r '.[] | .state + \" \" + .agents[0].status'"), "pending pending");
    let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
    assert!(warnings.contains(warning), "{warnings}");
    assert!(lab.ok("keyslip list").contains("(pending)"));
    container.end();
    lab.assert_nothing_left(&container.id);
}

const CLAUDE: &str = r#""dev.keyslip.agents":"claude""#;
const CLAUDE_OR_FAIL: &str = r#""dev.keyslip.agents":"claude","dev.keyslip.on-missing":"fail""#;

#[test]
fn an_expired_token_is_passed_over_with_a_warning_or_stops_the_start() {
    let Some(lab) = Lab::with_claude("expired") else { return };
    lab.ok("f=/var/lib/keyslip/tokens/claude-oauth.json; jq '.createdAt=\"2024-01-01T00:00:00Z\" | .expiresAt=\"2025-01-01T00:00:00Z\"' $f >$W/t; cat $W/t >$f; rm $W/t");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, CLAUDE);
        starts_pending(&lab, &container, &output, "expired");
        let (container, output) = create(&lab, runtime, CLAUDE_OR_FAIL);
        refused(&lab, &container, &output, &["expired", "claude setup-token", "keyslip auth login claude"]);
    }
    lab.configure("on_missing = \"fail\"\n");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, CLAUDE);
        refused(&lab, &container, &output, &["expired", "claude setup-token"]);
    }
}

#[test]
fn a_token_near_its_end_is_used_with_a_warning() {
    let Some(lab) = Lab::with_claude("expiring") else { return };
    lab.ok("f=/var/lib/keyslip/tokens/claude-oauth.json; end=$(date -u -d '+10 days' +%FT%TZ); jq --arg t $end '.expiresAt=$t' $f >$W/t; cat $W/t >$f; rm $W/t");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, CLAUDE);
        assert_eq!((output.code(), output.said().as_str()), (Some(0), ""), "{runtime}: {output}");
        lab.ok(&format!("{} start {}", container.shim, container.id));
        assert_eq!(container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN"), "<CLAUDE>", "{runtime}");
        let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
        assert!(warnings.contains("expires in"), "{runtime}: {warnings}");
        container.end();
    }
}

#[test]
fn a_missing_credential_is_pending_or_stops_the_start() {
    let Some(lab) = Lab::new("missing") else { return };
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, CLAUDE);
        starts_pending(&lab, &container, &output, "claude setup-token");
        let (container, output) = create(&lab, runtime, CLAUDE_OR_FAIL);
        refused(&lab, &container, &output, &["no credential", "keyslip auth login claude"]);
    }
    lab.configure("on_missing = \"fail\"\n");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, CLAUDE);
        refused(&lab, &container, &output, &["no credential", "keyslip auth login claude"]);
    }
}

#[test]
fn a_missing_secret_file_is_pending_or_stops_the_start() {
    let Some(lab) = Lab::new("missing-secret") else { return };
    lab.configure("[secrets]\nopenai = \"/etc/keyslip/no-such-file\"\n");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, r#""dev.keyslip.secrets":"openai""#);
        assert_eq!(output.code(), Some(0), "{runtime}: {output}");
        assert_eq!(
            lab.ok("keyslip list --json | jq -r '.[] | .state + \" \" + .secrets[0].status'"),
            "pending pending"
        );
        lab.ok(&format!("{} delete --force {}", container.shim, container.id));
        lab.assert_nothing_left(runtime);
        let strict = r#""dev.keyslip.secrets":"openai","dev.keyslip.on-missing":"fail""#;
        let (container, output) = create(&lab, runtime, strict);
        refused(&lab, &container, &output, &["secret openai", "/etc/keyslip/no-such-file"]);
    }
}

#[test]
fn a_directory_in_place_of_a_secret_file_is_refused() {
    let Some(lab) = Lab::new("secret-directory") else { return };
    lab.configure("[secrets]\nopenai = \"/etc/keyslip/openai\"\n");
    lab.ok("mkdir /etc/keyslip/openai");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, r#""dev.keyslip.secrets":"openai""#);
        refused(&lab, &container, &output, &["secret openai", "/etc/keyslip/openai", "no regular file"]);
    }
}

#[test]
fn a_secret_file_that_the_user_may_not_read_is_refused() {
    let Some(lab) = Lab::new("secret-unreadable") else { return };
    lab.ok("mkdir /run/agenix; echo FAKE >/run/agenix/openai; chmod 600 /run/agenix/openai
        printf 'trust_annotations = true\\n[secrets]\\nopenai = \"/run/agenix/openai\"\\n' >/home/labuser/.config/keyslip/keyslip.toml");
    for runtime in RUNTIMES {
        let output = lab.as_user(&format!(
            "podman image exists bb || podman import -q -c 'ENV PATH=/bin' $W/image.tar bb >/dev/null
            podman --runtime {runtime} run --name c --annotation dev.keyslip.secrets=openai bb true"
        ));
        assert!(!output.succeeded(), "{runtime}: {output}");
        for part in ["keyslip:", "secret openai", "/run/agenix/openai", "Permission denied", "readable"] {
            assert!(output.stderr.contains(part), "{runtime} {part}: {output}");
        }
        assert!(lab.as_user("podman rm -f c").succeeded());
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_secret_in_a_file_is_delivered_as_a_file_and_as_the_variable_of_the_configuration() {
    let Some(lab) = Lab::new("secret-good") else { return };
    let key = lab.token("KEY");
    lab.write("/etc/keyslip/key", format!("{key}\n").as_bytes());
    lab.configure("[secrets]\nkey = \"/etc/keyslip/key\"\nother = \"/etc/keyslip/key\"\n[agents.my-tool]\nsecret_name = \"key\"\nauth_env_var = \"MY_TOOL_KEY\"\n");
    for runtime in RUNTIMES {
        let (container, output) =
            create(&lab, runtime, r#""dev.keyslip.agents":"my-tool","dev.keyslip.secrets":"other""#);
        assert!(output.succeeded(), "{runtime}: {output}");
        lab.ok(&format!("{} start {}", container.shim, container.id));
        assert_eq!(
            container.exec("echo $MY_TOOL_KEY; cat /run/secrets/*; ls /run/secrets"),
            "<KEY>\n<KEY>\n<KEY>\nkey\nother",
            "{runtime}"
        );
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_value_that_no_variable_can_carry_is_refused_and_not_shown() {
    let Some(lab) = Lab::new("secret-values") else { return };
    lab.configure("[secrets]\nkey = \"/etc/keyslip/key\"\n[agents.my-tool]\nsecret_name = \"key\"\nauth_env_var = \"MY_TOOL_KEY\"\n");
    for (content, reason) in [
        (&b"FAKE-one\nFAKE-two"[..], "line break"),
        (b"FAKE-one\rFAKE-two", "line break"),
        (b"FAKE-one\0FAKE-two", "NUL"),
        (b"FAKE-\xff", "UTF-8"),
        (b"", "empty"),
        (&[b'x'; 200_000], "128 KiB"),
    ] {
        lab.write("/etc/keyslip/key", content);
        for runtime in RUNTIMES {
            let (container, output) = create(&lab, runtime, r#""dev.keyslip.agents":"my-tool""#);
            refused(&lab, &container, &output, &["MY_TOOL_KEY", reason]);
            assert!(!output.said().contains("FAKE"), "{runtime} {reason}: the value is shown");
        }
    }
}

#[test]
fn a_secret_of_two_megabytes_is_refused() {
    let Some(lab) = Lab::new("secret-large") else { return };
    lab.configure("[secrets]\nlarge = \"/etc/keyslip/large\"\nfits = \"/etc/keyslip/fits\"\n");
    lab.ok("head -c 2097152 /dev/zero | tr '\\0' x >/etc/keyslip/large; head -c 1048576 /dev/zero | tr '\\0' x >/etc/keyslip/fits");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, r#""dev.keyslip.secrets":"large""#);
        refused(&lab, &container, &output, &["secret large", "2097152 bytes", "1 MiB"]);
        let (container, output) = create(&lab, runtime, r#""dev.keyslip.secrets":"fits""#);
        assert!(output.succeeded(), "{runtime}: {output}");
        lab.ok(&format!("{} start {}", container.shim, container.id));
        assert_eq!(container.exec("wc -c </run/secrets/fits"), "1048576", "{runtime}");
        container.end();
    }
}

#[test]
fn a_store_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let Some(lab) = Lab::with_claude("store-open") else { return };
    for (path, open, mend) in
        [("/var/lib/keyslip/tokens/claude-oauth.json", "644", "600"), ("/var/lib/keyslip/tokens", "755", "700")]
    {
        lab.ok(&format!("chmod {open} {path}"));
        for runtime in RUNTIMES {
            let (container, output) = create(&lab, runtime, CLAUDE);
            refused(&lab, &container, &output, &[path, "chmod"]);
        }
        lab.ok(&format!("chmod {mend} {path}"));
    }
    lab.ok("chown 4100 /var/lib/keyslip/tokens/claude-oauth.json");
    let (container, output) = create(&lab, "crun", CLAUDE);
    refused(&lab, &container, &output, &["/var/lib/keyslip/tokens/claude-oauth.json"]);
}

#[test]
fn a_broken_store_is_refused_and_not_quoted() {
    let Some(lab) = Lab::with_claude("store-broken") else { return };
    lab.ok("f=/var/lib/keyslip/tokens/claude-oauth.json; head -c 60 $f >$W/t; cat $W/t >$f; rm $W/t");
    for runtime in RUNTIMES {
        let (container, output) = create(&lab, runtime, CLAUDE);
        refused(&lab, &container, &output, &["claude-oauth.json is broken", "keyslip auth login"]);
        assert!(!output.said().contains("FAKE"), "{runtime}: the value is shown");
    }
}

#[test]
fn a_full_tmpfs_refuses_and_leaves_nothing() {
    let Some(lab) = Lab::with_claude("tmpfs-full") else { return };
    for size in ["4k", "8k", "12k", "16k", "20k", "24k", "28k"] {
        for runtime in RUNTIMES {
            lab.ok(&format!("mkdir -p /run/keyslip; mount -t tmpfs -o size={size},mode=700 tmpfs /run/keyslip"));
            let (container, output) = create(&lab, runtime, CLAUDE);
            if output.succeeded() {
                lab.ok(&format!("{} start {}", container.shim, container.id));
                let seen = container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude");
                assert_eq!(seen, "<CLAUDE>\n<CLAUDE>", "{runtime} {size}: all or nothing");
                container.end();
            } else {
                let what = format!("{runtime} {size}");
                assert!(
                    output.stderr.contains("keyslip:") && output.stderr.contains("No space left"),
                    "{what}: {output}"
                );
                assert!(
                    !lab.sh(&format!("{runtime} state {}", container.id)).succeeded(),
                    "{what}: there is a container"
                );
                lab.assert_rootfs_untouched(&container.bundle);
            }
            lab.assert_nothing_left(&format!("{runtime} {size}"));
            lab.ok("umount /run/keyslip");
        }
    }
}
