//! The command line, in a lab of its own: what it stores, says and refuses.

#[path = "../lab/mod.rs"]
mod lab;

mod agents;
mod capture;
mod ci;
mod logins;
mod operation;

use lab::Lab;

/// A script in a fresh lab; nothing without root.
macro_rules! lab {
    ($name:literal) => {
        match Lab::new($name) {
            Some(lab) => lab,
            None => return,
        }
    };
}

#[test]
fn a_login_is_stored_shown_and_removed() {
    let lab = lab!("cli-auth");
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.login_account("claude", "work", &token);
    let status = lab.ok("keyslip auth status");
    assert!(status.contains("claude  default*  valid  file   long-lived OAuth token"), "{status}");
    assert!(status.contains("(in 36") && status.contains("work"), "{status}");
    let json: serde_json::Value = serde_json::from_str(&lab.ok("keyslip auth status claude --json")).unwrap();
    assert_eq!((json[0]["state"].as_str(), json[1]["account"].as_str()), (Some("valid"), Some("work")));
    let mode = lab.ok("stat -c '%a %U' /var/lib/keyslip/tokens /var/lib/keyslip/tokens/claude-oauth.json");
    assert_eq!(mode, "700 root\n600 root");
    assert!(lab.ok("keyslip auth logout claude").contains("removed the login for claude from the store"));
    let again = lab.sh("keyslip auth logout claude");
    assert_eq!(again.code(), Some(1));
    assert!(again.stderr.contains("keyslip auth status"), "{again}");
    assert!(!lab.ok("keyslip auth status").contains("default"));
    let shown = lab.ok("keyslip auth status; keyslip; keyslip status; keyslip status --json; keyslip list --json");
    assert!(!shown.contains("<CLAUDE>"), "{shown}");
}

#[test]
fn a_credential_as_an_argument_works_and_warns() {
    let lab = lab!("cli-argument");
    let output = lab.sh("keyslip auth login claude sk-ant-oat01-FAKE-argument");
    assert!(output.succeeded(), "{output}");
    assert!(output.stderr.contains("every user of this host can see"), "{output}");
}

#[test]
fn what_is_no_credential_is_not_stored_and_not_quoted() {
    let lab = lab!("cli-refused");
    let known = format!("known are {}.", lab::shipped().join(", "));
    for (script, reason) in [
        ("echo hunter2-FAKE | keyslip auth login claude", "it takes long-lived OAuth token (sk-ant-oat01-…)"),
        ("keyslip auth login claude </dev/null", "no credential on standard input"),
        ("echo x | keyslip auth login unheard-of", known.as_str()),
        (
            r#"echo '{"claudeAiOauth":{"accessToken":"hunter2-FAKE","expiresAt":1000}}' | keyslip auth login claude"#,
            "expired",
        ),
        (
            r#"echo '{"tokens":{"access_token":"hunter2-FAKE"}}' | keyslip auth login codex"#,
            "does not say until when it is valid",
        ),
        ("head -c 1100000 /dev/zero | tr '\\0' a | keyslip auth login claude", "1 MiB"),
        ("echo x | keyslip auth login ../x", "must be"),
    ] {
        let output = lab.sh(script);
        assert!(!output.succeeded(), "{script}");
        assert!(output.stderr.contains(reason), "{script}: {output}");
        assert!(!output.said().contains("hunter2"), "the credential is shown");
    }
    assert_eq!(lab.ok("ls -A /var/lib/keyslip/tokens 2>/dev/null || true"), "", "something was stored");
}

#[test]
fn a_fresh_host_is_told_what_to_do_next() {
    let lab = lab!("cli-fresh");
    let status = lab.ok("keyslip status");
    assert!(status.contains("next: store a login: keyslip auth login AGENT"), "{status}");
    assert_eq!(lab.ok("keyslip"), status, "alone it shows where one stands");
    let wrong = lab.sh("keyslip statsu");
    assert_eq!(wrong.code(), Some(2), "{wrong}");
    assert!(wrong.stderr.contains("'status'") && wrong.stderr.contains("try '--help'"), "{wrong}");
    assert!(lab.ok("keyslip list").contains("no container holds a credential"));
    assert!(lab.ok("keyslip sync").contains("no container"));
    assert_eq!(lab.ok("keyslip sweep"), "removed 0, alive 0, left for later 0");
}

#[test]
fn plan_says_what_would_happen_and_does_nothing() {
    let Some(lab) = Lab::with_claude("cli-plan") else { return };
    let bundle = lab.bundle("plan", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    let output = lab.sh(&format!("keyslip plan -v --bundle {bundle}"));
    assert_eq!(output.code(), Some(0), "{output}");
    assert!(output.stdout.contains("CLAUDE_CODE_OAUTH_TOKEN=<redacted>"), "{output}");
    assert!(output.stderr.contains("level=DEBUG msg=\"using stored long-lived OAuth token agent=claude"), "{output}");
    assert!(output.stderr.contains("expiresIn=87"), "{output}");
    assert!(!output.said().contains("<CLAUDE>"), "{output}");
    lab.assert_rootfs_untouched(&bundle);
    lab.assert_nothing_left("plan");

    let denied = lab.bundle("denied", r#".annotations={"dev.keyslip.agents":"claude@work"}"#);
    let output = lab.sh(&format!("keyslip plan --bundle {denied}"));
    assert_eq!(output.code(), Some(3), "{output}");
    assert!(output.stdout.starts_with("denied: bare asks for claude@work"), "{output}");

    let missing = lab.bundle("missing", r#".annotations={"dev.keyslip.agents":"codex"}"#);
    let output = lab.sh(&format!("keyslip plan --json --bundle {missing}"));
    assert_eq!(output.code(), Some(4), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (report["verdict"].as_str(), report["agents"][0]["status"].as_str()),
        (Some("missing"), Some("pending"))
    );
    assert!(report["warnings"][0].as_str().unwrap().contains("keyslip auth login codex"), "{report}");

    let nothing = lab.bundle("nothing", ".");
    assert_eq!(lab.sh(&format!("keyslip plan --bundle {nothing}")).code(), Some(0));
    assert_eq!(lab.sh("keyslip plan --bundle /nonexistent").code(), Some(1));
    assert_eq!(lab.sh("keyslip plan --no-such-option").code(), Some(2));
}

#[test]
fn the_store_of_a_user_is_read_as_that_user() {
    let lab = lab!("cli-owner");
    let token = lab.token("ALICE");
    lab.user_login("claude", &token);
    lab.configure("owner = \"labuser\"\n");
    assert!(lab.ok("keyslip auth status").contains("claude  default  valid"));
    let bundle = lab.bundle("owner", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    assert_eq!(lab.sh(&format!("keyslip plan --bundle {bundle}")).code(), Some(0));
    // A link of theirs to a file of root's is not a way to read it.
    lab.ok("cd /home/labuser/.local/state/keyslip && mv tokens real && mkdir -m 700 /var/lib/keyslip /var/lib/keyslip/tokens 2>/dev/null || true
        printf '{\"token\":\"sk-ant-oat01-FAKE-roots\",\"createdAt\":\"2026-01-01T00:00:00Z\",\"expiresAt\":null}' >/var/lib/keyslip/tokens/claude-oauth.json
        chmod 600 /var/lib/keyslip/tokens/claude-oauth.json
        ln -s /var/lib/keyslip/tokens tokens && chown -h labuser: tokens");
    let output = lab.sh(&format!("keyslip plan --bundle {bundle}"));
    assert_eq!(output.code(), Some(1), "{output}");
    assert!(output.stderr.contains("symbolic link") || output.stderr.contains("Permission denied"), "{output}");
    lab.configure("owner = \"nobody-here\"\n");
    assert!(lab.sh("keyslip auth status").stderr.contains("no user of /etc/passwd"));
}

#[test]
fn hooks_are_written_into_a_directory_of_their_own() {
    let lab = lab!("cli-hooks");
    assert!(lab.ok("keyslip install hooks").contains("hooks_dir = [\"/etc/keyslip/hooks.d\"]"));
    let hooks = lab.ok("cat /etc/keyslip/hooks.d/*.json");
    assert_eq!(hooks.matches("\"path\": \"/usr/libexec/keyslip/keyslip-hook\"").count(), 3);
    assert!(!hooks.contains('@') && hooks.matches("\"env\": [\"PATH=").count() == 3, "{hooks}");
    lab.ok("jq -e .hook.args /etc/keyslip/hooks.d/*.json >/dev/null");
    for dir in ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"] {
        let output = lab.sh(&format!("keyslip install hooks --dir {dir}"));
        assert!(output.stderr.contains("podman build"), "{output}");
    }
    assert!(lab.sh("keyslip install hooks --libexec /nonexistent").stderr.contains("install Keyslip again"));
}

#[test]
fn the_tmpfs_is_mounted_once_and_never_swapped() {
    let lab = lab!("cli-tmpfs");
    lab.ok("umount /run/keyslip 2>/dev/null || true");
    assert!(lab.ok("keyslip install tmpfs").contains("mounted a tmpfs at /run/keyslip"));
    assert!(lab.ok("keyslip install tmpfs").contains("is mounted already"));
    let mounts = lab.ok("grep -c ' /run/keyslip tmpfs rw,nosuid,nodev,noexec' /proc/mounts");
    assert_eq!(mounts, "1");
    assert_eq!(lab.ok("stat -c %a /run/keyslip"), "700");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lab = lab!("cli-pipe");
    let output = lab.sh("set +o pipefail; keyslip --help | head -1; keyslip status | head -1");
    assert!(!output.said().contains("panicked"), "{output}");
}

#[test]
fn a_job_with_nothing_but_a_runtime_has_its_agent_authenticated() {
    let Some(lab) = Lab::with_claude("cli-inject") else { return };
    let bundle = lab.bundle("job", ".");
    for runtime in ["crun", "runc"] {
        let script = "echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(tr \"\\0\" \" \" </proc/1/cmdline | cut -c1-5); exit 5";
        let job = format!("RUNTIME={runtime} $REPO/examples/ci/crun/run-agent {bundle} sh -c '{script}'");
        let output = lab.sh(&job);
        assert_eq!(output.code(), Some(5), "{runtime}: {output}");
        assert_eq!(output.text(), "<CLAUDE> <CLAUDE> sh -c", "{runtime}: {output}");
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
    lab.ok(&format!("keyslip inject --bundle {bundle} --agent claude"));
    let config = lab.ok(&format!("cat {bundle}/config.json"));
    assert!(!config.contains("<CLAUDE>") && config.contains("/run/.keyslip/launch"), "no value, but the launcher");
    let again = lab.sh(&format!("keyslip inject --bundle {bundle} --agent claude"));
    assert!(again.stderr.contains("has been injected before"), "{again}");
    let nothing = lab.bundle("nothing", ".");
    assert!(lab.sh(&format!("keyslip inject --bundle {nothing}")).stderr.contains("asks for nothing"));
}

#[test]
fn what_is_refused_is_in_syslog_too() {
    let Some(lab) = Lab::with_claude("cli-syslog") else { return };
    let denied = lab.bundle("denied", r#".annotations={"dev.keyslip.agents":"claude@work"}"#);
    let asks = lab.bundle("asks", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    lab.configure("log_level = \"debug\"\n");
    // A /dev of its own for a real syslogd: the machine's is shared. Its nodes are root's: crun gives the
    // machine's /dev/null to the user of a container whose standard input it is, and in a sticky
    // directory nobody else could then open it with O_CREAT, as a shell's `>` does.
    let said = lab.ok(&format!(
        r#"unshare --mount bash -euc '
            mkdir $W/dev; mount -t tmpfs -o mode=755 dev $W/dev; cp -a /dev/null /dev/urandom $W/dev/; mount --bind $W/dev /dev
            busybox syslogd -n -O $W/messages & syslogd=$!
            for i in $(seq 100); do [ -S /dev/log ] && break; sleep 0.05; done
            /usr/libexec/keyslip/keyslip-hook precreate --engine bare <{denied}/config.json >/dev/null 2>&1 || echo hook refused
            $BARE/runc create --bundle {denied} k1 </dev/null >/dev/null 2>&1 || echo shim refused
            jq ".process.args=[\"nonexistent\"]" {asks}/config.json >{asks}/new; mv {asks}/new {asks}/config.json
            $BARE/runc create --bundle {asks} k2 </dev/null >/dev/null 2>&1 || true
            for i in $(seq 100); do [ "$(grep -c "no .*allow.* rule permits" $W/messages)" = 2 ] && break; sleep 0.05; done
            kill $syslogd; cat $W/messages'"#
    ));
    assert!(said.contains("hook refused") && said.contains("shim refused"), "{said}");
    assert_eq!(said.matches("asks for claude@work, which no [[allow]] rule permits").count(), 2, "{said}");
    assert!(
        said.contains("using stored long-lived OAuth token agent=claude account=default store=file expiresIn=87"),
        "{said}"
    );
    assert!(!said.contains("<CLAUDE>"), "{said}");
}
