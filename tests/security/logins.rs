//! Holes around stored logins, their sources and what is shared from the host.

use crate::lab::{Bare, Lab};

const DEV: &str = r#".process.user={"uid":4100,"gid":4100} | .process.env=["PATH=/bin","HOME=/home/dev"]"#;

/// A bundle that asks for `agent`.
fn asks(lab: &Lab, name: &str, agent: &str) -> String {
    lab.bundle(name, &format!(r#".annotations={{"dev.keyslip.agents":"{agent}"}} | .process.env+=["HOME=/home/dev"]"#))
}

/// Root's engines use the logins of `labuser`, and ask this shell script for more.
fn with_helper(lab: &Lab, script: &str) {
    lab.write("/usr/libexec/helper", format!("#!/bin/sh\n{script}\n").as_bytes());
    lab.ok("chmod 755 /usr/libexec/helper");
    lab.configure("owner = \"labuser\"\n[store.command]\nargv = [\"/usr/libexec/helper\"]\noutput = \"text\"\n");
}

#[test]
fn what_runs_as_the_owner_has_no_hold_on_roots_terminal() {
    let Some(lab) = Lab::new("hole-terminal") else { return };
    let token = lab.token("HELPER");
    // With TIOCSTI, whoever can open it types into root's shell.
    with_helper(&lab, &format!("if (: </dev/tty) 2>/dev/null; then echo reached >/home/labuser/tty; fi; echo {token}"));
    let bundle = asks(&lab, "terminal", "claude");
    let plan = lab.ok(&format!("cd {bundle}; script -qec 'keyslip plan' /dev/null </dev/null"));
    assert!(plan.contains("from the credential helper"), "{plan}");
    assert!(!lab.sh("test -e /home/labuser/tty").succeeded(), "the owner's program has root's terminal");
}

#[test]
fn a_switch_to_another_kind_of_login_leaves_nothing_that_a_logout_cannot_reach() {
    let Some(lab) = Lab::new("hole-switch-kind") else { return };
    lab.mark("GOOGLE", "ya29.FAKE-switch");
    lab.mark("GREFRESH", "1//FAKE-switch");
    lab.mark("KEY", "sk-FAKE-switch");
    lab.login(
        "gemini",
        r#"{"oauth_creds":{"access_token":"ya29.FAKE-switch","refresh_token":"1//FAKE-switch","expiry_date":4102444800000},"google_accounts":{"active":"a","old":[]}}"#,
    );
    lab.login_account("gemini", "other", "AIzaFAKE-switch-0123456789");
    lab.login("codex", "sk-FAKE-switch");
    lab.login_account(
        "codex",
        "other",
        r#"{"tokens":{"id_token":"FAKE","access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE","refresh_token":"FAKE"}}"#,
    );
    for agent in ["gemini", "codex"] {
        let bundle = asks(&lab, agent, agent);
        let container = Bare::new(&lab, "crun", agent, &bundle);
        container.start();
        let all = "cat ~/.gemini/oauth_creds.json ~/.codex/auth.json /run/secrets/* 2>/dev/null; env; true";
        assert!(container.exec(all).contains("FAKE") || container.exec(all).contains('<'));
        lab.ok(&format!("keyslip auth switch {agent} other; keyslip sync || true; keyslip auth logout {agent}"));
        let seen = container.exec(all);
        for secret in ["<GOOGLE>", "<GREFRESH>", "<KEY>"] {
            assert!(!seen.contains(secret), "{agent}: logged out, and the container has it: {seen}");
        }
        container.end();
    }
}

#[test]
fn an_api_key_beside_a_login_stays_on_the_host() {
    let Some(lab) = Lab::new("hole-beside") else { return };
    lab.mark("ETERNAL", "sk-FAKE-eternal");
    lab.ok("mkdir -m 700 /root/.codex");
    lab.write(
        "/root/.codex/auth.json",
        br#"{"OPENAI_API_KEY":"sk-FAKE-eternal","tokens":{"id_token":"FAKE","access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE","refresh_token":"FAKE"},"last_refresh":"2026-01-01T00:00:00Z"}"#,
    );
    lab.ok("chmod 600 /root/.codex/auth.json");
    let container = Bare::new(&lab, "crun", "beside", &asks(&lab, "beside", "codex"));
    container.start();
    let auth = container.exec("cat ~/.codex/auth.json");
    assert!(auth.contains("access_token") && auth.contains("last_refresh"), "{auth}");
    assert!(!auth.contains("<ETERNAL>"), "a key without an end, which nobody asked for: {auth}");
    container.end();
}

#[test]
fn root_of_a_container_makes_no_root_owned_program_in_what_is_shared() {
    let Some(lab) = Lab::new("hole-setuid") else { return };
    lab.ok("mkdir -p /home/labuser/.claude/projects; chown -R labuser: /home/labuser");
    lab.configure("owner = \"labuser\"\n[agents.claude]\nhost_config_dir = \"~/.claude\"\n");
    // The agent's user has the owner's uid; root is in the container too.
    let caps = r#"["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_MKNOD"]"#;
    let edit = format!("{DEV} | .process.capabilities={{bounding:{caps},permitted:{caps},effective:{caps}}}");
    let container = Bare::started(&lab, "crun", &edit);
    lab.ok(&format!("chown 4100 {}/rootfs/home/dev; cd {0}; jq '.process.user={{uid:0,gid:0}}' config.json >as-root; mv as-root config.json", container.bundle));
    assert_eq!(container.exec("id -u"), "0");
    container.exec("cd /home/dev/.claude/projects; cp /bin/busybox busybox; chown 0:0 busybox; chmod 4755 busybox; mknod -m 666 zero c 1 5; true");
    let made = lab.ok("find /home/labuser/.claude/projects -uid 0");
    assert_eq!(made, "", "on the host, labuser can execute this as root");
    container.end();
}

#[test]
fn a_rule_for_the_default_account_is_not_changed_by_a_switch() {
    let Some(lab) = Lab::with_claude("hole-pin-default") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.ok("keyslip auth switch claude work");
    lab.configure("[[allow]]\nagents = [\"claude\"]\naccount = \"default\"\n");
    let output = lab.sh(&format!("cd {}; keyslip plan", asks(&lab, "pin", "claude")));
    assert!(!output.said().contains("claude@work"), "the rule gives the account default and no other: {output}");
}

#[test]
fn a_broken_note_of_a_switch_keeps_nobody_from_logging_out() {
    let Some(lab) = Lab::new("hole-broken-switch") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.ok("keyslip auth switch claude work; : >/var/lib/keyslip/tokens/claude.account");
    let output = lab.sh("keyslip auth logout claude --account work");
    assert!(!lab.sh("test -e /var/lib/keyslip/tokens/claude-oauth@work.json").succeeded(), "{output}");
}

#[test]
fn a_logout_removes_what_a_killed_login_has_left() {
    let Some(lab) = Lab::new("hole-half-login") else { return };
    lab.login_account("codex", "other", "sk-FAKE");
    lab.ok("cd /var/lib/keyslip/tokens; echo FAKE >.new; chmod 600 .new; keyslip auth logout claude || true");
    assert!(!lab.sh("test -e /var/lib/keyslip/tokens/.new").succeeded(), "it may hold a refresh token");
}

#[test]
fn a_sweep_removes_the_directory_of_a_login_that_was_killed() {
    let Some(lab) = Lab::new("hole-login-dir") else { return };
    lab.ok("install -d -m 700 /run/keyslip /run/keyslip/login /run/keyslip/login/4194305; echo FAKE >/run/keyslip/login/4194305/auth.json; keyslip sweep");
    assert_eq!(lab.ok("find /run/keyslip/login -type f"), "", "it holds a refresh token");
}

#[test]
fn a_locked_keyring_does_not_give_way_to_another_login_of_the_host() {
    let Some(lab) = Lab::new("hole-locked") else { return };
    let end = lab.ok("date -d '8 hours' +%s000");
    let token = lab.token("FILE");
    lab.ok("mkdir -p /home/labuser/.claude");
    lab.write(
        "/home/labuser/.claude/.credentials.json",
        format!(r#"{{"claudeAiOauth":{{"accessToken":"{token}","refreshToken":"","expiresAt":{end}}}}}"#).as_bytes(),
    );
    lab.ok("chown -R labuser: /home/labuser; chmod 600 /home/labuser/.claude/.credentials.json");
    lab.configure("owner = \"labuser\"\n");
    let bundle = asks(&lab, "keyring", "claude");
    let plan = lab.ok(&format!("$REPO/tests/lab/session locked sh -c 'cd {bundle}; keyslip plan -v 2>&1'"));
    assert!(plan.contains("keyring is locked"), "nobody is told that the keyring could not be asked: {plan}");
}

#[test]
fn an_engine_that_ignores_its_children_is_served_too() {
    let Some(lab) = Lab::new("hole-sigchld") else { return };
    let token = lab.token("HELPER");
    with_helper(&lab, &format!("echo {token}"));
    let bundle = asks(&lab, "sigchld", "claude");
    lab.ok(&format!(
        r#"perl -e '$SIG{{CHLD}} = "IGNORE"; exec @ARGV' $BARE/crun create --bundle {bundle} sigchld >/dev/null"#
    ));
    let held = lab.ok("keyslip list");
    lab.ok("$BARE/crun delete --force sigchld");
    assert!(held.contains("claude@default") && !held.contains("pending"), "{held}");
}

#[test]
fn a_sealed_login_of_the_owner_is_not_sealed_for_root() {
    let Some(lab) = Lab::new("hole-sealed") else { return };
    // `systemd-creds` of systemd 256 seals for whoever runs it. This notes who has it seal.
    lab.write(
        "/usr/libexec/systemd-creds",
        b"#!/bin/sh\ncase \"$*\" in --version) echo 'systemd 257 (257.1)';; encrypt*) id -u >>$W/sealed; base64 -w0;; *) base64 -d;; esac\n",
    );
    lab.ok("sed -i \"s#\\$W#$W#\" /usr/libexec/systemd-creds; chmod 755 /usr/libexec/systemd-creds; mount --bind /usr/libexec/systemd-creds $(command -v systemd-creds)");
    let login = r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE","refreshToken":"sk-ant-ort01-FAKE","expiresAt":4102444800000}}"#;
    lab.write("login", login.as_bytes());
    lab.ok("d=/home/labuser/.local/state/keyslip/tokens; mkdir -p $d; printf '{\"encrypted\":\"%s\",\"renewable\":true,\"createdAt\":\"2026-01-01T00:00:00Z\",\"expiresAt\":\"2100-01-01T00:00:00Z\"}' $(base64 -w0 $W/login) >$d/claude-oauth.json
        chown -R labuser: /home/labuser; chmod 700 $d; chmod 600 $d/*; rm $W/login");
    lab.configure("owner = \"labuser\"\n");
    let output = lab.sh("unshare -n keyslip auth refresh claude --timeout 2");
    let sealed = lab.ok("cat $W/sealed 2>/dev/null || true");
    assert_eq!(sealed, "", "sealed for uid {sealed}, so that labuser cannot open it any more: {output}");
}
