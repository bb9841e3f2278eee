//! What a container has through its life, and what processes beside the main one have.

use super::{ALL, Docker, MAIN, SHOW};

/// Name, options, and who and where its user is.
const KINDS: [(&str, &str, &str); 7] = [
    ("init", "--init", "0 /root"),
    ("readonly", "--read-only", "0 /root"),
    ("user", "--user 1000", "1000 /home/dev"),
    ("volume", "-v home:/root", "0 /root"),
    ("uservolume", "--user 1000 -v homedev:/home/dev", "1000 /home/dev"),
    ("tmpfs", "--tmpfs /root", "0 /root"),
    ("dropped", "--cap-drop ALL --security-opt no-new-privileges --user dev", "1000 /home/dev"),
];

#[test]
fn containers_of_every_kind_are_authenticated_through_their_life() {
    for docker in Docker::each("life", "") {
        every_kind(&docker);
        other_processes(&docker);
        accounts(&docker);
        changing_login(&docker);
    }
}

fn every_kind(docker: &Docker) {
    let version = docker.version;
    for (name, options, _) in KINDS {
        docker.start(name, options);
    }
    let check = |when: &str| {
        for (name, _, who) in KINDS {
            let what = format!("{version} {name} {when}");
            let seen = docker.exec(name, &format!("{SHOW}; {MAIN}"));
            let all = format!("{who} <CLAUDE> <CLAUDE> {{\"hasCompletedOnboarding\":true}}");
            assert_eq!(seen, format!("{all}\nCLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{what}");
        }
    };
    check("started");
    assert_eq!(
        docker.exec("init", "tr \"\\0\" \" \" </proc/1/cmdline"),
        "/sbin/docker-init -- sleep 1000",
        "{version}"
    );
    let names = KINDS.map(|(name, ..)| name).join(" ");
    docker.ok(&format!("docker stop {names}"));
    let left = docker.lab.ok("find /run/keyslip -type f ! -path '*/request/*'");
    assert_eq!(left, "", "{version}: stopped");
    docker.ok(&format!("docker start {names}"));
    check("stopped and started");
    docker.remove(&names);
    let volumes = "docker volume inspect home homedev --format '{{.Mountpoint}}' | xargs -I{} find {} -mindepth 1";
    assert_eq!(docker.ok(volumes), "", "{version}: in the volumes");
}

fn other_processes(docker: &Docker) {
    let version = docker.version;
    let health =
        "--health-interval 1s --health-cmd 'test -s /run/secrets/claude && test -n \"$CLAUDE_CODE_OAUTH_TOKEN\"'";
    docker.start("c1", &format!("--restart on-failure {health}"));
    // Another user has the variable, as everything that is started there; the file is its owner's.
    let other =
        "docker exec -u 1000 c1 sh -c 'echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude 2>&1 || true'";
    let denied = "1000 <CLAUDE>\ncat: can't open '/run/secrets/claude': Permission denied";
    assert_eq!(docker.ok(other), denied, "{version}");
    let own = "docker exec -e CLAUDE_CODE_OAUTH_TOKEN=own -e MORE=1 -w /tmp c1 sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $MORE $PWD'";
    assert_eq!(docker.ok(own), "own 1 /tmp", "{version}: what is typed wins");
    assert_eq!(docker.ok("echo in | docker exec -i c1 cat"), "in", "{version}");
    docker.ok("docker run -d --name plain --network none --stop-signal KILL localhost/bb sleep 1000");
    for command in ["sh -c 'exit 9'", "no-such-program", "/etc"] {
        let (asked, plain) =
            (docker.sh(&format!("docker exec c1 {command}")), docker.sh(&format!("docker exec plain {command}")));
        assert_eq!((asked.code(), asked.said()), (plain.code(), plain.said()), "{version} {command}");
    }
    docker.until("c1", "{{.State.Health.Status}}", "healthy");
    // It is killed, and the daemon starts it again.
    docker.ok("kill -KILL $(docker inspect -f '{{.State.Pid}}' c1)");
    // A container that waits to be started again is "Running" too, but not its status.
    docker.until("c1", "{{.RestartCount}} {{.State.Status}}", "1 running");
    assert_eq!(docker.exec("c1", SHOW), ALL, "{version}: after a restart by the daemon");
    docker.ok("docker pause c1; docker unpause c1; docker rename c1 renamed");
    assert_eq!(docker.exec("renamed", SHOW), ALL, "{version}: renamed");
    docker.remove("renamed plain");
}

fn accounts(docker: &Docker) {
    docker.configure("[[allow]]\nengine = \"docker\"\nagents = [\"claude\"]\naccounts = [\"work\", \"home\"]\n");
    for account in ["work", "home"] {
        docker.lab.login_account("claude", account, &docker.lab.token(account));
        let run = docker.run_for(&format!("claude@{account}"));
        docker.ok(&format!("{run} -d --name {account} localhost/bb sleep 1000"));
    }
    for account in ["work", "home"] {
        let own = "echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/*; ls /run/secrets";
        assert_eq!(docker.exec(account, own), format!("<{account}>\n<{account}>claude"), "{}", docker.version);
    }
    docker.remove("work home");
    docker.configure("");
}

/// The login changes while processes start: each has the old one or the new one, whole.
fn changing_login(docker: &Docker) {
    let (version, lab) = (docker.version, &docker.lab);
    docker.start("c1", "");
    let (first, second) = (lab.token("FIRST"), lab.token("SECOND"));
    lab.login("claude", &first);
    lab.ok("keyslip sync");
    assert_eq!(docker.exec("c1", SHOW), ALL.replace("CLAUDE", "FIRST"), "{version}");
    assert_eq!(docker.exec("c1", MAIN), "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{version}: a process keeps what it has");

    lab.write("$W/first", first.as_bytes());
    lab.write("$W/second", second.as_bytes());
    let seen = docker.ok(
        "touch $W/going; { while [ -e $W/going ]; do for f in second first; do keyslip auth login claude <$W/$f; keyslip sync; done; done; } >$W/sync.log 2>&1 &
        for i in $(seq 12); do docker exec c1 sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude; echo'; done
        rm $W/going; wait; rm $W/first $W/second",
    );
    let lines: Vec<&str> = seen.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() == 24 && lines.iter().all(|line| ["<FIRST>", "<SECOND>"].contains(line)), "{version}: {seen}");
    assert!(lines.contains(&"<FIRST>") && lines.contains(&"<SECOND>"), "{version}: nothing changed meanwhile: {seen}");
    docker.remove("c1");
}
