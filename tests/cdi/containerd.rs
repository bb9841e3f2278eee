//! containerd 1.7 as Kubernetes' CRI: a pod names a device by annotation or by field, and has what a rule
//! for its namespace gives.

use crate::cri::{Cri, Wanted};
use crate::lab::{Lab, Tree};
use crate::setup::{self, SHOW};

const RULE: &str = "[[allow]]\nengine = \"cri\"\nnamespace = \"agents\"\nagents = [\"claude\"]\n";

/// A lab with containerd, root's Claude login `<CLAUDE>` and the file in the directory `dir`.
fn containerd(name: &str, dir: &str, generate: &str) -> Option<Lab> {
    let lab = Lab::on(Tree::Debian13, &format!("cdi-cri-{name}"))?;
    lab.login("claude", &lab.token("CLAUDE"));
    lab.configure("");
    lab.ok(&format!(
        "keyslip install tmpfs; {generate}
        sed -i 's#^    sandbox_image.*#&\\n    enable_cdi = true\\n    cdi_spec_dirs = [\"{dir}\"]#' /etc/containerd/config.toml"
    ));
    lab.containerd();
    Some(lab)
}

#[test]
fn a_pod_has_what_the_rule_of_its_namespace_gives_and_no_other_pod_has() {
    let Some(lab) = containerd("shared", "/etc/cdi", "keyslip cdi generate") else { return };
    let cri = Cri::connect(&lab);
    let asks = Wanted { name: "asks", devices: &["keyslip.dev/agent=claude"], ..Wanted::default() };
    let annotated =
        Wanted { name: "annotated", annotations: &[("cdi.k8s.io/x", "keyslip.dev/agent=claude")], ..Wanted::default() };

    let pod = cri.pod("one", "agents", "", &[]).expect("a pod");
    let denied = cri.run(&pod, &asks).expect_err("no rule allows it");
    assert!(
        denied.contains("pod one of namespace agents (cri) asks for claude, which no [[allow]] rule permits"),
        "{denied}"
    );
    assert!(denied.contains(r#"engine = "cri", namespace = "agents""#), "{denied}");
    cri.remove_pod(&pod).expect("it goes");
    lab.assert_nothing_left("a refused pod");

    lab.configure(RULE);
    let pod = cri.pod("two", "agents", "", &[]).expect("a pod");
    assert_eq!(lab.ok("keyslip list --json | jq length"), "0", "the sandbox holds nothing");
    for wanted in [&asks, &annotated, &Wanted { name: "user", user: Some(1000), readonly: true, ..asks.clone() }] {
        let uid = wanted.user.unwrap_or(0).to_string();
        let container = cri.run(&pod, wanted).unwrap_or_else(|error| panic!("{}: {error}", wanted.name));
        let script = SHOW.trim_start_matches("sh -c '").trim_end_matches('\'');
        setup::is_logged_in(&lab.masked(&cri.exec(&container, script).expect("an exec")), &uid, wanted.name);
        let everything = lab.masked(&cri.everything(&pod, &container).expect("its status"));
        assert!(!everything.contains("<CLAUDE>"), "{}: the status shows it", wanted.name);
        assert_eq!(
            lab.ok("keyslip list --json | jq -r '.[] | .state + \" \" + .engine'"),
            "live cdi",
            "{}",
            wanted.name
        );
        cri.remove(&container).expect("it goes");
        lab.assert_nothing_left(wanted.name);
    }
    let silent = cri.run(&pod, &Wanted { name: "silent", ..Wanted::default() }).expect("a container");
    assert_eq!(cri.exec(&silent, "ls -A /run/secrets /root 2>/dev/null").expect("an exec"), "/root:");
    cri.remove_pod(&pod).expect("it goes");

    let pod = cri.pod("three", "elsewhere", "", &[]).expect("a pod");
    for wanted in [&asks, &annotated] {
        let denied = cri.run(&pod, wanted).expect_err("the rule is for another namespace");
        assert!(denied.contains("pod three of namespace elsewhere (cri) asks for claude"), "{denied}");
    }
    cri.remove_pod(&pod).expect("it goes");
    lab.assert_nothing_left("pods");
}

#[test]
fn a_namespaces_own_account_needs_a_directory_that_the_cri_alone_reads() {
    let rule = format!("{RULE}account = \"work\"\n");
    let generate = "keyslip cdi generate; keyslip cdi generate --engine cri --output /etc/keyslip/cdi/keyslip.json";
    for (dir, proven) in [("/etc/cdi", false), ("/etc/keyslip/cdi", true)] {
        let Some(lab) = containerd("account", dir, generate) else { return };
        lab.login_account("claude", "work", &lab.token("WORK"));
        lab.configure(&rule);
        let cri = Cri::connect(&lab);
        let pod = cri.pod("one", "agents", "", &[]).expect("a pod");
        let asks = Wanted { name: "asks", devices: &["keyslip.dev/agent=claude"], ..Wanted::default() };
        match cri.run(&pod, &asks) {
            Ok(container) => {
                assert!(proven, "{dir}");
                assert_eq!(lab.masked(&cri.exec(&container, "cat /run/secrets/claude").expect("an exec")), "<WORK>");
                let listed = lab.ok(
                    "keyslip list --json | jq -r '.[] | .engine + \" \" + .namespace + \" \" + .agents[0].account'",
                );
                assert_eq!(listed, "cri agents work");
                cri.remove(&container).expect("it goes");
            }
            Err(denied) => {
                assert!(!proven, "{dir}: {denied}");
                assert!(denied.contains("give it claude@work") && denied.contains("--engine cri"), "{denied}");
            }
        }
        cri.remove_pod(&pod).expect("it goes");
        lab.assert_nothing_left(dir);
    }
}

#[test]
fn a_device_leaves_no_value_in_containerds_storage() {
    let Some(lab) = containerd("canary", "/etc/cdi", "keyslip cdi generate") else { return };
    let token = lab.token("OTHER");
    lab.login("claude", &token);
    lab.configure(RULE);
    let cri = Cri::connect(&lab);
    let pod = cri.pod("one", "agents", "", &[]).expect("a pod");
    let asks = Wanted { name: "asks", devices: &["keyslip.dev/agent=claude"], ..Wanted::default() };
    let container = cri.run(&pod, &asks).expect("a container");
    assert_eq!(lab.masked(&cri.exec(&container, "cat /run/secrets/claude").expect("an exec")), "<OTHER>");
    assert!(!lab.leaks(&["/run/keyslip"], &token).is_empty(), "the search finds what is there");
    cri.remove_pod(&pod).expect("it goes");
    let places = ["/var/lib/containerd", "/run", "$W/containerd.log", "$W/podlogs", "/etc"];
    assert_eq!(lab.leaks(&places, &token), [""; 0]);
    lab.assert_nothing_left("containerd");
}
