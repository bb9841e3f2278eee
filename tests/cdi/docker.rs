//! docker 26.1, which offers CDI devices once its configuration says so.

use crate::lab::{Lab, Tree};
use crate::setup::{self, CLAUDE, SHOW};

/// A lab with docker's daemon, root's Claude login `<CLAUDE>` and a CDI file.
fn docker(name: &str) -> Option<Lab> {
    let lab = Lab::on(Tree::Debian13, &format!("cdi-docker-{name}"))?;
    lab.login("claude", &lab.token("CLAUDE"));
    lab.configure("");
    lab.ok("keyslip install tmpfs; keyslip cdi generate");
    lab.write("/etc/docker/daemon.json", br#"{"features":{"cdi":true}}"#);
    lab.docker();
    Some(lab)
}

#[test]
fn a_container_of_docker_is_logged_in() {
    let Some(lab) = docker("lives") else { return };
    for (options, uid) in [
        ("", "0"),
        ("--user 1000 --cap-drop all --read-only --init", "1000"),
        ("-v home:/home/dev --user 1000", "1000"),
    ] {
        let run = format!("docker run {CLAUDE} --network none {options}");
        setup::is_logged_in(
            &lab.ok(&format!("{run} --rm localhost/bb {SHOW}")),
            uid,
            &format!("{options}, main process"),
        );
        lab.assert_nothing_left(&format!("docker {options}, foreground"));
        lab.ok(&format!("{run} -d --name box localhost/bb sleep 1000"));
        let show = format!("docker exec box {SHOW}");
        setup::is_logged_in(&lab.ok(&show), uid, options);
        assert!(!lab.ok("docker inspect box").contains("<CLAUDE>"), "docker {options}: inspect shows it");
        lab.ok("docker restart -t0 box");
        setup::is_logged_in(&lab.ok(&show), uid, &format!("{options}, restarted"));
        assert_eq!(lab.ok("keyslip list --json | jq length"), "1", "docker {options}");
        lab.ok("docker stop -t0 box");
        lab.assert_nothing_left(&format!("docker {options}, stopped"));
        lab.ok("docker start box");
        setup::is_logged_in(&lab.ok(&show), uid, &format!("{options}, started"));
        lab.ok("docker rm -f box");
        lab.assert_nothing_left(&format!("docker {options}"));
    }
}

#[test]
fn docker_shows_why_a_device_is_refused() {
    let Some(lab) = docker("denied") else { return };
    lab.ok("keyslip cdi generate --account work");
    lab.restart("docker");
    let denied = lab.sh("docker run --rm --network none --device keyslip.dev/agent=claude.work localhost/bb true");
    assert!(!denied.succeeded(), "{denied}");
    assert!(denied.stderr.contains("cdi asks for claude@work, which no [[allow]] rule permits"), "{denied}");
    let unknown = lab.sh("docker run --rm --network none --device keyslip.dev/agent=nobody localhost/bb true");
    assert!(!unknown.succeeded() && unknown.stderr.contains("keyslip.dev/agent=nobody"), "{unknown}");
    lab.assert_nothing_left("refused");
}

#[test]
fn a_device_leaves_no_value_in_dockers_storage() {
    let Some(lab) = Lab::on(Tree::Debian13, "cdi-docker-canary") else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.ok("keyslip cdi generate");
    lab.write("/etc/docker/daemon.json", br#"{"features":{"cdi":true},"debug":true}"#);
    lab.docker();
    lab.ok(&format!(
        "docker run -d --name box {CLAUDE} --network none localhost/bb sleep 1000
        docker exec box cat /run/secrets/claude; docker commit box copy; docker export -o $W/c.tar box; docker inspect box >$W/inspect"
    ));
    assert!(!lab.leaks(&["/run/keyslip"], &token).is_empty(), "the search finds what is there");
    lab.ok("docker rm -f box");
    let places = ["/var/lib/docker", "/var/lib/containerd", "/run", "/etc", "$W/docker.log", "$W/c.tar", "$W/inspect"];
    assert_eq!(lab.leaks(&places, &token), [""; 0]);
    lab.assert_nothing_left("docker");
}
