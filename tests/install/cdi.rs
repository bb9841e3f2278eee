//! CDI: a file for every engine that looks for one.

use crate::{Host, TREES};

#[test]
fn the_file_is_made_used_and_removed_even_if_it_was_made_anew_since() {
    for (tree, name) in TREES {
        let Some(host) = Host::new(tree, &format!("cdi{name}")) else { return };
        host.image();
        let before = host.files();
        host.install("cdi", "+++ /etc/cdi/keyslip.json");
        let run = "podman run --rm --device keyslip.dev/agent=claude bb sh -c 'cat ~/.claude/.credentials.json'";
        let shown = host.does(run);
        assert!(shown.contains("<CLAUDE>"), "{shown}");
        host.login_account("claude", "work", &host.token("WORK"));
        host.does("keyslip cdi generate");
        assert!(host.does("cat /etc/cdi/keyslip.json").contains("claude.work"));
        let said = host.does("keyslip install cdi");
        assert!(said.contains("nothing was changed"), "{said}");
        host.does("keyslip uninstall cdi");
        host.assert_as_before(&before, "uninstall cdi");
    }
}

#[test]
fn a_file_of_somebody_elses_is_left_alone() {
    let Some(host) = Host::new(TREES[0].0, "cdi-foreign") else { return };
    host.does("mkdir -p /etc/cdi; echo '{}' >/etc/cdi/keyslip.json");
    host.refuses(
        "keyslip install cdi",
        "/etc/cdi/keyslip.json: this file is there already and is no CDI file of Keyslip's",
    );
}
