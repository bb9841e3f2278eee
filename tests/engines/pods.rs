//! Pods of podman's: each container has what it asks for, and the one that holds the pod's namespaces has
//! nothing. A pod of `podman play kube` asks for all of its containers.

use crate::lab::{RUNTIMES, Tree};
use crate::setup::{ASKS, Podman, WAYS, Way};

const POD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: k
  annotations:
    dev.keyslip.agents: claude
spec:
  hostNetwork: true
  containers:
  - {name: one, image: localhost/bb, command: [sleep, '1000']}
  - {name: two, image: localhost/bb, command: [sleep, '1000'], securityContext: {runAsUser: 1000}}
";

const SHOW: &str = "sh -c 'echo ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude 2>/dev/null)'";

/// Everything that a pod's containers and its infrastructure have.
fn pods_work(podman: &Podman, way: Way, runtime: &str) {
    let what = format!("{way:?} on {runtime}");
    let p = format!("{} --runtime {runtime}", way.podman());
    podman.lab.write("pod.yaml", POD.as_bytes());
    podman.ok(&format!(
        "{p} pod create --name p; {p} run -d --pod p --name asks {ASKS} bb sleep 1000; {p} run -d --pod p --name other bb sleep 1000
        {p} play kube -q $W/pod.yaml"
    ));
    let env = way.exec_env();
    for (container, seen) in [("asks", "<CLAUDE>"), ("other", ""), ("k-one", "<CLAUDE>"), ("k-two", "<CLAUDE>")] {
        let expected = if seen.is_empty() { "none".to_owned() } else { format!("{env} {seen}") };
        assert_eq!(podman.ok(&format!("{p} exec {container} {SHOW}")), expected, "{what}: {container}");
    }
    // Nobody else has anything: the containers of the pods' namespaces do not.
    let held = podman.ok("keyslip list --json | jq -r '.[].container' | sort");
    let asked = podman.ok(&format!("{p} inspect asks k-one k-two --format '{{{{.Id}}}}' | sort"));
    assert_eq!(held, asked, "{what}");
    assert_eq!(podman.ok(&format!("{p} ps -a --format '{{{{.Names}}}}' | grep -c infra")), "2", "{what}");
    podman.ok(&format!("{p} pod stop -t0 p k; {p} pod start p k"));
    for container in ["asks", "k-one"] {
        let expected = format!("{env} <CLAUDE>");
        assert_eq!(podman.ok(&format!("{p} exec {container} {SHOW}")), expected, "{what}: {container}, restarted");
    }
    podman.ok(&format!("{p} play kube --down $W/pod.yaml >/dev/null"));
    podman.remove_all(way, &what);
}

#[test]
fn pods_of_podman_4() {
    let Some(podman) = Podman::of_root(Tree::Debian12, "pods4") else { return };
    for (way, runtime) in WAYS.into_iter().zip(RUNTIMES) {
        pods_work(&podman, way, runtime);
    }
}

#[test]
fn pods_of_podman_5() {
    let Some(podman) = Podman::of_root(Tree::Debian13, "pods5") else { return };
    for (way, runtime) in WAYS.into_iter().rev().zip(RUNTIMES) {
        pods_work(&podman, way, runtime);
    }
}

#[test]
fn pods_of_a_users_podman_5() {
    let Some(podman) = Podman::of_user(Tree::Debian13, "pods5-user") else { return };
    for (way, runtime) in WAYS.into_iter().zip(RUNTIMES) {
        pods_work(&podman, way, runtime);
    }
}
