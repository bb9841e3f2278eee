//! Images and layers: they hold nothing and ask for nothing. And what docker says when a container is
//! refused.

use super::{ALL, Docker, SHOW};
use crate::lab::Output;

#[test]
fn images_hold_nothing_and_ask_for_nothing() {
    // So that builders, too, call the shim.
    for docker in Docker::each("images", "\"default-runtime\": \"keyslip\"") {
        layers(&docker);
        labels_and_links(&docker);
        builds(&docker);
        refused(&docker);
        compose(&docker);
    }
}

/// What a container's layer holds while it runs, and after.
fn layers(docker: &Docker) {
    let version = docker.version;
    docker.start("c1", "-v work:/work");
    docker.exec("c1", "echo mine >/root/mine; echo mine >/work/mine");
    docker.ok(
        "mkdir -p $W/out; docker commit c1 running; docker save running -o $W/out/image.tar; docker export c1 -o $W/out/export.tar
        docker image inspect running >$W/out/inspect; docker history --no-trunc running >$W/out/history; docker logs c1 >$W/out/logs 2>&1
        docker cp c1:/root $W/out/root; docker cp c1:/run/secrets $W/out/secrets
        mkdir $W/out/layers; tar -C $W/out/layers -xf $W/out/image.tar
        find $W/out/layers -type f -exec sh -c 'tar -tf {} >/dev/null 2>&1 && mkdir {}.d && tar -C {}.d -xf {}' \\;",
    );
    // The mountpoints are there, as those of the runtime itself are, and are empty.
    let made = "[ -z \"$(docker diff c1 | grep -vxE 'C /root|A /root/mine|A /root/.claude.json|C /run|A /run/secrets|[AC] /work|A /request')\" ] || docker diff c1";
    assert_eq!(docker.ok(made), "", "{version}");
    assert_eq!(docker.lab.ok("find $W/out/secrets -type f; cat $W/out/root/mine"), "mine", "{version}");
    docker.lab.ok("find $W/out/layers -path '*/root/mine' | grep -q .");
    assert_eq!(
        docker.lab.leaks(&["$W/out", "/var/lib/docker", "/var/log"], &docker.token),
        [""; 0],
        "{version}: while it runs"
    );
    assert_ne!(docker.lab.leaks(&["/run/keyslip"], &docker.token), [""; 0], "{version}: the search itself");

    docker.ok("docker stop c1; docker commit c1 stopped >/dev/null");
    let lines = docker.ok("docker diff c1 | sort | grep -v -e /request -e /work");
    assert_eq!(lines, "A /root/mine\nC /root", "{version}: stopped");
    docker.ok("docker rm c1");
    // An image of a running container is an image like others, with Keyslip and without.
    let plain = "docker run --rm --network none running sh -c 'ls -A /run/secrets; cat /root/.claude.json; env | grep -c TOKEN; true'";
    assert_eq!(docker.ok(plain), "{}0", "{version}: of a running container");
    assert_eq!(docker.ok(&format!("{} --rm running sh -c '{SHOW}'", docker.run())), ALL, "{version}: once more");
    let plain = "docker run --rm --network none stopped sh -c 'ls -A /root /run'";
    assert_eq!(docker.ok(plain), "/root:\nmine\n\n/run:", "{version}: of a stopped container");
    assert_eq!(
        docker.lab.leaks(&["/var/lib/docker", "/var/log", "/run"], &docker.token),
        [""; 0],
        "{version}: at the end"
    );
    docker.assert_nothing_left("layers");
}

/// An image's labels and variables, and a link in somebody's repository, are not the user's word.
fn labels_and_links(docker: &Docker) {
    docker.ok(
        r#"$REPO/tests/lab/archive $W/image.tar localhost/labelled:latest '{"Env":["PATH=/bin","dev.keyslip.agents=claude","KEYSLIP_AGENTS=claude"],
            "Cmd":["sh"],"Labels":{"dev.keyslip.agents":"claude"},"Volumes":{"/run/keyslip/request/claude":{}}}' | docker load
        keyslip request claude >/dev/null; touch /run/keyslip/request/claude; mkdir $W/repo; ln -s /run/keyslip/request/claude $W/repo/data"#,
    );
    let look = "sh -c 'env | grep -c OAUTH; ls /run/secrets 2>/dev/null; true'";
    for options in
        ["localhost/labelled", "--label dev.keyslip.agents=claude localhost/bb", "-v $W/repo/data:/data localhost/bb"]
    {
        let seen = docker.ok(&format!("docker run --rm --runtime keyslip --network none {options} {look}"));
        assert_eq!(seen, "0", "{}: {options}", docker.version);
    }
    docker.assert_nothing_left("images that ask");
}

fn builds(docker: &Docker) {
    let file = "FROM localhost/bb\nLABEL dev.keyslip.agents=claude\nRUN echo [$CLAUDE_CODE_OAUTH_TOKEN] >/seen; ls -A /run /root >>/seen\n";
    docker.lab.ok("mkdir $W/context");
    docker.lab.write("$W/context/Dockerfile", file.as_bytes());
    for buildkit in 0..2 {
        docker.ok(&format!("DOCKER_BUILDKIT={buildkit} docker build -q --network none -t built{buildkit} $W/context"));
        let seen = docker.ok(&format!("docker run --rm --network none built{buildkit} cat /seen"));
        assert_eq!(seen, "[]\n/root:\n\n/run:", "{} buildkit={buildkit}", docker.version);
    }
    docker.assert_nothing_left("builds");
}

/// docker shows one sentence, and doing what it says helps.
fn refused(docker: &Docker) {
    let version = docker.version;
    docker.lab.login_account("claude", "work", &docker.lab.token("WORK"));
    let run = docker.run_for("claude@work");
    let output = docker.sh(&format!("{run} --rm localhost/bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'"));
    assert_eq!((output.code(), output.stdout.as_str()), (Some(125), ""), "{version}: {output}");
    let said = output.stderr.lines().next().unwrap_or_default();
    assert_eq!(said.matches("keyslip: container").count(), 1, "{version}: {output}");
    assert!(said.contains("docker asks for claude@work, which no [[allow]] rule permits"), "{version}: {output}");
    let (file, rule) = said.split_once("write into ").and_then(|(_, rest)| rest.split_once(": ")).expect(said);
    let rule = &rule[..=rule.rfind(']').expect(said)];
    docker.lab.ok("mkdir -p /etc/keyslip/conf.d");
    docker.lab.write(file, rule.as_bytes());
    let seen = docker.ok(&format!("{run} --rm localhost/bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'"));
    assert_eq!(seen, "<WORK>", "{version}: with {rule}");
    docker.assert_nothing_left("refused");
    // The codes of commands that do not exist are docker's own.
    for (command, code) in [("no-such-program", 127), ("/etc", 126), ("sh -c 'exit 7'", 7)] {
        let asks = docker.sh(&format!("{} --rm localhost/bb {command}", docker.run()));
        let plain = docker.sh(&format!("docker run --rm --network none --runtime runc localhost/bb {command}"));
        // The client of 20.10 sometimes adds a line about itself.
        let first = |output: &Output| output.said().lines().next().map(str::to_owned);
        assert_eq!((asks.code(), first(&asks)), (Some(code), first(&plain)), "{version} {command}");
    }
    docker.assert_nothing_left("refused");
}

/// The files of examples/compose. Debian 12 has no compose for its docker that could be installed beside it.
fn compose(docker: &Docker) {
    if docker.version.starts_with("20") {
        return;
    }
    docker.lab.write(
        "$W/alone.yaml",
        b"services:\n  agent:\n    network_mode: none\n    command: sleep 1000\n    stop_signal: KILL\n",
    );
    for file in ["compose.yaml", "compose.request.yaml"] {
        let compose = format!(
            "AGENT_IMAGE=localhost/bb CLAUDE_REQUEST=$(keyslip request claude) docker compose -p p -f $REPO/examples/compose/{file} -f $W/alone.yaml"
        );
        docker.ok(&format!("{compose} up -d"));
        assert_eq!(docker.ok(&format!("{compose} exec -T agent sh -c '{SHOW}'")), ALL, "{file}");
        docker.ok(&format!("{compose} restart"));
        assert_eq!(docker.ok(&format!("{compose} exec -T agent sh -c '{SHOW}'")), ALL, "{file}: restarted");
        docker.ok(&format!("{compose} down -v"));
        docker.assert_nothing_left(file);
    }
}
