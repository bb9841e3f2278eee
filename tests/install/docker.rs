//! docker, with its daemon.

use crate::lab::Tree;
use crate::{Host, TREES};

/// An operator's file, with a manner of its own.
const FILE: &str = "{\n    \"log-driver\" : \"json-file\",\n    \"labels\": [ \"a=b\",\n        \"c=d\" ]\n}";

#[test]
fn a_running_daemon_learns_the_runtime_by_a_reload_and_forgets_it_by_a_restart() {
    for (tree, name) in TREES {
        let Some(host) = Host::new(tree, &format!("docker{name}")) else { return };
        host.write("/etc/docker/daemon.json", FILE.as_bytes());
        host.ok("chmod 600 /etc/docker/daemon.json");
        host.docker();
        // docker has made a key of its own.
        let before = host.files();
        let said = host.install("docker", "+    \"runtimes\": {\n+        \"keyslip\": {");
        assert!(said.contains("next: systemctl reload docker"), "{said}");
        host.does("kill -HUP $(cat /run/docker.pid); sleep 1");
        let ask = said.lines().filter_map(|line| line.strip_prefix("next: docker run")).next_back().unwrap();
        let run = |rest: &str| host.root(&format!("docker run --network none {}", ask.replace("IMAGE", rest)));
        let output = run("localhost/bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'");
        assert_eq!(output.text(), "<CLAUDE>", "{output}");
        // As in examples/compose/compose.request.yaml, by the plain path.
        let mount = "docker run --rm --network none --runtime keyslip -v /run/keyslip/request/claude:/request:ro";
        assert_eq!(host.does(&format!("{mount} localhost/bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'")), "<CLAUDE>");
        host.does("docker rm -f $(docker ps -aq); docker create --name held --runtime keyslip-crun localhost/bb true");
        let refused =
            "docker has containers that name Keyslip's runtime (held): they cannot be started once it is gone";
        // The daemon need not run for that.
        host.does("$REPO/tests/lab/daemon docker stop");
        host.refuses("keyslip uninstall docker", refused);
        host.docker();
        host.does("docker rm held");
        let said = host.does("keyslip uninstall docker");
        // A reload takes up what is in the file, and keeps what is not.
        assert!(said.contains("next: systemctl restart docker"), "{said}");
        host.restart("docker");
        assert!(!run("localhost/bb true").succeeded(), "the daemon still knows the runtime");
        host.assert_as_before(&before, "uninstall docker");
    }
}

#[test]
fn it_can_become_the_runtime_of_every_container() {
    let Some(host) = Host::new(Tree::Debian13, "docker-default") else { return };
    let before = host.files();
    host.install("docker --default", "+  \"default-runtime\": \"keyslip\"\n");
    host.docker();
    let run = "docker run --rm --network none --annotation dev.keyslip.agents=claude localhost/bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'";
    assert_eq!(host.does(run), "<CLAUDE>");
    host.does("keyslip uninstall docker");
    host.assert_as_before(&before, "uninstall docker");
}

#[test]
fn devices_need_no_runtime() {
    let Some(host) = Host::new(Tree::Debian13, "docker-cdi") else { return };
    let before = host.files();
    let said = host.install("docker --mode cdi", "+    \"cdi\": true");
    assert!(said.contains("next: keyslip install cdi"), "{said}");
    host.does("keyslip install cdi");
    host.docker();
    let run = "docker run --rm --network none --device keyslip.dev/agent=claude -e HOME=/root localhost/bb sh -c 'cat ~/.claude/.credentials.json'";
    let shown = host.does(run);
    assert!(shown.contains("<CLAUDE>"), "{shown}");
    host.does("keyslip uninstall --all");
    host.assert_as_before(&before, "uninstall --all");
}

#[test]
fn a_daemon_with_a_file_of_its_own_or_runtimes_in_its_arguments_is_seen() {
    let Some(host) = Host::new(Tree::Debian13, "docker-flags") else { return };
    // A process that looks like the daemon to whoever reads its arguments: the daemon itself needs more than this.
    let start = |arguments: &str| {
        host.does(&format!("dockerd {arguments} --iptables=false --ip6tables=false --bridge=none >/dev/null 2>&1 & for i in $(seq 100); do [ -e /run/docker.pid ] && break; sleep 0.1; done"));
    };
    host.write("/etc/docker/other.json", b"{}");
    start("--config-file /etc/docker/other.json");
    let before = host.files();
    host.install("docker", "+++ /etc/docker/other.json");
    host.does("keyslip uninstall docker");
    host.assert_as_before(&before, "another file");
    host.does("kill $(cat /run/docker.pid); for i in $(seq 100); do [ -e /run/docker.pid ] || break; sleep 0.1; done");
    start("--add-runtime x=/usr/bin/crun");
    host.refuses("keyslip install docker", "--add-runtime keyslip=/usr/libexec/keyslip/docker/runc");
    host.does("kill $(cat /run/docker.pid)");
}
