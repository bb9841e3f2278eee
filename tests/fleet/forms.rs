//! The form of the manifests, and that they name each other and what they were run as.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::APPLIED;
use crate::manifests::{directory, files, list, objects, text};

/// Every kind that is used, with its version and whether it is in a namespace.
const KINDS: [(&str, &str, bool); 8] = [
    ("Namespace", "v1", false),
    ("ServiceAccount", "v1", true),
    ("ConfigMap", "v1", true),
    ("Secret", "v1", true),
    ("Pod", "v1", true),
    ("Role", "rbac.authorization.k8s.io/v1", true),
    ("RuntimeClass", "node.k8s.io/v1", false),
    ("DaemonSet", "apps/v1", true),
];

/// All objects but the kustomization.
fn all() -> Vec<(String, Value)> {
    let files = files().into_iter().filter(|file| file != "kustomization.yaml");
    files.flat_map(|file| objects(&file).into_iter().map(move |object| (file.clone(), object))).collect()
}

#[test]
fn every_object_has_the_form_of_its_kind() {
    let mut seen = BTreeSet::new();
    for (file, object) in all() {
        let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
        let about = format!("{file}: {kind} {name}");
        let known = KINDS.iter().find(|(known, ..)| *known == kind).expect(&about);
        assert_eq!(text(&object, "/apiVersion"), known.1, "{about}");
        assert_eq!(!text(&object, "/metadata/namespace").is_empty(), known.2, "{about}: its namespace");
        let of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!name.is_empty() && name.len() <= 63 && name.chars().all(of_names), "{about}");
        let identity = (kind.to_owned(), text(&object, "/metadata/namespace").to_owned(), name.to_owned());
        assert!(seen.insert(identity), "{about} is there twice");
    }
}

#[test]
fn the_kustomization_names_what_is_run_and_no_secret() {
    let kustomization = objects("kustomization.yaml").remove(0);
    assert_eq!(text(&kustomization, "/kind"), "Kustomization");
    let named: Vec<&str> = list(&kustomization, "/resources").iter().filter_map(Value::as_str).collect();
    let applied: Vec<&str> = APPLIED.into_iter().filter(|file| *file != "credentials.yaml").collect();
    assert_eq!(named, applied);
    assert!(named.iter().all(|file| directory().join(file).exists()), "{named:?}");
}

#[test]
fn daemon_sets_select_their_own_pods_and_mount_what_they_have() {
    let all = all();
    let sets: Vec<_> = all.iter().filter(|(_, object)| text(object, "/kind") == "DaemonSet").collect();
    assert_eq!(sets.len(), 2);
    for (file, set) in sets {
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        assert_eq!(&set["spec"]["selector"]["matchLabels"], labels, "{file}");
        let pod = &set["spec"]["template"]["spec"];
        let named = |kind: &str, name: &str| {
            all.iter().any(|(_, object)| text(object, "/kind") == kind && text(object, "/metadata/name") == name)
        };
        assert!(named("ServiceAccount", text(pod, "/serviceAccountName")), "{file}");
        let volumes: BTreeSet<&str> = list(pod, "/volumes").iter().map(|volume| text(volume, "/name")).collect();
        for container in list(pod, "/initContainers").iter().chain(list(pod, "/containers")) {
            let mounts = list(container, "/volumeMounts").iter().map(|mount| text(mount, "/name"));
            assert!(mounts.into_iter().all(|mount| volumes.contains(mount)), "{file}: {container}");
            least_privilege(file, container);
        }
        for volume in list(pod, "/volumes") {
            if let Some(map) = volume.pointer("/configMap/name").and_then(Value::as_str) {
                assert!(named("ConfigMap", map), "{file}: {map}");
            }
            for source in list(volume, "/projected/sources") {
                assert!(named("Secret", text(source, "/secret/name")), "{file}: {source}");
            }
        }
    }
}

/// Nobody is privileged; every capability was dropped before a few are given.
fn least_privilege(file: &str, container: &Value) {
    let context = &container["securityContext"];
    let name = text(container, "/name");
    assert_eq!(context["privileged"], Value::Null, "{file}: {name}");
    assert_eq!(context["allowPrivilegeEscalation"], Value::Bool(false), "{file}: {name}");
    assert_eq!(context["readOnlyRootFilesystem"], Value::Bool(true), "{file}: {name}");
    assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{file}: {name}");
    let given = list(context, "/capabilities/add").len();
    let most = if name == "keep" { 6 } else { 1 };
    assert!(given <= most, "{file}: {name} has {given} capabilities");
}

#[test]
fn roles_name_what_there_is_and_no_role_is_for_the_daemon_set() {
    let all = all();
    for (file, role) in all.iter().filter(|(_, object)| text(object, "/kind") == "Role") {
        for rule in list(role, "/rules") {
            let kind = match text(rule, "/resources/0") {
                "secrets" => "Secret",
                "configmaps" => "ConfigMap",
                other => panic!("{file}: {other}"),
            };
            let names = list(rule, "/resourceNames");
            assert!(!names.is_empty(), "{file}: a rule for all of a kind");
            for name in names {
                let there = |(_, object): &(String, Value)| {
                    text(object, "/kind") == kind && object["metadata"]["name"] == *name
                };
                assert!(all.iter().any(there), "{file}: {kind} {name}");
            }
            assert!(kind != "Secret" || !list(rule, "/verbs").contains(&"get".into()), "{file}: secrets are not read");
        }
    }
    assert!(!all.iter().any(|(_, object)| text(object, "/kind").ends_with("RoleBinding")));
    for (file, object) in all.iter().filter(|(_, object)| text(object, "/kind") == "ServiceAccount") {
        assert_eq!(object["automountServiceAccountToken"], Value::Bool(false), "{file}");
    }
}

#[test]
fn the_scripts_of_the_image_are_plain_shell() {
    let scripts = ["node", "credential"].map(|name| directory().join("image").join(name));
    let output = std::process::Command::new("shellcheck").args(&scripts).output().expect("shellcheck starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
