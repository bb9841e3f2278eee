//! podman of an ordinary user, who has a store, a configuration and a runtime directory of their own.

use crate::lab::{Lab, RUNTIMES};

/// A lab in which the ordinary user has an image and a login, shown as `<CLAUDE>`; root has another.
fn with_user_login(name: &str) -> Option<Lab> {
    let lab = Lab::new(name)?;
    lab.login("claude", &lab.token("ROOTS"));
    lab.user_login("claude", &lab.token("CLAUDE"));
    let import = lab.as_user("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb");
    assert!(import.succeeded(), "{import}");
    Some(lab)
}

fn is_authenticated(name: &str, options: &str, uid: &str) {
    let Some(lab) = with_user_login(&format!("rootless-{name}")) else { return };
    for runtime in RUNTIMES {
        let what = format!("{name} on {runtime}");
        let user = |script: &str| {
            let output = lab.as_user(script);
            assert!(output.succeeded(), "{what}: {script}: {output}");
            output.text().to_owned()
        };
        user(&format!(
            "podman --runtime {runtime} run -d --name c {options} --annotation dev.keyslip.agents=claude bb sleep 1000"
        ));
        let show = "podman exec c sh -c 'echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(cat ~/.claude.json)'";
        let expected = format!("{uid} <CLAUDE> <CLAUDE> {{\"hasCompletedOnboarding\":true}}");
        assert_eq!(user(show), expected, "{what}");
        assert_eq!(user("keyslip list --json | jq -r '.[].state'"), "live", "{what}");
        assert!(!user("podman inspect c").contains("<CLAUDE>"), "{what}: inspect shows it");
        user("podman restart -t0 c");
        assert_eq!(user(show), expected, "{what}: after restart");
        user("podman rm -f -t0 c");
        lab.assert_nothing_left(&what);
    }
}

#[test]
fn a_rootless_container_has_its_users_login() {
    is_authenticated("default", "", "0");
}

#[test]
fn a_rootless_container_with_the_users_own_id_is_authenticated() {
    is_authenticated("keep-id", "--userns=keep-id", "4100");
}

#[test]
fn a_rootless_container_of_another_user_is_authenticated() {
    is_authenticated("user", "--user 1000:1000", "1000");
}

#[test]
fn a_rootless_container_in_a_namespace_of_its_own_is_authenticated() {
    is_authenticated("auto", "--userns=auto:size=1500", "0");
}

#[test]
fn a_rootless_container_leaves_no_value_in_the_users_storage() {
    let Some(lab) = Lab::new("rootless-canary") else { return };
    let token = lab.token("CLAUDE");
    lab.user_login("claude", &token);
    for runtime in RUNTIMES {
        let output = lab.as_user(&format!(
            "podman image exists bb || podman import -q -c 'ENV PATH=/bin' $W/image.tar bb
            podman --runtime {runtime} run -d --name c --annotation dev.keyslip.agents=claude bb sleep 1000
            podman exec c true; podman commit -q c copy; podman export -o $HOME/c.tar c"
        ));
        assert!(output.succeeded(), "{runtime}: {output}");
        let places =
            ["/home/labuser/.local/share", "/home/labuser/.cache", "/home/labuser/.config", "/home/labuser/c.tar"];
        assert_eq!(lab.leaks(&places, &token), [""; 0], "{runtime}");
        assert!(lab.as_user("podman rm -f -t0 c").succeeded(), "{runtime}");
        assert_eq!(
            lab.leaks(&["/run", "/tmp/containers-user-4100", "/tmp/podman-run-4100"], &token),
            [""; 0],
            "{runtime}"
        );
    }
}

#[test]
fn a_user_without_a_login_does_not_get_roots() {
    let Some(lab) = Lab::new("rootless-none") else { return };
    lab.login("claude", &lab.token("ROOTS"));
    for runtime in RUNTIMES {
        let output = lab.as_user(&format!(
            "podman image exists bb || podman import -q -c 'ENV PATH=/bin' $W/image.tar bb >/dev/null
            podman --runtime {runtime} run --rm --annotation dev.keyslip.agents=claude bb sh -c 'echo ${{CLAUDE_CODE_OAUTH_TOKEN-none}}; ls /run/secrets'"
        ));
        assert_eq!((output.text(), output.code()), ("none", Some(0)), "{runtime}: {output}");
        lab.assert_nothing_left(runtime);
    }
}
