//! The daemon: what is when it ends, and what another configuration of it changes.

use super::{ALL, Docker, SHOW};

#[test]
fn a_daemon_that_ends_and_one_that_maps_users() {
    for docker in Docker::each("daemon", "\"live-restore\": true") {
        live_restore(&docker);
        docker.restart_with("");
        ends_with_its_containers(&docker);
        docker.restart_with("\"userns-remap\": \"labuser\"");
        maps_users(&docker);
    }
}

fn live_restore(docker: &Docker) {
    let version = docker.version;
    docker.start("stays", "");
    docker.start("dies", "");
    let pid = docker.ok("docker inspect -f '{{.State.Pid}}' stays");
    // One ends while nobody looks after it.
    let victim = docker.ok("docker inspect -f '{{.State.Pid}}' dies");
    docker
        .lab
        .ok(&format!("$REPO/tests/lab/daemon docker stop; kill -KILL {victim}; $REPO/tests/lab/daemon docker start"));
    assert_eq!(docker.ok("docker inspect -f '{{.State.Pid}}' stays"), pid, "{version}: it lives on");
    assert_eq!(docker.exec("stays", SHOW), ALL, "{version}: exec by another daemon");
    docker.until("dies", "{{.State.Running}}", "false");
    assert_eq!(docker.ok("docker diff dies"), "", "{version}: one that ended meanwhile");
    assert_eq!(docker.lab.ok("keyslip list --json | jq length"), "1", "{version}");
    docker.ok("docker start dies");
    assert_eq!(docker.exec("dies", SHOW), ALL, "{version}");
    docker.remove("stays dies");
}

fn ends_with_its_containers(docker: &Docker) {
    let version = docker.version;
    docker.start("back", "--restart always");
    docker.lab.ok("$REPO/tests/lab/daemon docker stop");
    docker.assert_nothing_left("a daemon that has taken its containers with it");
    // As after a boot: the path that asks is gone too, and docker makes it again.
    docker.lab.ok("rm -rf /run/keyslip");
    docker.lab.docker();
    docker.until("back", "{{.State.Running}}", "true");
    assert_eq!(docker.exec("back", SHOW), ALL, "{version}: started by the daemon itself");
    assert_eq!(docker.lab.ok("stat -c %a /run/keyslip"), "700", "{version}");
    docker.remove("back");
}

/// With `userns-remap`, container's root is the host's 300000.
fn maps_users(docker: &Docker) {
    let version = docker.version;
    let cases = [
        ("mapped", "", "0 /root", "300000"),
        ("mappeduser", "--user 1000 -v mapped:/home/dev", "1000 /home/dev", "301000"),
        ("mappedread", "--read-only", "0 /root", "300000"),
        ("unmapped", "--userns host", "0 /root", "0"),
    ];
    for (name, options, who, uid) in cases {
        docker.start(name, options);
        let all = format!("{who} <CLAUDE> <CLAUDE> {{\"hasCompletedOnboarding\":true}}");
        assert_eq!(docker.exec(name, SHOW), all, "{version} {name}");
        let owners =
            docker.lab.ok("stat -c %u /run/keyslip/sandbox/*/*/secrets/claude /run/keyslip/sandbox/*/*/files/*");
        assert_eq!(owners, format!("{uid}\n{uid}"), "{version} {name}: owner on the host");
        docker.remove(name);
    }
    let left = docker.ok("find $(docker volume inspect mapped --format '{{.Mountpoint}}') -mindepth 1");
    assert_eq!(left, "", "{version}: in the volume");
}
