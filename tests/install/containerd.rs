//! containerd, by `ctr` and by its CRI.

use crate::cri::{Cri, Wanted};
use crate::lab::Tree;
use crate::{Host, TREES};

const ASKS: [(&str, &str); 1] = [("dev.keyslip.agents", "claude")];

#[test]
fn both_ways_in_work_and_the_handler_that_was_there_stays() {
    for (tree, name) in TREES {
        let Some(host) = Host::new(tree, &format!("containerd{name}")) else { return };
        let before = host.files();
        let said = host.install("containerd", "+[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.keyslip]");
        assert!(said.contains("next: systemctl restart containerd"), "{said}");
        host.does("echo 'allow = [{ engine = \"cri\", namespace = \"agents\", agents = [\"claude\"] }]' >/etc/keyslip/conf.d/allow-cri.toml");
        host.containerd();
        let cri = Cri::connect(&host);
        let plain = cri.pod("plain", "agents", "", &ASKS).expect("the handler runc is lost");
        let pod = cri.pod("asks", "agents", "keyslip", &ASKS).expect("a pod");
        let wanted = Wanted { name: "c1", ..Default::default() };
        let container = cri.run(&pod, &wanted).expect("a container");
        assert_eq!(cri.exec(&container, "echo $CLAUDE_CODE_OAUTH_TOKEN").map(|text| text.contains("FAKE")), Ok(true));
        host.refuses("keyslip uninstall containerd", "their pods cannot be started anew once it is gone");
        cri.remove(&container).expect("removed");
        for pod in [&plain, &pod] {
            cri.remove_pod(pod).expect("removed");
        }
        let ctr = said.lines().find_map(|line| line.strip_prefix("next: ctr run")).unwrap();
        let ctr = ctr.replace("IMAGE NAME", "localhost/bb:latest c2 sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'");
        assert_eq!(host.does(&format!("ctr run --rm{ctr}")), "<CLAUDE>");
        host.does("rm /etc/keyslip/conf.d/allow-cri.toml; keyslip uninstall containerd");
        host.assert_as_before(&before, "uninstall containerd");
    }
}

#[test]
fn a_file_that_is_not_there_is_made_and_removed() {
    for (tree, name) in TREES {
        let Some(host) = Host::new(tree, &format!("containerd-new{name}")) else { return };
        host.does("rm -r /etc/containerd");
        let before = host.files();
        host.install("containerd", "+version = 2");
        host.does("keyslip uninstall containerd");
        host.assert_as_before(&before, "uninstall containerd");
    }
}

#[test]
fn files_of_many_kinds_come_back_as_they_were() {
    let Some(host) = Host::new(Tree::Debian12, "containerd-kinds") else { return };
    for file in [
        "version = 2",
        "disabled_plugins = [\"cri\"]\n",
        "# nothing but a comment",
        "version = 2\n\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n  default_runtime_name = \"kata\"\n\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.kata]\n\truntime_type = 'io.containerd.kata.v2' # theirs\n\n",
        "version = 2\nplugins.\"io.containerd.grpc.v1.cri\".sandbox_image = \"x\"\n",
        "version = 2\r\n[grpc]\r\n  address = \"/run/x.sock\"\r\n",
    ] {
        host.write("/etc/containerd/config.toml", file.as_bytes());
        let before = host.files();
        let output = host.root("keyslip install containerd");
        if output.succeeded() {
            let dump = host.does("containerd --config /etc/containerd/config.toml config dump 2>/dev/null");
            let cri_is_on = !file.contains("disabled_plugins");
            assert_eq!(dump.contains("BinaryName = \"/usr/libexec/keyslip/cri/runc\""), cri_is_on, "{file}");
            host.does("keyslip uninstall containerd");
        }
        assert!(output.succeeded() || output.stderr.contains("dotted keys"), "{file}: {output}");
        host.assert_as_before(&before, file);
    }
}

#[test]
fn devices_need_a_rule_for_the_pods_namespace() {
    let Some(host) = Host::new(Tree::Debian13, "containerd-cdi") else { return };
    let before = host.files();
    let said = host.install("containerd --mode cdi", "+  enable_cdi = true");
    assert!(said.contains("next: keyslip install cdi"), "{said}");
    host.does("keyslip install cdi");
    host.containerd();
    let cri = Cri::connect(&host);
    let pod = cri.pod("devices", "agents", "", &[]).expect("a pod");
    let wanted = |name| Wanted { name, devices: &["keyslip.dev/agent=claude"], ..Default::default() };
    let refused = cri.run(&pod, &wanted("c1")).expect_err("no rule allows it");
    assert!(refused.contains("[[allow]]"), "{refused}");
    host.does("mkdir -p /etc/keyslip/conf.d; echo 'allow = [{ engine = \"cri\", namespace = \"agents\", agents = [\"claude\"] }]' >/etc/keyslip/conf.d/allow-cri.toml");
    let container = cri.run(&pod, &wanted("c2")).expect("a container");
    assert_eq!(cri.exec(&container, "cat /run/secrets/claude").map(|text| text.contains("FAKE")), Ok(true));
    cri.remove(&container).expect("removed");
    cri.remove_pod(&pod).expect("removed");
    host.does("rm -r /etc/keyslip/conf.d; keyslip uninstall --all");
    host.assert_as_before(&before, "uninstall --all");
}
