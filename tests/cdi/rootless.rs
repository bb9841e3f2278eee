//! podman of an ordinary user, who reads root's `/etc/cdi` and has a login of their own.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, CLAUDE, SHOW, TREES};

/// A lab in which the ordinary user has an image and the login `<CLAUDE>`; root has another, and wrote
/// the CDI file.
fn with_user(tree: crate::lab::Tree, name: &str) -> Option<Lab> {
    let lab = Lab::on(tree, &format!("cdi-rootless-{name}"))?;
    lab.login("claude", &lab.token("ROOTS"));
    lab.user_login("claude", &lab.token("CLAUDE"));
    lab.ok("keyslip cdi generate --account work; rm /home/labuser/.config/keyslip/keyslip.toml");
    setup::plain_runtimes(&lab);
    let import = lab.as_user("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb");
    assert!(import.succeeded(), "{import}");
    Some(lab)
}

#[track_caller]
fn user(lab: &Lab, what: &str, script: &str) -> String {
    let output = lab.as_user(script);
    assert!(output.succeeded(), "{what}: {script}: {output}");
    output.text().to_owned()
}

fn lives(name: &str, options: &str, uid: &str) {
    for (tree, engine) in TREES {
        let Some(lab) = with_user(tree, name) else { return };
        for runtime in RUNTIMES {
            let what = format!("{name} on {engine}, {runtime}");
            let run = format!("podman --runtime {runtime} run {CLAUDE} {options}");
            setup::is_logged_in(&user(&lab, &what, &format!("{run} --rm bb {SHOW}")), uid, &what);
            user(&lab, &what, &format!("{run} -d --name c bb sleep 1000"));
            let show = format!("podman exec c {SHOW}");
            setup::is_logged_in(&user(&lab, &what, &show), uid, &what);
            assert!(!user(&lab, &what, "podman inspect c").contains("<CLAUDE>"), "{what}: inspect shows it");
            assert_eq!(lab.ok("keyslip list --json | jq length"), "0", "{what}: root's ledger is another");
            user(&lab, &what, "podman restart -t0 c");
            setup::is_logged_in(&user(&lab, &what, &show), uid, &format!("{what}, restarted"));
            user(&lab, &what, "podman stop -t0 c");
            lab.assert_nothing_left(&format!("{what}, stopped"));
            user(&lab, &what, "podman start c");
            setup::is_logged_in(&user(&lab, &what, &show), uid, &format!("{what}, started"));
            user(&lab, &what, "podman rm -f -t0 c");
            lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn a_rootless_container_has_its_users_login() {
    lives("default", "", "0");
}

#[test]
fn a_rootless_container_with_the_users_own_id_is_logged_in() {
    lives("keep-id", "--userns=keep-id", "4100");
}

#[test]
fn a_rootless_container_of_another_user_is_logged_in() {
    lives("user", "--user 1000:1000 --cap-drop all --read-only", "1000");
}

#[test]
fn a_rootless_container_in_a_namespace_of_its_own_is_logged_in() {
    lives("auto", "--userns=auto:size=1500", "0");
}

#[test]
fn an_account_of_a_user_is_a_device_by_roots_word_and_a_choice_by_the_users_rule() {
    for (tree, engine) in TREES {
        let Some(lab) = with_user(tree, "account") else { return };
        let token = lab.token("WORK");
        lab.write("/home/labuser/token", token.as_bytes());
        let login = user(&lab, engine, "keyslip auth login claude --account work <$HOME/token; rm -f $HOME/token");
        assert!(!login.contains("cdi generate"), "{engine}: the device is there already: {login}");
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            let run = format!(
                "podman --runtime {runtime} run --rm --device keyslip.dev/agent=claude.work bb cat /run/secrets/claude"
            );
            user(&lab, &what, "rm -rf ~/.config/keyslip");
            let denied = lab.as_user(&run);
            assert!(!denied.succeeded(), "{what}: {denied}");
            let reason = user(&lab, &what, "keyslip status --json | jq -r '.problems[-1].reason'");
            assert!(
                reason.starts_with("cdi asks for claude@work, which no [[allow]] rule permits"),
                "{what}: {reason}"
            );
            assert!(reason.contains("/home/labuser/.config/keyslip/conf.d/allow-cdi.toml"), "{what}: {reason}");
            lab.assert_nothing_left(&what);
            user(
                &lab,
                &what,
                "mkdir -p ~/.config/keyslip; printf '[[allow]]\nengine = \"cdi\"\nagents = [\"claude\"]\naccounts = [\"work\"]\n' >~/.config/keyslip/keyslip.toml",
            );
            assert_eq!(user(&lab, &what, &run), "<WORK>", "{what}");
        }
    }
}

#[test]
fn a_rootless_device_leaves_no_value_in_the_users_storage() {
    for (tree, engine) in TREES {
        let Some(lab) = Lab::on(tree, "cdi-rootless-canary") else { return };
        let token = lab.token("CLAUDE");
        lab.user_login("claude", &token);
        lab.ok("keyslip cdi generate");
        setup::plain_runtimes(&lab);
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            user(
                &lab,
                &what,
                &format!(
                    "podman image exists bb || podman import -q -c 'ENV PATH=/bin' $W/image.tar bb
                podman --runtime {runtime} run -d --name c {CLAUDE} bb sleep 1000
                podman exec c true; podman commit -q c copy; podman export -o $HOME/c.tar c; podman rm -f -t0 c"
                ),
            );
            let places = [
                "/home/labuser/.local/share",
                "/home/labuser/.cache",
                "/home/labuser/.config",
                "/home/labuser/c.tar",
                "/run",
            ];
            assert_eq!(lab.leaks(&places, &token), [""; 0], "{what}");
        }
    }
}
