//! podman of an ordinary user, whose only login is in the keyring: through the shim, and through hooks,
//! which have no environment at all and find the bus by the user's number.

use crate::lab::{Lab, RUNTIMES};
use crate::session::{Session, logged_in, user};

const IMPORT: &str = "podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb";
const HOOKS: &str = "--hooks-dir $HOME/.config/keyslip/hooks.d";

/// Main process, later process, file, and whether the client's first start is prepared.
const SHOW: &str =
    "podman exec c sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE; cat /run/secrets/claude ~/.claude.json'";
const SEEN: &str = "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>\n<CLAUDE>{\"hasCompletedOnboarding\":true}";

fn with_podman(name: &str, by_hooks: bool) -> Option<(Lab, String)> {
    let lab = Lab::new(&format!("accounts-rootless-{name}"))?;
    if by_hooks {
        lab.ok(r#"sed -i "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#" $CONTAINERS_CONF; ! grep -q libexec $CONTAINERS_CONF"#);
        user(&lab, "keyslip install hooks");
    }
    user(&lab, IMPORT);
    let token = lab.token("CLAUDE");
    Some((lab, token))
}

fn gets_the_login_from_the_keyring(name: &str, options: &str) {
    let Some((lab, token)) = with_podman(name, !options.is_empty()) else { return };
    let session = Session::begin(&lab, "unlocked");
    logged_in(&lab, "claude --store keyring", &token);
    assert_eq!(lab.leaks(&["/home /run /var"], &token), [""; 0], "it is in no file");
    for runtime in RUNTIMES {
        let run =
            format!("podman {options} --runtime {runtime} run -d --name c --annotation dev.keyslip.agents=claude");
        user(&lab, &format!("{run} bb sleep 1000"));
        assert_eq!(user(&lab, SHOW), SEEN, "{name} on {runtime}");
        let said = user(
            &lab,
            "podman inspect c; podman logs c; keyslip list; keyslip status --json; cat ~/.local/state/keyslip/audit.log",
        );
        assert!(!said.contains("<CLAUDE>"), "{name} on {runtime}: {said}");
        user(&lab, &format!("podman {options} rm -f -t0 c || {{ sleep 0.5; podman {options} rm -f -t0 c; }}"));
        lab.assert_nothing_left(runtime);
    }
    assert_eq!(lab.leaks(&["/home /run /var/tmp"], &token), [""; 0], "{name}");
    drop(session);
    // Locked: it starts, pending, and says why.
    let _session = Session::begin(&lab, "locked");
    let run = format!("podman {options} run -d --name c --annotation dev.keyslip.agents=claude");
    user(&lab, &format!("{run} bb sleep 1000"));
    let pending = user(&lab, "keyslip list --json | jq -r '.[] | .state, .warnings[]'");
    assert!(pending.starts_with("pending\n") && pending.contains("the keyring is locked"), "{name}: {pending}");
    user(&lab, &format!("podman {options} rm -f -t0 c || {{ sleep 0.5; podman {options} rm -f -t0 c; }}"));
}

#[test]
fn by_the_shim() {
    gets_the_login_from_the_keyring("shim", "");
}

#[test]
fn by_hooks_that_have_no_environment() {
    gets_the_login_from_the_keyring("hooks", HOOKS);
}
