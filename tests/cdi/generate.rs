//! `keyslip cdi generate`.

use crate::lab::{Lab, Tree, shipped};
use crate::setup;

const DEVICES: &str = "jq -r '[.devices[].name] | join(\" \")'";

/// The devices of every agent that ships, and `more`.
fn devices(more: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = more.iter().map(|name| (*name).to_owned()).chain(shipped()).collect();
    all.sort();
    all
}

#[test]
fn the_file_holds_devices_for_every_login_and_no_secret() {
    let Some(lab) = Lab::new("cdi-generate") else { return };
    lab.login("claude", &lab.token("CLAUDE"));
    lab.login_account("claude", "work", &lab.token("WORK"));
    let said = lab.ok("keyslip cdi generate");
    let with_work = devices(&["claude.work"]);
    assert!(said.contains("wrote /etc/cdi/keyslip.json") && said.contains(&with_work.join(", ")), "{said}");
    assert_eq!(
        lab.ok(&format!("{DEVICES} /etc/cdi/keyslip.json; stat -c '%a %U' /etc/cdi /etc/cdi/keyslip.json")),
        format!("{}\n755 root\n644 root", with_work.join(" "))
    );
    let text = lab.ok("cat /etc/cdi/keyslip.json");
    assert!(!text.contains("<CLAUDE>") && !text.contains("<WORK>") && !text.contains("oat01"), "{text}");
    // The same again, byte for byte, to wherever it is wanted; and nothing else beside it.
    lab.ok("keyslip cdi generate --stdout | cmp - /etc/cdi/keyslip.json; keyslip cdi generate --output $W/dir/x.json; cmp $W/dir/x.json /etc/cdi/keyslip.json");
    assert_eq!(
        lab.ok("ls -A /etc/cdi $W/dir"),
        format!("/etc/cdi:\nkeyslip.json\n\n{}/dir:\nx.json", lab.path().display())
    );
    lab.ok("keyslip auth logout claude --account work");
    assert_eq!(lab.ok(&format!("keyslip cdi generate --stdout | {DEVICES}")), devices(&[]).join(" "));
}

#[test]
fn a_file_that_cannot_be_written_is_one_sentence_and_leaves_the_old_one() {
    let Some(lab) = Lab::new("cdi-unwritable") else { return };
    lab.ok("keyslip cdi generate; cp /etc/cdi/keyslip.json $W/before; mount -t tmpfs -o size=4k tmpfs /etc/cdi; cp $W/before /etc/cdi/keyslip.json || true");
    let refused = lab.sh("keyslip cdi generate --account one --account two");
    assert!(refused.stderr.starts_with("keyslip: cannot write /etc/cdi/keyslip.json: "), "{refused}");
    assert_eq!((refused.code(), refused.stderr.lines().count()), (Some(1), 1), "{refused}");
    assert_eq!(lab.ok("ls -A /etc/cdi"), "keyslip.json");
    lab.ok("mount -o remount,ro /etc/cdi");
    assert!(lab.sh("keyslip cdi generate").stderr.contains("Read-only file system"));
    let missing = lab.sh("keyslip cdi generate --libexec /nowhere --stdout");
    assert!(missing.stderr.contains("/nowhere/keyslip-hook is missing") && missing.stdout.is_empty(), "{missing}");
}

#[test]
fn a_user_is_told_who_reads_the_file() {
    let Some(lab) = Lab::new("cdi-user") else { return };
    let said = lab.as_user("keyslip cdi generate");
    assert!(said.stdout.contains("wrote /home/labuser/.config/cdi/keyslip.json"), "{said}");
    assert!(said.stdout.contains("podman reads /home/labuser/.config/cdi from version 5.5 on"), "{said}");
    let homes = lab.ok("jq -r '[.. | .args? // empty | index(\"--home\") as $i | .[$i+1]] | unique[]' /home/labuser/.config/cdi/keyslip.json");
    assert_eq!(homes, "/home/labuser");
    let refused = lab.as_user("keyslip cdi generate --output /etc/cdi/keyslip.json");
    assert!(refused.stderr.contains("cannot write /etc/cdi/keyslip.json: Permission denied"), "{refused}");
    // A new account is root's to offer.
    lab.ok("keyslip cdi generate; rm -r /home/labuser/.config/cdi");
    let token = lab.token("WORK");
    lab.write("/home/labuser/token", token.as_bytes());
    let login = lab.as_user("keyslip auth login claude --account work <~/token");
    assert!(login.stdout.contains("`keyslip cdi generate --account work` as root adds it"), "{login}");
}

#[test]
fn an_account_that_cdi_cannot_name_is_left_out_and_the_engine_still_takes_the_file() {
    let Some(lab) = setup::podman(Tree::Debian12, "odd") else { return };
    lab.login_account("claude", "odd-", &lab.token("ODD"));
    lab.login_account("claude", "o-k_2", &lab.token("OK"));
    let said = lab.sh("keyslip cdi generate");
    assert!(said.succeeded() && said.stderr.starts_with("warning: claude@odd- cannot be a CDI device"), "{said}");
    assert_eq!(lab.ok(&format!("{DEVICES} /etc/cdi/keyslip.json")), devices(&["claude.o-k_2"]).join(" "));
    lab.configure("[[allow]]\nagents = [\"claude\"]\naccounts = [\"*\"]\n");
    assert_eq!(lab.ok("podman run --rm --device keyslip.dev/agent=claude.o-k_2 bb cat /run/secrets/claude"), "<OK>");
}

#[test]
fn podman_before_5_5_reads_no_directory_of_a_user() {
    // Should this fail, a user has a directory of their own, and `keyslip cdi generate` says the wrong version.
    for (tree, engine) in setup::TREES {
        let Some(lab) = setup::podman(tree, "own-directory") else { return };
        lab.user_login("claude", &lab.token("USERS"));
        let run = "podman image exists bb || podman import -q -c 'ENV PATH=/bin' $W/image.tar bb >/dev/null
            podman run --rm --device keyslip.dev/agent=claude bb cat /run/secrets/claude";
        assert_eq!(lab.as_user(run).text(), "<USERS>", "{engine}: by root's file");
        lab.ok("rm /etc/cdi/keyslip.json");
        assert!(lab.as_user("keyslip cdi generate").succeeded(), "{engine}");
        let own = "mkdir -p ~/.config/containers; sed 's#^\\[engine\\]#&\\ncdi_spec_dirs = [\"/home/labuser/.config/cdi\"]#' $CONTAINERS_CONF >~/own.conf; export CONTAINERS_CONF=$HOME/own.conf";
        let refused = lab.as_user(&format!("{own}; {run}"));
        assert!(!refused.succeeded() && refused.stderr.contains("unresolvable CDI devices"), "{engine}: {refused}");
    }
}
