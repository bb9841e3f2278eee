//! Builds: a step of `buildah run`, `buildah bud` or `podman build` that has a request mount uses the agent,
//! and the image is the one that a build without it makes.
//!
//! The runtime is called with the isolations `oci` and `rootless`, which are the defaults of both programs.
//! With the isolation `chroot`, the default in buildah's own container image, no runtime is called, so nothing
//! is delivered; a hook cannot help, as none is called either. Annotations never reach the specification of
//! a build.

use crate::lab::{Lab, Output, RUNTIMES, Tree};

/// The engines of both Debians.
const TREES: [(Tree, &str); 2] =
    [(Tree::Debian12, "buildah 1.28, podman 4.3"), (Tree::Debian13, "buildah 1.39, podman 5.4")];

/// Two steps, of root and of a user: what the agent finds, on standard error, and something that is made.
const STEPS: &str = r#"FROM localhost/bb
RUN echo root ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude) $(cat ~/.claude.json) >&2; ls /request >&2 || true; echo made >/made
USER dev
RUN echo $(id -u) ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude) $(stat -c %u:%a ~/.claude.json) >&2; echo made >~/made
"#;

/// The ways to build that image; `$OPTIONS` are those of the way, `$RUNTIME` a path.
const WAYS: [(&str, &str); 3] = [
    (
        "buildah bud",
        "buildah bud -q --no-cache --runtime $RUNTIME --network none $OPTIONS -t $IMAGE -f $W/Containerfile $W/context",
    ),
    (
        "buildah bud with layers",
        "buildah bud -q --no-cache --layers --runtime $RUNTIME --network none $OPTIONS -t $IMAGE -f $W/Containerfile $W/context",
    ),
    (
        "podman build",
        "podman --runtime $RUNTIME build -q --no-cache --network none $OPTIONS -t $IMAGE -f $W/Containerfile $W/context",
    ),
];

/// Prints the layers of `$IMAGE` above those of its base: kind, mode, owner, size and name of everything in
/// them, less the directories that are there as the base has them, to the second. An overlay file system copies a
/// directory up when something is made in it, and a layer keeps the copy.
const LAYERS: &str = r#"rm -rf $W/saved; mkdir $W/saved; podman save -q --format docker-archive $IMAGE | tar -C $W/saved -x
    list() { tar --numeric-owner --full-time -tvf $W/saved/$1 | awk '{ sub(/^\.\//, "", $6); print $1, $2, $3, $6, $4, $5 }' | sort -k4; }
    list $(jq -r '.[0].Layers[0]' $W/saved/manifest.json) >$W/saved/base
    for layer in $(jq -r '.[0].Layers[1:][]' $W/saved/manifest.json); do
        echo layer; list $layer | awk 'NR == FNR { if (/^d/) base[$0] = 1; next } !($0 in base) { print $1, $2, $3, $4 }' $W/saved/base -
    done"#;

/// A lab with logins `<CLAUDE>` and an image `bb`; no annotation and no plain mount counts.
fn building(tree: Tree, name: &str) -> Option<Lab> {
    let lab = Lab::on(tree, &format!("build-{name}"))?;
    lab.login("claude", &lab.token("CLAUDE"));
    lab.configure("");
    // Whatever a build changes is newer.
    lab.ok("find $W/rootfs -exec touch -h -d 2020-02-02 {} +; tar -C $W/rootfs -cf $W/image.tar .");
    lab.image();
    lab.write("Containerfile", STEPS.as_bytes());
    lab.ok("keyslip install tmpfs; mkdir $W/context");
    Some(lab)
}

fn script(command: &str, runtime: &str, options: &str, image: &str) -> String {
    format!("RUNTIME={runtime} OPTIONS=\"{options}\" IMAGE={image}; {command}")
}

/// Asserts that no container has left anything. The entries of the request directory stay until the next boot.
#[track_caller]
fn nothing_left(lab: &Lab, what: &str) {
    let left = lab.ok("for dir in /run/keyslip /run/user/*/keyslip; do
        find $dir/sandbox $dir/index $dir/use $dir/claim ! -type d 2>/dev/null || true; done");
    assert_eq!(left, "", "{what}: left behind");
}

/// The volume that asks.
const ASKS: &str = "-v $(keyslip request claude):/request:ro";

#[track_caller]
fn has_the_agent(output: &Output, what: &str) {
    assert!(output.succeeded(), "{what}: {output}");
    let said: Vec<&str> =
        output.stderr.lines().filter(|line| line.contains("CLAUDE") || line.contains("none")).collect();
    let expected = [r#"root <CLAUDE> <CLAUDE> {"hasCompletedOnboarding":true}"#, "1000 <CLAUDE> <CLAUDE> 1000:600"];
    assert_eq!(said, expected, "{what}: {output}");
    assert!(output.stderr.contains("/request: No such file"), "{what}: the mount is there: {output}");
}

#[test]
fn a_build_step_has_the_agent_and_the_image_is_the_same_as_without_it() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "same") else { return };
        for runtime in RUNTIMES {
            for (way, command) in WAYS {
                let what = format!("{way} of {engines}, {runtime}");
                has_the_agent(
                    &lab.sh(&script(command, &format!("/usr/libexec/keyslip/buildah/{runtime}"), ASKS, "with")),
                    &what,
                );
                nothing_left(&lab, &what);
                let plain = lab.ok(&format!("command -v {runtime}"));
                let without = lab.sh(&script(command, &plain, "", "without"));
                assert!(without.succeeded() && without.stderr.contains("root none"), "{what}: {without}");
                let layers = |image: &str| lab.ok(&format!("IMAGE={image}; {LAYERS}"));
                let (with, without) = (layers("with"), layers("without"));
                assert!(with.contains(" made") && with.contains("home/dev/made"), "{what}: {with}");
                assert_eq!(with, without, "{what}: the image differs");
                lab.ok("podman rmi -f with without");
            }
        }
    }
}

#[test]
fn a_container_of_buildah_has_the_agent_in_a_run_and_keeps_nothing() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "run") else { return };
        for runtime in RUNTIMES {
            let what = format!("{engines}, {runtime}");
            let run = |options: &str, runtime: &str| {
                lab.sh(&format!(
                    "c=$(buildah from localhost/bb); buildah run --runtime {runtime} --network none {options} $c sh -c 'echo ${{CLAUDE_CODE_OAUTH_TOKEN-none}} $(cat /run/secrets/claude); touch /made'
                    buildah commit -q $c made >/dev/null; buildah rm $c >/dev/null; IMAGE=made; {LAYERS} >&2; podman rmi -f made >/dev/null"
                ))
            };
            let with = run(ASKS, &format!("/usr/libexec/keyslip/buildah/{runtime}"));
            assert_eq!(with.text(), "<CLAUDE> <CLAUDE>", "{what}: {with}");
            nothing_left(&lab, &what);
            let without = run("", &lab.ok(&format!("command -v {runtime}")));
            assert_eq!(without.text(), "none", "{what}: {without}");
            let layers = |output: &Output| {
                output.stderr.lines().skip_while(|line| *line != "layer").collect::<Vec<_>>().join("\n")
            };
            assert!(layers(&with).contains("made"), "{what}: {with}");
            assert_eq!(layers(&with), layers(&without), "{what}: the image differs");
        }
    }
}

#[test]
fn a_build_leaves_no_value_on_a_disk_while_it_runs_and_after_it() {
    for (tree, engines) in TREES {
        let Some(lab) = Lab::on(tree, "build-canary") else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        lab.image();
        lab.ok("keyslip install tmpfs; mkdir $W/context $W/signal");
        let steps = "FROM localhost/bb\nRUN test -s /run/secrets/claude; touch /signal/ready; while ! [ -e /signal/go ]; do sleep 0.1; done; touch /made\n";
        lab.write("Containerfile", steps.as_bytes());
        let places = ["/var/lib/containers", "/var/tmp", "/tmp/buildah*", "/etc", "$W/log"];
        for runtime in RUNTIMES {
            for (way, command) in WAYS {
                let what = format!("{way} of {engines}, {runtime}");
                let build = script(
                    command,
                    &format!("/usr/libexec/keyslip/buildah/{runtime}"),
                    &format!("{ASKS} -v $W/signal:/signal"),
                    "with",
                );
                lab.ok(&format!(
                    "rm -f $W/signal/*; ({build}) >$W/log 2>&1 & for i in $(seq 200); do [ -e $W/signal/ready ] && exit; sleep 0.1; done; cat $W/log; exit 1"
                ));
                assert_eq!(lab.leaks(&places, &token), [""; 0], "{what}: while it runs");
                let in_run = lab.leaks(&["/run"], &token);
                let kept = |path: &String| path.starts_with("/run/keyslip/") || path.starts_with("/run/crun/");
                assert!(!in_run.is_empty() && in_run.iter().all(kept), "{what}: {in_run:?}");
                lab.ok("touch $W/signal/go; for i in $(seq 200); do podman image exists with && exit; sleep 0.1; done; cat $W/log; exit 1");
                nothing_left(&lab, &what);
                assert_eq!(lab.leaks(&[&places[..], &["/run"]].concat(), &token), [""; 0], "{what}: after it");
                lab.ok("podman rmi -f with");
            }
        }
    }
}

#[test]
fn a_build_of_a_podman_that_is_set_up_for_containers_asks_in_the_same_way() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "podman") else { return };
        for runtime in RUNTIMES {
            // By its name: the path is in containers.conf.
            has_the_agent(&lab.sh(&script(WAYS[2].1, runtime, ASKS, "with")), &format!("{engines}, {runtime}"));
            nothing_left(&lab, engines);
        }
    }
}

#[test]
fn a_rootless_build_has_its_users_login_and_leaves_nothing() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "rootless") else { return };
        lab.user_login("claude", &lab.token("USERS"));
        let import = lab.as_user("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb");
        assert!(import.succeeded(), "{engines}: {import}");
        for runtime in RUNTIMES {
            for (way, command) in WAYS {
                let what = format!("rootless {way} of {engines}, {runtime}");
                let build = |runtime: &str, options: &str| {
                    let own = command.replace("$W/context", "~/context");
                    lab.as_user(&format!("mkdir -p ~/context; {}", script(&own, runtime, options, "built")))
                };
                let built = build(&format!("/usr/libexec/keyslip/buildah/{runtime}"), ASKS);
                assert!(built.succeeded(), "{what}: {built}");
                for expected in
                    [r#"root <USERS> <USERS> {"hasCompletedOnboarding":true}"#, "1000 <USERS> <USERS> 1000:600"]
                {
                    assert!(built.stderr.contains(expected), "{what}: {built}");
                }
                nothing_left(&lab, &what);
                let layers = || lab.as_user(&format!("W=~; IMAGE=built; {LAYERS}")).stdout;
                let with = layers();
                let plain = lab.ok(&format!("command -v {runtime}"));
                let without = build(&plain, "");
                assert!(without.stderr.contains("root none"), "{what}: {without}");
                assert!(with.contains("home/dev/made"), "{what}: {with}");
                assert_eq!(with, layers(), "{what}: the image differs");
            }
        }
    }
}

#[test]
fn the_isolation_chroot_calls_no_runtime_and_delivers_nothing() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "chroot") else { return };
        for (way, command) in WAYS {
            // It takes no other network.
            let command = command.replace("--network none", "--network host");
            let built = lab.sh(&script(
                &command,
                "/usr/libexec/keyslip/buildah/crun",
                &format!("--isolation chroot {ASKS}"),
                "with",
            ));
            assert!(built.stderr.contains("root none"), "{way} of {engines}: {built}");
            nothing_left(&lab, engines);
        }
    }
}

#[test]
fn a_link_in_a_repository_and_a_path_that_anybody_knows_ask_for_nothing() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "link") else { return };
        lab.ok("mkdir -p /run/keyslip/request; touch /run/keyslip/request/claude; ln -s /run/keyslip/request/claude $W/context/data");
        for runtime in RUNTIMES {
            for (way, command) in WAYS {
                for source in ["/run/keyslip/request/claude", "$W/context/data", "/run/keyslip"] {
                    let options = format!("-v {source}:/request:ro");
                    let built =
                        lab.sh(&script(command, &format!("/usr/libexec/keyslip/buildah/{runtime}"), &options, "with"));
                    assert!(
                        built.succeeded() && built.stderr.contains("root none"),
                        "{way} of {engines}, {source}: {built}"
                    );
                }
            }
        }
        nothing_left(&lab, engines);
    }
}

#[test]
fn a_build_that_may_not_have_it_fails_with_the_reason() {
    for (tree, engines) in TREES {
        let Some(lab) = building(tree, "denied") else { return };
        lab.configure("no_default_allow = true\n");
        for runtime in RUNTIMES {
            for (way, command) in WAYS {
                let what = format!("{way} of {engines}, {runtime}");
                let built = lab.sh(&script(command, &format!("/usr/libexec/keyslip/buildah/{runtime}"), ASKS, "with"));
                assert!(!built.succeeded(), "{what}: {built}");
                let sentence = "buildah asks for claude, which no [[allow]] rule permits";
                assert!(built.said().contains(sentence), "{what}: {built}");
                nothing_left(&lab, &what);
            }
        }
    }
}
