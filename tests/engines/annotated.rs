//! Images that carry annotations. podman up to 4.5.0 copies them into the specification, as if the user had
//! written them; since 4.5.1 it does not (docs/decisions/0018). An image must obtain nothing either way.

use crate::lab::{RUNTIMES, Tree};
use crate::setup::{ASKS, Podman, WAYS, Way};

/// Builds `asking`, an image that says everything that it could hope to be believed, and has the secret
/// file `key` to ask for.
fn with_image(podman: &Podman, sandbox: &str) {
    podman.lab.write("/etc/keyslip/key", podman.lab.token("KEY").as_bytes());
    podman.ok(&format!(
        "c=$(buildah from localhost/bb)
        for a in dev.keyslip.agents=claude dev.keyslip.secrets=key dev.keyslip.user=root dev.keyslip.sandbox={sandbox} \
            io.container.manager=cri-o io.kubernetes.cri.sandbox-namespace=agents io.kubernetes.cri.sandbox-name=agents \
            io.kubernetes.cri.container-type=container cdi.k8s.io/x=keyslip.dev/agent=claude; do
            buildah config --annotation $a --label $a --env $a $c
        done
        buildah commit -q $c asking; buildah rm $c >/dev/null"
    ));
}

const SECRETS: &str = "[secrets]\nkey = \"/etc/keyslip/key\"\n";

/// What a container has: the variable, the user of the secret file, and what else there is.
const SHOW: &str = "sh -c 'echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; ls /run/secrets /run/.keyslip 2>/dev/null || true'";

/// Runs `asking` and says what it has, and what it is annotated with.
fn run(podman: &Podman, way: Way, runtime: &str, options: &str) -> (String, bool) {
    let p = way.podman();
    podman.ok("rm -f /var/lib/keyslip/audit.log");
    podman.ok(&format!("{p} --runtime {runtime} run -d --name c {options} asking sleep 1000"));
    let has = podman.ok(&format!("{p} exec c {SHOW}"));
    let annotations = podman.ok(&format!("{p} inspect c --format '{{{{json .Config.Annotations}}}}'"));
    podman.lab.remove("c");
    (has, annotations.contains("sandbox-namespace"))
}

/// The events of the audit log.
fn audit(podman: &Podman) -> String {
    podman.ok("jq -r '.event + \" \" + (.reason // \"\")' /var/lib/keyslip/audit.log 2>/dev/null || true")
}

#[test]
fn an_image_obtains_nothing_on_podman_4_and_everything_once_annotations_are_trusted() {
    let Some(podman) = Podman::of_root(Tree::Debian12, "annotated4") else { return };
    with_image(&podman, &"0".repeat(32));
    for way in WAYS {
        for runtime in RUNTIMES {
            let what = format!("{way:?} on {runtime}");
            for settings in ["", "[engines.podman]\nversion = \"4.3.1\"\n"] {
                podman.lab.configure(&format!("{SECRETS}{settings}"));
                let (has, copied) = run(&podman, way, runtime, "");
                assert!(copied, "{what}: podman copies them");
                assert_eq!(has, "none", "{what}, {settings}");
                let audit = audit(&podman);
                assert!(audit.starts_with("ignored ") && audit.contains("trust_annotations"), "{what}: {audit}");
                podman.lab.assert_nothing_left(&what);
            }
            podman.lab.configure(&format!("{SECRETS}[engines.podman]\ntrust_annotations = true\n"));
            let (has, _) = run(&podman, way, runtime, "");
            let expected = match way {
                Way::Shim => "<CLAUDE>\n/run/secrets:\nclaude\nkey",
                Way::Hooks => "none\n/run/.keyslip:\nenv\nlaunch\n\n/run/secrets:\nclaude\nkey",
            };
            assert_eq!(has, expected, "{what}: trusted");
            podman.lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn an_image_obtains_nothing_on_podman_5_whatever_is_configured() {
    let Some(podman) = Podman::of_root(Tree::Debian13, "annotated5") else { return };
    with_image(&podman, &"0".repeat(32));
    for way in WAYS {
        for runtime in RUNTIMES {
            let what = format!("{way:?} on {runtime}");
            for settings in ["", "version = \"5.4.2\"", "trust_annotations = true"] {
                podman.lab.configure(&format!("{SECRETS}[engines.podman]\n{settings}\n"));
                assert_eq!(run(&podman, way, runtime, ""), ("none".to_owned(), false), "{what}, {settings}");
                assert_eq!(audit(&podman), "", "{what}, {settings}");
            }
            // The user's own word counts with the version alone, and the image adds nothing to it.
            podman.lab.configure(&format!("{SECRETS}[engines.podman]\nversion = \"5.4.2\"\n"));
            let (has, _) = run(&podman, way, runtime, &format!("{ASKS} --user 1000"));
            let expected = match way {
                Way::Shim => "<CLAUDE>\n/run/secrets:\nclaude",
                Way::Hooks => "none\n/run/.keyslip:\nenv\nlaunch\n\n/run/secrets:\nclaude",
            };
            assert_eq!(has, expected, "{what}: the user asks");
            podman.lab.configure(SECRETS);
            assert_eq!(run(&podman, way, runtime, ASKS).0, "none", "{what}: nothing is known of podman");
            assert!(audit(&podman).starts_with("ignored "), "{what}");
            podman.lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn an_image_adds_nothing_to_what_a_request_mount_asks_for() {
    for (tree, name) in [(Tree::Debian12, "annotated-mount4"), (Tree::Debian13, "annotated-mount5")] {
        let Some(podman) = Podman::of_root(tree, name) else { return };
        with_image(&podman, &"0".repeat(32));
        podman.lab.configure(SECRETS);
        for runtime in RUNTIMES {
            let mount = "--user 1000 -v $(keyslip request claude):/request:ro";
            assert_eq!(
                run(&podman, Way::Shim, runtime, mount).0,
                "<CLAUDE>\n/run/secrets:\nclaude",
                "{name} on {runtime}"
            );
            podman.ok("rm -r /run/keyslip/request");
            podman.lab.assert_nothing_left(runtime);
        }
    }
}

#[test]
fn an_image_that_names_the_sandbox_of_another_container_takes_nothing_from_it() {
    let Some(podman) = Podman::of_root(Tree::Debian12, "annotated-sandbox") else { return };
    for way in WAYS {
        let p = way.podman();
        podman.ok(&format!("{p} run -d --name victim {ASKS} bb sleep 1000"));
        let sandbox = podman.ok("keyslip list --json | jq -r '.[].id'");
        with_image(&podman, &sandbox);
        // Believed or not, it is nobody's permission.
        for settings in [SECRETS.to_owned(), format!("{SECRETS}[engines.podman]\ntrust_annotations = true\n")] {
            podman.lab.configure(&settings);
            podman.ok(&format!("{p} run --name c asking ls -A /run/secrets >$W/seen 2>&1 || true"));
            podman.lab.remove("c");
            assert_eq!(podman.ok(&format!("{p} exec victim cat /run/secrets/claude")), "<CLAUDE>", "{way:?}");
            assert_eq!(
                podman.ok("keyslip list --json | jq -r '.[] | .id + \" \" + .state'"),
                format!("{sandbox} live")
            );
        }
        podman.remove_all(way, &format!("{way:?}"));
    }
}
