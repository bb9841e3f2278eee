//! Files that somebody edits after the installation: only our part goes.

use crate::Host;
use crate::lab::Tree;

/// Installs, edits, takes away; what is left of the file.
fn left(host: &Host, engine: &str, file: &str, edit: &str) -> String {
    host.does(&format!("keyslip install {engine}; {edit}"));
    let again = host.does(&format!("keyslip install {engine}"));
    assert!(again.contains("nothing was changed"), "{edit}: {again}");
    host.does(&format!("keyslip uninstall {engine}"));
    let left = host.ok(&format!("cat {file}; echo .; rm {file}"));
    let left = left.strip_suffix("\n.").or(left.strip_suffix('.')).unwrap_or_default();
    left.to_owned()
}

#[test]
fn what_the_operator_adds_or_changes_stays() {
    let Some(host) = Host::new(Tree::Debian13, "edited") else { return };
    let daemon = "/etc/docker/daemon.json";
    host.write(daemon, b"{\n\t\"debug\": true\n}\n");
    let edit = format!("sed -i 's/true,/false,/; $i\\\\t,\"mtu\": 1400' {daemon}");
    assert_eq!(left(&host, "docker", daemon, &edit), "{\n\t\"debug\": false\n\t,\"mtu\": 1400\n}");
    host.write(daemon, b"{\"debug\":true}");
    let edit = format!("jq -c '.runtimes.mine.path = \"/m\"' {daemon} >$W/d; cat $W/d >{daemon}");
    assert_eq!(left(&host, "docker", daemon, &edit), r#"{"debug":true,"runtimes":{"mine":{"path":"/m"}}}"#);
    let config = "/etc/containerd/config.toml";
    let before = host.ok(&format!("cat {config}"));
    let edit = format!(
        "sed -i 's/restrict_oom_score_adj = true/restrict_oom_score_adj = false/' {config}; echo '# mine' >>{config}"
    );
    let expected = before.replace("adj = true", "adj = false") + "\n# mine";
    assert_eq!(left(&host, "containerd", config, &edit), expected);
    let drop_in = "/etc/containers/containers.conf.d/50-keyslip.conf";
    let edit = format!("printf '[containers]\\npids_limit = 100\\n' >>{drop_in}");
    assert_eq!(left(&host, "podman", drop_in, &edit), "[containers]\npids_limit = 100");
}

#[test]
fn our_own_lines_rewritten_are_shown_and_left() {
    let Some(host) = Host::new(Tree::Debian13, "entangled") else { return };
    for (engine, file, edit, ours) in [
        (
            "docker",
            "/etc/docker/daemon.json",
            "s#docker/runc#docker/other#",
            "runtimes.keyslip: {\"path\":\"/usr/libexec/keyslip/docker/runc\"}",
        ),
        (
            "containerd",
            "/etc/containerd/config.toml",
            "s#cri/runc#cri/other#",
            "BinaryName = \"/usr/libexec/keyslip/cri/runc\"",
        ),
        (
            "podman",
            "/etc/containers/containers.conf.d/50-keyslip.conf",
            "s#podman/runc#podman/other#",
            "runc = [\"/usr/libexec/keyslip/podman/runc\"",
        ),
    ] {
        host.ok(&format!("cp {file} $W/original 2>/dev/null || rm -f $W/original"));
        let before = host.files();
        host.does(&format!("keyslip install {engine}; sed -i '{edit}' {file}"));
        let installed = host.files();
        let output = host.root(&format!("keyslip uninstall {engine}"));
        assert_eq!(output.code(), Some(1), "{output}");
        assert!(output.stderr.contains(&format!("{file} was changed in the very lines")), "{output}");
        assert!(output.stderr.contains(ours), "what has to be taken out is not shown: {output}");
        host.assert_as_before(&installed, "a refusal");
        // As the message says: by hand, and once more.
        host.ok(&format!("if [ -e $W/original ]; then cat $W/original >{file}; else rm {file}; fi"));
        host.does(&format!("keyslip uninstall {engine}"));
        host.assert_as_before(&before, engine);
    }
}

#[test]
fn links_modes_and_owners_stay() {
    let Some(host) = Host::new(Tree::Debian12, "links-stay") else { return };
    host.ok(
        "mkdir /etc/real; echo '{}' >/etc/real/d.json; chmod 640 /etc/real/d.json; chown 4100:4100 /etc/real/d.json
        ln -s ../real/d.json /etc/docker/daemon.json",
    );
    let before = host.files();
    host.does("keyslip install docker");
    assert_eq!(
        host.ok("readlink /etc/docker/daemon.json; stat -c '%a %u:%g' /etc/real/d.json"),
        "../real/d.json\n640 4100:4100"
    );
    assert!(host.ok("cat /etc/real/d.json").contains("keyslip"));
    host.does("keyslip uninstall docker");
    host.assert_as_before(&before, "uninstall docker");
    host.ok("rm /etc/real/d.json");
    host.refuses("keyslip install docker", "cannot read /etc/docker/daemon.json: No such file or directory");
}

#[test]
fn a_runtime_that_comes_later_is_added_and_goes_with_the_rest() {
    let Some(host) = Host::new(Tree::Debian13, "later") else { return };
    host.write("/etc/docker/daemon.json", b"{\"debug\": true}");
    let before = host.files();
    host.ok("mv /usr/libexec/keyslip/docker/crun $W/crun");
    host.does("keyslip install docker; sed -i 's/26\\./25\\./' /etc/keyslip/conf.d/50-docker.toml");
    host.ok("mv $W/crun /usr/libexec/keyslip/docker/crun");
    let output = host.root("keyslip install docker");
    assert!(output.stderr.contains("/etc/keyslip/conf.d/50-docker.toml was changed in the very lines"), "{output}");
    host.ok("rm /etc/keyslip/conf.d/50-docker.toml");
    host.does("keyslip install docker");
    assert!(host.ok("cat /etc/docker/daemon.json").contains("keyslip-crun"));
    assert!(host.ok("cat /etc/keyslip/conf.d/50-docker.toml").contains("version = \"26."));
    host.does("keyslip uninstall docker");
    host.assert_as_before(&before, "uninstall docker");
}
