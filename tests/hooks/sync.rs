//! `keyslip sync`: what is new in the store reaches containers that run.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::setup::{self, ASKS, DEV};

/// What a process that is started now would find.
const SHOW: &str = "cat /run/secrets/claude; echo; echo ${CLAUDE_CODE_OAUTH_TOKEN-none}";

/// Stores a new Claude token, shown as `<MARK>`.
fn new_token(lab: &Lab, mark: &str) {
    lab.login("claude", &lab.token(mark));
}

#[test]
fn a_new_token_reaches_files_and_new_processes_and_old_holders_are_named() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::with_claude(&format!("hooks-sync-{runtime}")) else { return };
        let container = Bare::started(&lab, runtime, "");
        assert_eq!(lab.ok("keyslip sync"), format!("{}: claude is current", container.id));
        new_token(&lab, "NEW");
        let json = lab.ok("keyslip sync --json | jq -c '.[0] | [.container, .changes[0][1], .old_env, .problems]'");
        assert_eq!(json, format!(r#"["{}","updated",["CLAUDE_CODE_OAUTH_TOKEN"],[]]"#, container.id));
        assert_eq!(container.exec(SHOW), "<NEW>\n<NEW>", "{runtime}");
        assert_eq!(container.exec("stat -c '%a %u' /run/secrets/claude"), "400 0", "{runtime}");
        assert!(
            container.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"),
            "{runtime}: a process keeps what it has"
        );
        new_token(&lab, "NEWER");
        let said = lab.ok("keyslip sync");
        assert!(said.contains("claude was updated") && said.contains("keep the old CLAUDE_CODE_OAUTH_TOKEN"), "{said}");
        assert_eq!(container.exec(SHOW), "<NEWER>\n<NEWER>", "{runtime}");
        assert_eq!(lab.ok("keyslip sync"), format!("{}: claude is current", container.id), "{runtime}");
        let events = lab.ok("jq -r 'select(.event == \"synced\") | .agents[0].fingerprint' /var/lib/keyslip/audit.log | sort -u | wc -l");
        assert_eq!(events, "2", "{runtime}: the audit log");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn a_changed_secret_file_arrives() {
    let Some(lab) = Lab::new("hooks-sync-secret") else { return };
    lab.mark("ONE", "FAKE-secret-one");
    lab.mark("TWO", "FAKE-secret-two");
    lab.configure(&format!("[secrets]\nown = \"{}/own\"\n", lab.path().display()));
    for runtime in RUNTIMES {
        lab.write("own", b"FAKE-secret-one\n");
        let edit =
            format!("{} | .annotations[\"dev.keyslip.secrets\"]=\"own\" | {DEV}", setup::hooks("createRuntime", &[]));
        let container = setup::with_hooks(&lab, runtime, &edit);
        container.start();
        let show = "cat /run/secrets/own; stat -c '%a %u' /run/secrets/own";
        assert_eq!(container.exec(show), "<ONE>\n400 1000", "{runtime}");
        lab.write("own", b"FAKE-secret-two\n");
        assert_eq!(lab.ok("keyslip sync"), format!("{}: secret own was updated", container.id));
        assert_eq!(container.exec(show), "<TWO>\n400 1000", "{runtime}");
        lab.ok("rm $W/own");
        assert!(lab.ok("keyslip sync").contains("secret own is kept"), "{runtime}");
        assert_eq!(container.exec(show), "<TWO>\n400 1000", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_container_that_started_without_a_login_is_filled() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::new(&format!("hooks-sync-pending-{runtime}")) else { return };
        let shim = Bare::started(&lab, runtime, DEV);
        let hook = setup::hooked(&lab, runtime, "createRuntime", DEV);
        hook.start();
        let login = "cat ~/.claude/.credentials.json | tr -d ' '; ls -A /run/secrets";
        for container in [&shim, &hook] {
            assert_eq!(container.exec(login), "{}", "{runtime}");
        }
        assert_eq!(lab.ok("keyslip list --json | jq -r '.[].state'"), "pending\npending", "{runtime}");
        assert_eq!(lab.ok("keyslip sync | grep -c 'still pending'"), "2", "{runtime}");
        new_token(&lab, "CLAUDE");
        assert_eq!(lab.ok("keyslip sync | grep -c 'was pending and is delivered now'"), "2", "{runtime}");
        for container in [&shim, &hook] {
            let seen = container.exec("cat ~/.claude/.credentials.json");
            let seen: serde_json::Value = serde_json::from_str(&seen).unwrap_or_default();
            assert_eq!(seen["claudeAiOauth"]["accessToken"], "<CLAUDE>", "{runtime}");
            assert_eq!(
                container.exec("cat /run/secrets/claude; stat -c ' %a %u' /run/secrets/claude"),
                "<CLAUDE> 400 1000",
                "{runtime}"
            );
        }
        assert_eq!(lab.ok("keyslip list --json | jq -r '.[].state'"), "live\nlive", "{runtime}");
        for container in [&shim, &hook] {
            container.end();
            lab.assert_rootfs_untouched(&container.bundle);
        }
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_codex_login_rotates_in_the_running_container() {
    let Some(lab) = Lab::new("hooks-sync-codex") else { return };
    let login = |mark: &str, exp: &str| {
        // {"alg":"none"} . {"exp":…} . not a signature
        let access = format!("eyJhbGciOiJub25lIn0.{exp}.FAKE-access-{mark}");
        lab.mark(mark, &access);
        lab.mark("REFRESH", "FAKE-refresh");
        lab.login("codex", &format!(r#"{{"tokens":{{"id_token":"FAKE","access_token":"{access}","refresh_token":"FAKE-refresh","account_id":"a"}}}}"#));
    };
    for runtime in RUNTIMES {
        login(&format!("ONE-{runtime}"), "eyJleHAiOjQxMDI0NDQ4MDB9");
        let edit =
            format!(r#"{} | .annotations["dev.keyslip.agents"]="codex" | {DEV}"#, setup::hooks("createRuntime", &[]));
        let hook = setup::with_hooks(&lab, runtime, &edit);
        hook.start();
        let shim = Bare::started(&lab, runtime, &format!(r#"{DEV} | .annotations["dev.keyslip.agents"]="codex""#));
        let read = "cat ~/.codex/auth.json; stat -c ' %i' ~/.codex/auth.json";
        let before = [hook.exec(read), shim.exec(read)];
        login(&format!("TWO-{runtime}"), "eyJleHAiOjQxMDI0NDQ4MDF9");
        assert_eq!(lab.ok("keyslip sync | grep -c 'codex was updated'"), "2", "{runtime}");
        for (container, before) in [&hook, &shim].into_iter().zip(before) {
            let after = container.exec(read);
            let (old, new) = (before.rsplit_once(' ').unwrap(), after.rsplit_once(' ').unwrap());
            assert_eq!(old.1, new.1, "{runtime}: the same file");
            assert!(old.0.contains(&format!("<ONE-{runtime}>")) && !new.0.contains("<ONE"), "{runtime}: {new:?}");
            let auth: serde_json::Value = serde_json::from_str(new.0).unwrap_or_default();
            assert_eq!(auth["tokens"]["access_token"], format!("<TWO-{runtime}>"), "{runtime}");
            assert_eq!(auth["tokens"]["refresh_token"], "", "{runtime}: the refresh token stays on the host");
            container.end();
        }
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn podman_with_hooks_is_synced_and_a_restart_brings_the_variable() {
    let Some(lab) = setup::podman("sync-podman") else { return };
    for runtime in RUNTIMES {
        new_token(&lab, "CLAUDE");
        lab.ok(&format!("podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000"));
        new_token(&lab, "NEW");
        assert!(lab.ok("keyslip sync").contains("keep the old CLAUDE_CODE_OAUTH_TOKEN"), "{runtime}");
        let show =
            "podman exec c sh -c 'cat /run/secrets/claude; echo; tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE'";
        assert_eq!(lab.ok(show), "<NEW>\nCLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{runtime}");
        lab.ok("podman restart -t0 c");
        assert_eq!(lab.ok(show), "<NEW>\nCLAUDE_CODE_OAUTH_TOKEN=<NEW>", "{runtime}");
        lab.remove("c");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_container_that_is_made_but_not_started_gets_its_variable_after_a_sync() {
    let Some(lab) = setup::podman("sync-init") else { return };
    for runtime in RUNTIMES {
        new_token(&lab, "CLAUDE");
        lab.ok(&format!("podman --runtime {runtime} create --name c {ASKS} bb sleep 1000; podman init c"));
        new_token(&lab, "NEW");
        lab.ok("keyslip sync; podman start c");
        let main = lab.ok("podman exec c sh -c 'cat /run/secrets/claude; echo; tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE || echo no variable'");
        assert_eq!(main, "<NEW>\nCLAUDE_CODE_OAUTH_TOKEN=<NEW>", "{runtime}");
        lab.remove("c");
    }
}

#[test]
fn a_login_that_is_gone_from_the_store_is_kept_in_containers() {
    let Some(lab) = Lab::with_claude("hooks-sync-logout") else { return };
    let container = Bare::started(&lab, "crun", "");
    // Not by `auth logout`, which takes it from containers too.
    lab.ok("rm /var/lib/keyslip/tokens/claude-oauth.json");
    let said = lab.ok("keyslip sync");
    assert!(said.contains("is kept") && said.contains("keyslip revoke"), "{said}");
    assert_eq!(container.exec(SHOW), "<CLAUDE>\n<CLAUDE>");
    container.end();
    lab.assert_nothing_left("gone");
}

#[test]
fn a_logout_takes_the_login_from_containers_and_names_what_it_cannot_take() {
    let Some(lab) = Lab::with_claude("hooks-sync-logout") else { return };
    let container = Bare::started(&lab, "crun", "");
    let said = lab.ok("keyslip auth logout claude");
    assert!(said.contains("took away claude") && said.contains("CLAUDE_CODE_OAUTH_TOKEN"), "{said}");
    assert_eq!(container.exec("echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; ls /run/secrets"), "none");
    container.end();
    lab.assert_nothing_left("logout");
}
