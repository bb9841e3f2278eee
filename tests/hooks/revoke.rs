//! `keyslip revoke`: what a container holds is taken away, and who keeps a copy is named.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::setup::{self, ASKS, DEV};

/// What a process that is started now would find.
const SHOW: &str = "echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; ls -A /run/secrets";

#[test]
fn a_revoked_container_has_nothing_for_new_processes_and_sync_brings_nothing_back() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::new(&format!("hooks-revoke-{runtime}")) else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        let container = Bare::started(&lab, runtime, "");
        let said = lab.ok(&format!("keyslip revoke {}", container.id));
        assert!(said.contains("took away claude") && said.contains("still hold CLAUDE_CODE_OAUTH_TOKEN"), "{said}");
        assert_eq!(container.exec(SHOW), "none", "{runtime}");
        assert!(
            container.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"),
            "{runtime}: the holder that was named"
        );
        assert_eq!(lab.leaks(&["/run/keyslip"], &token), [""; 0], "{runtime}");
        assert!(lab.ok("keyslip list").contains("(revoked)"), "{runtime}");
        assert_eq!(lab.ok("jq -r .event /var/lib/keyslip/audit.log | tail -1"), "revoked", "{runtime}");
        lab.login("claude", &lab.token("NEW"));
        assert!(lab.ok("keyslip sync").contains("was revoked and is left alone"), "{runtime}");
        assert_eq!(container.exec(SHOW), "none", "{runtime}: after a sync");
        assert_eq!(lab.ok(&format!("keyslip revoke {}", container.id)), "no container that runs holds it", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn files_below_the_home_directory_are_blanked() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::new(&format!("hooks-revoke-files-{runtime}")) else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        let container = setup::hooked(&lab, runtime, "createRuntime", DEV);
        container.start();
        let said = lab.ok(&format!("keyslip revoke --json {} | jq -c '.[0] | [.container, .heldInEnv]'", container.id));
        assert_eq!(said, format!(r#"["{}",[]]"#, container.id), "{runtime}");
        assert_eq!(
            container.exec("tr -d ' ' <~/.claude/.credentials.json; ls -A /run/secrets; cat ~/.claude.json"),
            r#"{}{"hasCompletedOnboarding":true}"#,
            "{runtime}"
        );
        assert_eq!(lab.leaks(&["/run/keyslip"], &token), [""; 0], "{runtime}");
        lab.login("claude", &lab.token("NEW"));
        lab.ok("keyslip sync");
        assert_eq!(container.exec("tr -d ' ' <~/.claude/.credentials.json; ls -A /run/secrets"), "{}", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn podman_with_hooks_keeps_nothing_that_a_new_process_could_read() {
    let Some(lab) = setup::podman("revoke-podman") else { return };
    let token = lab.token("NEW");
    lab.login("claude", &token);
    for runtime in RUNTIMES {
        lab.ok(&format!("podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000"));
        let id = lab.ok("podman inspect c --format '{{.Id}}'");
        let said = lab.ok(&format!("keyslip revoke {}", &id[..12]));
        assert!(said.contains("still hold CLAUDE_CODE_OAUTH_TOKEN"), "{runtime}: {said}");
        assert_eq!(
            lab.ok("podman exec c sh -c 'ls -A /run/secrets; tr -d \"\\0\" </run/.keyslip/env'"),
            "",
            "{runtime}"
        );
        assert_eq!(lab.leaks(&["/run/keyslip"], &token), [""; 0], "{runtime}");
        lab.remove("c");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_account_is_taken_from_every_container_that_holds_it_and_from_no_other() {
    let Some(lab) = Lab::with_claude("hooks-revoke-account") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.configure("[[allow]]\nengine = \"bare\"\nagents = [\"claude\"]\naccounts = [\"work\"]\n");
    for runtime in RUNTIMES {
        let work = r#".annotations["dev.keyslip.agents"]="claude@work""#;
        let containers = [
            Bare::started(&lab, runtime, work),
            setup::hooked(&lab, runtime, "createRuntime", work),
            Bare::started(&lab, runtime, ""),
        ];
        containers[1].start();
        let show = "cat /run/secrets/claude 2>/dev/null || true";
        let seen = || containers.iter().map(|container| container.exec(show)).collect::<Vec<_>>();
        assert_eq!(seen(), ["<WORK>", "<WORK>", "<CLAUDE>"], "{runtime}");
        let said = lab.ok("keyslip revoke --account claude@work");
        assert_eq!(said.matches("took away claude@work").count(), 2, "{runtime}: {said}");
        assert_eq!(seen(), ["", "", "<CLAUDE>"], "{runtime}");
        assert_eq!(containers[2].exec("echo $CLAUDE_CODE_OAUTH_TOKEN"), "<CLAUDE>", "{runtime}");
        containers.iter().for_each(Bare::end);
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_secret_file_is_taken_away_with_its_container() {
    let Some(lab) = Lab::new("hooks-revoke-secret") else { return };
    lab.mark("OWN", "FAKE-own-secret");
    lab.write("own", b"FAKE-own-secret\n");
    lab.configure(&format!("[secrets]\nown = \"{}/own\"\n", lab.path().display()));
    let edit = format!("{} | .annotations[\"dev.keyslip.secrets\"]=\"own\"", setup::hooks("createRuntime", &[]));
    for runtime in RUNTIMES {
        let container = setup::with_hooks(&lab, runtime, &edit);
        container.start();
        assert_eq!(container.exec("cat /run/secrets/own"), "<OWN>", "{runtime}");
        assert!(lab.ok(&format!("keyslip revoke {}", container.id)).contains("took away secret own"), "{runtime}");
        lab.ok("keyslip sync");
        assert_eq!(container.exec("ls -A /run/secrets"), "", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_container_that_is_not_there_is_an_error() {
    let Some(lab) = Lab::with_claude("hooks-revoke-none") else { return };
    let refused = lab.sh("keyslip revoke nobody");
    assert_eq!(refused.code(), Some(1), "{refused}");
    assert!(refused.stderr.contains("no container nobody holds a credential"), "{refused}");
    assert_eq!(lab.sh("keyslip revoke").code(), Some(2), "one of both is needed");
    assert_eq!(lab.sh("keyslip revoke x --account claude").code(), Some(2), "and not both");
}
