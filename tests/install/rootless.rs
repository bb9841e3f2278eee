//! podman of an ordinary user.

use crate::{Host, TREES};

const RUN: &str = "podman run --rm --annotation dev.keyslip.agents=claude bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'";

fn host(tree: crate::lab::Tree, name: &str) -> Option<Host> {
    let host = Host::new(tree, name)?;
    host.user_login("claude", &host.token("USER"));
    host.user_does("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb");
    Some(host)
}

#[test]
fn a_user_installs_for_themselves_alone() {
    for (tree, name) in TREES {
        let Some(host) = host(tree, &format!("rootless{name}")) else { return };
        for mode in ["shim", "hook"] {
            let before = host.files();
            let etc = host.ok("find /etc | sort | sha256sum");
            let said = host.user_does(&format!("keyslip install podman --rootless --mode {mode} 2>&1"));
            assert!(
                said.contains("wrote /home/labuser/.config/containers/containers.conf.d/50-keyslip.conf"),
                "{said}"
            );
            assert_eq!(host.ok("find /etc | sort | sha256sum"), etc, "{mode}: something was written to /etc");
            assert_eq!(host.user_does(RUN), "<USER>", "{mode}");
            assert_eq!(
                host.user_does(
                    "keyslip install podman --mode hook 2>&1 || true; keyslip install podman --mode shim 2>&1 || true"
                )
                .matches("nothing was changed")
                .count(),
                1
            );
            host.user_does("keyslip uninstall podman");
            host.assert_as_before(&before, mode);
            assert_eq!(host.user_does(RUN), "", "{mode}: still delivered");
        }
    }
}

#[test]
fn what_root_installs_serves_users_with_their_own_logins() {
    for (tree, name) in TREES {
        let Some(host) = host(tree, &format!("rootless-root{name}")) else { return };
        for mode in ["shim", "hook"] {
            let before = host.files();
            host.does(&format!("keyslip install podman --mode {mode}"));
            assert_eq!(host.user_does(RUN), "<USER>", "{mode}");
            if mode == "shim" {
                let said = host.user_does("keyslip install podman");
                assert!(said.contains("nothing was changed"), "{said}");
            }
            host.does("keyslip uninstall podman");
            host.assert_as_before(&before, mode);
        }
    }
}

#[test]
fn a_user_cannot_install_for_the_system() {
    let (tree, _) = TREES[0];
    let Some(host) = host(tree, "rootless-refused") else { return };
    let before = host.files();
    for engine in ["docker", "containerd", "cdi"] {
        let output = host.as_user(&format!("keyslip install {engine}"));
        assert_eq!(output.code(), Some(1), "{output}");
        assert!(output.stderr.contains(&format!("keyslip install {engine} needs root; run it with sudo")), "{output}");
    }
    host.assert_as_before(&before, "without root");
    host.refuses("keyslip install podman --rootless", "run `keyslip install podman` as that user, without sudo");
}
