//! docker 20.10, which has no annotations: a request mount, made by its user alone.

use crate::lab::{Lab, Tree};

/// What the container has of Claude and of the mount.
const SHOW: &str = "sh -c 'echo $(id -u) ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude 2>&1); ls -d /request 2>/dev/null || true'";

fn docker(name: &str) -> Option<Lab> {
    let lab = Lab::on(Tree::Debian12, &format!("docker20-{name}"))?;
    lab.login("claude", &lab.token("CLAUDE"));
    lab.configure("");
    lab.ok("keyslip install tmpfs");
    lab.write("/etc/docker/daemon.json", br#"{"runtimes": {"keyslip": {"path": "/usr/libexec/keyslip/docker/runc"}}}"#);
    lab.docker();
    Some(lab)
}

#[test]
fn a_request_mount_is_answered_and_taken_out() {
    let Some(lab) = docker("mount") else { return };
    let run = "docker run --runtime keyslip --network none";
    // The path that nobody knows, and the one that can stand in a file; as volume, as mount, and for a user.
    for (ask, uid) in [
        ("-v $(keyslip request claude):/request:ro", "0"),
        ("--mount type=bind,src=$(keyslip request claude),dst=/request,readonly --user 1000 --read-only", "1000"),
        ("-v /run/keyslip/request/claude:/request:ro --init", "0"),
    ] {
        lab.ok(&format!("mkdir -p /run/keyslip/request; touch /run/keyslip/request/claude; {run} -d --name box {ask} localhost/bb sleep 1000"));
        for when in ["", "docker restart -t0 box >/dev/null; "] {
            let expected = format!("{uid} <CLAUDE> <CLAUDE>");
            assert_eq!(lab.ok(&format!("{when}docker exec box {SHOW}")), expected, "{ask}: {when}");
        }
        let main = lab.ok("docker exec box sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE'");
        assert_eq!(main, "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{ask}");
        assert!(!lab.ok("docker inspect box").contains("<CLAUDE>"), "{ask}: inspect shows it");
        lab.ok("docker rm -f box; rm -r /run/keyslip/request");
        lab.assert_nothing_left(ask);
    }
}

#[test]
fn an_image_and_a_link_ask_for_nothing() {
    let Some(lab) = docker("link") else { return };
    lab.ok("mkdir -p $W/repository /run/keyslip/request; touch /run/keyslip/request/claude; ln -s /run/keyslip/request/claude $W/repository/data
        c=$(docker create localhost/bb); docker commit -c 'LABEL dev.keyslip.agents=claude' -c 'ENV dev.keyslip.agents=claude' -c 'VOLUME /run/keyslip/request/claude' $c asking; docker rm $c");
    for run in [
        "asking",
        "-v $W/repository/data:/data localhost/bb",
        "-v /run/keyslip:/data localhost/bb",
        "--label dev.keyslip.agents=claude localhost/bb",
    ] {
        let seen = lab.ok(&format!("docker run --rm --runtime keyslip --network none {run} {SHOW}"));
        assert!(seen.starts_with("0 none"), "{run}: {seen}");
    }
}
