//! What `keyslip install` has set up is in order, and what becomes of it later is found.

use crate::lab::{Lab, Tree};
use crate::probe::{all_in_order, nothing_left};
use crate::report::Report;

/// A lab as a host is: no variable says where podman's configuration is, and no engine knows Keyslip.
fn host(tree: Tree, name: &str) -> Option<Lab> {
    let lab = Lab::on(tree, &format!("doctor-installed-{name}"))?;
    lab.ok("mkdir -p /etc/containers; sed '/engine.runtimes/,$d' $CONTAINERS_CONF >/etc/containers/containers.conf
        rm -f /usr/libexec/keyslip/*/{runc,runsc}{,.real} /etc/keyslip/keyslip.toml; keyslip install tmpfs");
    lab.login("claude", &lab.token("CLAUDE"));
    Some(lab)
}

#[track_caller]
fn does(lab: &Lab, script: &str) -> String {
    lab.ok(&format!("unset CONTAINERS_CONF; {script}"))
}

#[track_caller]
fn doctor(lab: &Lab, options: &str) -> Report {
    Report::of(&lab.sh(&format!("unset CONTAINERS_CONF; keyslip doctor --json {options}")))
}

#[test]
fn podman_by_the_shim() {
    for (tree, name) in [(Tree::Debian12, "shim12"), (Tree::Debian13, "shim13")] {
        let Some(lab) = host(tree, name) else { return };
        assert_eq!(doctor(&lab, "").with("note", "no engine is set up").len(), 1);
        does(&lab, "keyslip install podman");
        let report = doctor(&lab, "--probe podman");
        assert_eq!(report.code, Some(0), "{}", report.text);
        all_in_order(&report, "podman, shim crun");
        nothing_left(&lab);
        // Somebody takes our part away: what is said to run brings it back.
        let drop_in = does(&lab, "jq -r '.changes[].path' /var/lib/keyslip/install/podman.json | grep containers");
        does(&lab, &format!("cp {drop_in} $W/drop-in; rm {drop_in}"));
        let report = doctor(&lab, "");
        let found = report.with("broken", &format!("{drop_in} is gone"));
        assert_eq!(found.len(), 1, "{}", report.text);
        does(&lab, found[0].command.as_deref().expect("a command"));
        assert_eq!(doctor(&lab, "").code, Some(0), "{drop_in}");
        // A comment of theirs is no fault.
        does(&lab, &format!("echo '# mine' >>{drop_in}"));
        let report = doctor(&lab, "");
        assert!(report.code == Some(0) && report.with("ok", "was edited since").len() == 1, "{}", report.text);
        does(&lab, "keyslip uninstall podman");
        assert_eq!(doctor(&lab, "").with("note", "no engine is set up").len(), 1);
    }
}

#[test]
fn podman_by_hooks() {
    let Some(lab) = host(Tree::Debian13, "hooks") else { return };
    does(&lab, "keyslip install podman --mode hook --trust-annotations");
    let report = doctor(&lab, "--probe podman");
    assert_eq!(report.code, Some(0), "{}", report.text);
    all_in_order(&report, "podman, hooks");
    nothing_left(&lab);
}

#[test]
fn every_engine_at_once() {
    let Some(lab) = host(Tree::Debian13, "all") else { return };
    lab.ok("ln -sfn ../keyslip-runtime /usr/libexec/keyslip/docker/runc; ln -sfn $(command -v runc) /usr/libexec/keyslip/docker/runc.real
        for e in cri containerd; do ln -sfn ../keyslip-runtime /usr/libexec/keyslip/$e/runc; ln -sfn $(command -v runc) /usr/libexec/keyslip/$e/runc.real; done");
    does(&lab, "for engine in podman docker containerd cdi; do keyslip install $engine; done");
    lab.docker();
    lab.containerd();
    let report = doctor(&lab, "--probe");
    assert_eq!(report.with("broken", "").len(), 0, "{}", report.text);
    for subject in ["podman, shim crun", "podman, CDI device", "docker, runtime keyslip", "bare crun"] {
        all_in_order(&report, subject);
    }
    nothing_left(&lab);
}
