//! Containers and images that reach for what another one has.

use crate::lab::{Bare, Lab, RUNTIMES, Tree};
use crate::tally::{Counted, tally};

const SHOW: &str = "echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; cat /run/secrets/* 2>/dev/null; true";

/// How many are made at once.
const AT_ONCE: usize = 50;

#[test]
fn fifty_creates_at_once_have_fifty_canaries() {
    let Some(lab) = Lab::new("fifty") else { return };
    let tokens: Vec<String> = (1..=AT_ONCE).map(|n| lab.token(&format!("C{n}-"))).collect();
    lab.configure("[[allow]]\nagents = [\"claude\"]\naccounts = [\"a*\"]\n");
    lab.write("tokens", tokens.join("\n").as_bytes());
    lab.ok("n=0; while read -r token || [ -n \"$token\" ]; do n=$((n+1)); keyslip auth login claude --account a$n <<<\"$token\" >/dev/null; done <$W/tokens; rm $W/tokens");
    let unique = lab.unique();
    lab.bundle("shared", &format!(r#".process.args=["sh","-c","{SHOW}"]"#));
    lab.write("start", format!("mkdir $W/b$1; jq -c --arg n $1 '.annotations={{\"dev.keyslip.agents\":(\"claude@a\"+$n)}} | .root.path=\"'$W'/shared/rootfs\" | .linux.cgroupsPath=\"/{unique}-\"+$n' $W/shared/config.json >$W/b$1/config.json
        runtime=crun; [ $(($1 % 2)) = 0 ] || runtime=runc
        $BARE/$runtime create --bundle $W/b$1 c$1 >$W/out$1 2>$W/err$1 </dev/null").as_bytes());
    lab.ok("pids=; for n in $(seq 50); do bash -eu $W/start $n & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid || { cat $W/err*; exit 1; }; done");
    assert_eq!(lab.ok("keyslip list --json | jq '[.[] | select(.state==\"live\")] | length'"), "50");
    lab.ok("for n in $(seq 50); do r=crun; [ $((n % 2)) = 0 ] || r=runc; $BARE/$r start c$n; done");
    for n in 1..=AT_ONCE {
        let own = format!("<C{n}->");
        lab.ok(&format!("for i in $(seq 200); do [ $(wc -l <$W/out{n}) = 1 ] && break; sleep 0.05; done"));
        assert_eq!(lab.ok(&format!("cat $W/out{n}")), format!("{own}\n{own}"), "container {n}");
    }
    lab.ok(
        "for n in $(seq 50); do r=crun; [ $((n % 2)) = 0 ] || r=runc; $BARE/$r delete --force c$n; done; rm $W/out*",
    );
    lab.assert_nothing_left("fifty");
    let places = ["/run", "/var/log", "/etc", "$W/b*", "$W/shared", "$W/err*", "/var/lib/keyslip/audit.log"];
    for token in &tokens {
        assert_eq!(lab.leaks(&places, token), [""; 0], "a canary is outside");
    }
    tally(Counted::Hostile, "fifty", AT_ONCE, AT_ONCE);
    tally(Counted::Searched, "fifty", AT_ONCE * places.len(), AT_ONCE * places.len());
}

#[test]
fn a_second_container_of_the_same_id_and_bundle_takes_nothing_from_the_first_by_hooks() {
    let Some(lab) = Lab::with_claude("two-roots-hooks") else { return };
    let hook = "/usr/libexec/keyslip/keyslip-hook";
    for runtime in RUNTIMES {
        let call = |stage: &str| {
            format!(r#"[{{path:"{hook}",args:["keyslip-hook","{stage}","--engine","bare"],env:["PATH=/bin"]}}]"#)
        };
        let edit = format!(
            r#".annotations={{"dev.keyslip.agents":"claude"}} | .hooks={{createRuntime:{},poststop:{}}} | .process.env+=["HOME=/root"]"#,
            call("createRuntime"),
            call("poststop")
        );
        let bundle = lab.bundle(runtime, &edit);
        let mut first = Bare::new(&lab, runtime, "same", &bundle);
        first.shim = format!("{runtime} --root /run/one");
        first.start();
        // The second one is under another root of the runtime; its hooks are called with its state. It has a process of its
        // own, in a mount namespace of its own.
        lab.ok(&format!(
            "unshare --mount sleep 100 >/dev/null 2>&1 & echo $! >$W/second; sleep 0.2
            jq -nc --arg b {bundle} --arg pid $(cat $W/second) '{{ociVersion:\"1.0.2\",id:\"same\",status:\"creating\",pid:($pid|tonumber),bundle:$b,annotations:{{\"dev.keyslip.agents\":\"claude\"}}}}' >$W/state"
        ));
        let second = lab.sh(&format!("{hook} createRuntime --engine bare <$W/state"));
        assert!(second.code() == Some(1) && second.stderr.contains("use another id"), "{runtime}: {second}");
        assert_eq!(first.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}: taken by the start of the second");
        let end = lab.sh(&format!("kill $(cat $W/second); {hook} poststop --engine bare <$W/state"));
        assert!(end.succeeded(), "{runtime}: {end}");
        assert_eq!(first.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}: taken by the end of the second");
        first.end();
        lab.assert_nothing_left(runtime);
    }
    tally(Counted::Hostile, "two-roots-hooks", 4, 4);
}

/// A podman 4.3, which copies an image's annotations, with the hooks and without the shim.
fn podman_with_hooks(name: &str) -> Option<Lab> {
    let lab = Lab::with_claude(name)?;
    lab.ok("keyslip install tmpfs; keyslip install hooks");
    lab.ok(r#"sed -i "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#
        s#^runtime = .*#&\nhooks_dir = [\"/etc/keyslip/hooks.d\"]#" $CONTAINERS_CONF"#);
    lab.image();
    Some(lab)
}

#[test]
fn a_container_id_forged_by_a_volume_is_nobodys() {
    let Some(lab) = podman_with_hooks("forged-volume") else { return };
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run -d --annotation dev.keyslip.agents=claude");
        lab.ok(&format!("{run} --name victim bb sleep 1000"));
        let victim = lab.ok("podman inspect victim --format '{{.Id}}'");
        let sandbox = lab.ok("keyslip list --json | jq -r '.[0].id'");
        // Everything in a specification of podman's that has an id in it.
        let volumes = [
            format!("-v /var/lib/containers/storage/overlay-containers/{victim}/userdata:/data"),
            format!("-v /run/containers/storage/overlay-containers/{victim}/userdata/hosts:/etc/hosts"),
            format!("-v /run/keyslip/sandbox/{}/{sandbox}:/run/secrets", &sandbox[..2]),
            format!("--hostname {} --env container={victim} --label id={victim} --cidfile $W/cid", &victim[..12]),
        ];
        for (number, volume) in volumes.iter().enumerate() {
            let what = format!("{runtime}: {volume}");
            lab.ok("rm -f $W/cid; mkdir -p /run/containers/storage; true");
            let name = format!("forger{number}");
            let output = lab.sh(&format!("{run} --name {name} {volume} bb sleep 1000"));
            if output.succeeded() {
                let held = lab.ok("keyslip list --json | jq -r '.[].container' | sort");
                let ids = lab.ok(&format!("podman inspect victim {name} --format '{{{{.Id}}}}' | sort"));
                assert_eq!(held, ids, "{what}: each has its own");
            }
            lab.sh(&format!("podman rm -f -t0 {name}; keyslip sweep"));
            assert_eq!(lab.ok("podman exec victim cat /run/secrets/claude"), "<CLAUDE>", "{what}: taken");
            assert_eq!(lab.ok("keyslip list --json | jq -r '.[].container'"), victim, "{what}");
        }
        lab.remove("victim");
        lab.assert_nothing_left(runtime);
    }
    tally(Counted::Hostile, "forged-volume", 8, 8);
}

#[test]
fn an_image_that_says_it_is_a_pod_gets_no_account_of_a_namespace_even_where_images_are_trusted() {
    let Some(lab) = podman_with_hooks("identity") else { return };
    lab.login_account("claude", "team", &lab.token("TEAM"));
    lab.configure("[engines.podman]\ntrust_annotations = true\n[[allow]]\nengine = \"cri\"\nnamespace = \"team\"\nagents = [\"claude\"]\naccounts = [\"team\"]\n");
    lab.ok("c=$(buildah from localhost/bb)
        for a in dev.keyslip.agents=claude@team io.container.manager=cri-o io.kubernetes.cri.sandbox-namespace=team \
            io.kubernetes.cri.sandbox-name=p io.kubernetes.cri.container-type=container io.kubernetes.cri-o.Namespace=team \
            io.kubernetes.cri-o.KubeName=p io.kubernetes.pod.namespace=team io.podman.annotations.autoremove=TRUE; do
            buildah config --annotation $a --label $a --env $a $c
        done
        buildah commit -q $c asking; buildah rm $c >/dev/null");
    for runtime in RUNTIMES {
        for podman in
            [format!("podman --runtime {runtime}"), format!("podman --runtime /usr/libexec/keyslip/podman/{runtime}")]
        {
            let output = lab.sh(&format!("{podman} run --rm asking sh -c '{SHOW}'"));
            assert!(!output.succeeded() && !output.said().contains("<TEAM>"), "{podman}: {output}");
            let reason = lab.ok("keyslip status --json | jq -r '.problems[-1].reason'");
            assert!(reason.contains("claude@team"), "{podman}: {reason}");
            lab.sh("podman rm -af -t0");
            lab.assert_nothing_left(&podman);
        }
    }
    tally(Counted::Hostile, "identity", 4, 4);
}

#[test]
fn a_compose_file_that_reaches_the_request_directory_through_a_link_asks_for_nothing() {
    let Some(lab) = Lab::on(Tree::Debian13, "compose-link") else { return };
    lab.login("claude", &lab.token("CLAUDE"));
    lab.configure("[engines.docker]\nversion = \"26.1.5\"\n");
    lab.write("/etc/docker/daemon.json", br#"{"runtimes": {"keyslip": {"path": "/usr/libexec/keyslip/docker/runc"}}}"#);
    lab.docker();
    let request = lab.ok("keyslip request claude");
    lab.ok(&format!(
        "mkdir -p $W/repository /run/keyslip/request; touch /run/keyslip/request/claude; cd $W/repository
        ln -s /run/keyslip/request/claude file; ln -s /run/keyslip/request dir; ln -s /run/keyslip runtime; ln -s ../../../../../../run/keyslip/request up; ln -s {request} told; ln -s ${{PWD}}/dir twice"
    ));
    let mut tried = 0;
    for source in [
        "./file",
        "./dir/claude",
        "./runtime/request/claude",
        "./up/claude",
        "./told",
        "./twice/claude",
        "./dir",
        "./runtime",
    ] {
        let text = format!(
            "services:\n  agent:\n    image: localhost/bb\n    runtime: keyslip\n    network_mode: none\n    command: sleep 1000\n    stop_signal: KILL\n    volumes: ['{source}:/request:ro']\n"
        );
        lab.write("repository/compose.yaml", text.as_bytes());
        let compose = "/usr/bin/docker compose -f $W/repository/compose.yaml";
        lab.ok(&format!("{compose} up -d"));
        let seen = lab.ok(&format!("{compose} exec -T agent sh -c '{SHOW}'; keyslip list --json | jq length"));
        assert_eq!(seen, "none\n0", "{source}");
        lab.ok(&format!("{compose} down"));
        tried += 1;
    }
    // The same path without a link is what the user typed.
    lab.ok("sed -i 's#./runtime:#/run/keyslip/request/claude:#' $W/repository/compose.yaml; /usr/bin/docker compose -f $W/repository/compose.yaml up -d");
    let seen = lab.ok(&format!("/usr/bin/docker compose -f $W/repository/compose.yaml exec -T agent sh -c '{SHOW}'"));
    assert_eq!(seen, "<CLAUDE>\n<CLAUDE>");
    lab.ok("/usr/bin/docker compose -f $W/repository/compose.yaml down");
    tally(Counted::Hostile, "compose-link", tried, tried);
}
