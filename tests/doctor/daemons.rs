//! docker and containerd: what their configuration says, and their probes.

use crate::lab::{Lab, Tree};
use crate::probe::{all_in_order, nothing_left};
use crate::report::doctor;

/// A lab with root's Claude login and the engines of a Debian.
fn on(tree: Tree, name: &str) -> Option<Lab> {
    let lab = Lab::on(tree, &format!("doctor-{name}"))?;
    lab.login("claude", &lab.token("CLAUDE"));
    lab.ok("keyslip install tmpfs");
    Some(lab)
}

const DAEMON: &str = r#"{"runtimes":{"keyslip":{"path":"/usr/libexec/keyslip/docker/runc"}}}"#;

/// Asserts that docker has nothing of a probe any more.
fn docker_has_nothing(lab: &Lab) {
    assert_eq!(lab.ok("docker ps -aq --filter name=keyslip-probe; docker images -q localhost/keyslip-probe"), "");
    nothing_left(lab);
}

#[test]
fn docker_26() {
    let Some(lab) = on(Tree::Debian13, "docker-26") else { return };
    lab.ok("mkdir -p /etc/docker");
    lab.write("/etc/docker/daemon.json", DAEMON.as_bytes());
    let report = doctor(&lab, "");
    assert_eq!(report.with("warning", "does not answer").len(), 1, "the daemon is down: {}", report.text);
    assert!(
        report.with("warning", "is not written down")[0].remedy.contains("version = \"26.1.5\""),
        "{}",
        report.text
    );
    lab.docker();
    lab.configure("[engines.docker]\nversion = \"26.1.5\"\n");
    let report = doctor(&lab, "--probe docker");
    assert_eq!(report.with("ok", "calls the shim as runtime keyslip").len(), 1, "{}", report.text);
    all_in_order(&report, "docker, runtime keyslip");
    docker_has_nothing(&lab);
    // Without the version annotations do not count: the probe asks by a mount.
    lab.configure("");
    all_in_order(&doctor(&lab, "--probe docker"), "docker, runtime keyslip");
    docker_has_nothing(&lab);
    lab.write("/etc/docker/daemon.json", DAEMON.replace("docker/runc", "podman/runc").as_bytes());
    assert_eq!(doctor(&lab, "").with("broken", "calls the shim as podman").len(), 1);
    lab.write("/etc/docker/daemon.json", b"{");
    assert_eq!(doctor(&lab, "").with("broken", "no JSON").len(), 1);
}

#[test]
fn docker_20_has_no_annotations() {
    let Some(lab) = on(Tree::Debian12, "docker-20") else { return };
    lab.ok("mkdir -p /etc/docker");
    lab.write("/etc/docker/daemon.json", DAEMON.as_bytes());
    lab.docker();
    let report = doctor(&lab, "--probe docker");
    assert!(report.with("note", "before version 24")[0].remedy.contains("keyslip request"), "{}", report.text);
    all_in_order(&report, "docker, runtime keyslip");
    docker_has_nothing(&lab);
}

fn containerd(tree: Tree, name: &str, version: &str) {
    let Some(lab) = on(tree, name) else { return };
    lab.containerd();
    // Named, it needs no configuration: then the request is a mount.
    for settings in ["", &format!("[engines.containerd]\nversion = \"{version}\"\n")] {
        lab.configure(settings);
        let report = doctor(&lab, "--probe containerd");
        for runtime in ["crun", "runc"] {
            all_in_order(&report, &format!("containerd, ctr and {runtime}"));
        }
        assert_eq!(lab.ok("ctr namespaces list -q | grep probe || true"), "");
        nothing_left(&lab);
    }
    assert_eq!(doctor(&lab, "").with("note", "is version").len(), 0);
    lab.configure("[engines.containerd]\nversion = \"1.0.0\"\n");
    assert_eq!(doctor(&lab, "").with("note", &format!("is version {version} now")).len(), 1);
}

#[test]
fn containerd_1_6() {
    containerd(Tree::Debian12, "containerd-16", "1.6.20");
}

#[test]
fn containerd_1_7() {
    containerd(Tree::Debian13, "containerd-17", "1.7.24");
}

#[test]
fn a_handler_of_containerds_cri() {
    let Some(lab) = on(Tree::Debian13, "cri") else { return };
    let handler = |link: &str, lists: &str| {
        let table = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.keyslip";
        format!(
            "version = 2\n{table}]\nruntime_type = \"io.containerd.runc.v2\"\n{lists}\n{table}.options]\nBinaryName = \"/usr/libexec/keyslip/{link}\"\n"
        )
    };
    let lists = "pod_annotations = [\"dev.keyslip.*\"]\ncontainer_annotations = [\"dev.keyslip.*\"]";
    let allowed =
        "[engines.cri]\nversion = \"1.7.24\"\n[[allow]]\nengine = \"cri\"\nnamespace = \"a\"\nagents = [\"claude\"]\n";
    lab.ok("mkdir -p /etc/containerd");
    for (link, lists, toml, severity, says) in [
        ("cri/runc", lists, allowed, "ok", "calls the shim for handler keyslip"),
        ("cri/gone", lists, allowed, "broken", "no container of this runtime starts"),
        ("containerd/runc", lists, allowed, "broken", "calls the shim as containerd"),
        ("cri/runc", "", allowed, "warning", "lets no annotation through"),
        ("cri/runc", lists, "", "warning", "no [[allow]] rule speaks of it"),
    ] {
        lab.write("/etc/containerd/config.toml", handler(link, lists).as_bytes());
        lab.configure(toml);
        let report = doctor(&lab, "");
        assert_eq!(report.with(severity, says).len(), 1, "{says}\n{}", report.text);
    }
}
