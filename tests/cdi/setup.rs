//! Hosts on which engines know Keyslip by its CDI file alone.

use crate::lab::{Lab, Tree};

/// The option that asks for Claude.
pub const CLAUDE: &str = "--device keyslip.dev/agent=claude";

/// Both Debians, with a name for tests.
pub const TREES: [(Tree, &str); 2] = [(Tree::Debian12, "podman 4.3"), (Tree::Debian13, "podman 5.4")];

/// What an agent in the container finds: the user, files of the agents' own, and no variable.
pub const SHOW: &str = r#"sh -c 'echo $(id -u) ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude)
    stat -c "%a %u" ~/.claude/.credentials.json; cat ~/.claude/.credentials.json; echo; cat ~/.claude.json'"#;

/// A lab with root's Claude login `<CLAUDE>`, a CDI file and podman's image `bb`; no shim, no hook
/// directory, and no annotation that counts.
pub fn podman(tree: Tree, name: &str) -> Option<Lab> {
    let lab = Lab::on(tree, &format!("cdi-{name}"))?;
    lab.login("claude", &lab.token("CLAUDE"));
    lab.configure("");
    lab.ok("keyslip install tmpfs; keyslip cdi generate");
    plain_runtimes(&lab);
    lab.image();
    Some(lab)
}

/// Has podman run crun and runc themselves.
pub fn plain_runtimes(lab: &Lab) {
    lab.ok(r#"sed -i "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#" $CONTAINERS_CONF
        ! grep -q libexec $CONTAINERS_CONF"#);
}

/// Asserts what [`SHOW`] has printed for the user `uid`.
#[track_caller]
pub fn is_logged_in(seen: &str, uid: &str, what: &str) {
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], [format!("{uid} none <CLAUDE>"), format!("400 {uid}")], "{what}: {seen}");
    let login: serde_json::Value = serde_json::from_str(lines[2]).unwrap_or_default();
    assert_eq!(login["claudeAiOauth"]["accessToken"], "<CLAUDE>", "{what}: {seen}");
    assert_eq!(lines[3], r#"{"hasCompletedOnboarding":true}"#, "{what}");
}
