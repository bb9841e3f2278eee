//! The examples that set something up.

use crate::Host;
use crate::lab::Tree;

#[test]
fn the_unit_for_quadlet_asks_by_annotation() {
    let Some(host) = Host::new(Tree::Debian13, "quadlet") else { return };
    host.image();
    host.does("keyslip install podman");
    let start = host.does(
        "mkdir $W/units; cp $REPO/examples/quadlet/reviewer.container $W/units
        QUADLET_UNIT_DIRS=$W/units /usr/libexec/podman/quadlet -dryrun 2>/dev/null | grep ^ExecStart=",
    );
    // What systemd would run, less what needs systemd, with an image that is here.
    let options: Vec<&str> = start.split(' ').filter(|word| word.contains("dev.keyslip.")).collect();
    assert_eq!(options.len(), 2, "{start}");
    let options = options.join(" --annotation ");
    assert_eq!(
        host.does(&format!("podman run --rm --annotation {options} bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'")),
        "<CLAUDE>"
    );
    host.does("keyslip auth logout claude >&2");
    assert!(!host.root(&format!("podman run --rm --annotation {options} bb true")).succeeded());
}
