//! What an image can say on podman 4.3, which copies annotations from images: that it is a pod, that it
//! asks for more, that it is somebody else.

use crate::lab::{Lab, RUNTIMES, Tree};
use crate::setup::{self, CLAUDE};

/// A lab with logins `<CLAUDE>` and, as claude's account work, `<WORK>`; the image `posing` has the
/// annotations `annotations`.
fn posing(name: &str, annotations: &[&str]) -> Option<Lab> {
    let lab = setup::podman(Tree::Debian12, &format!("posing-{name}"))?;
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.ok("keyslip cdi generate");
    let annotations: Vec<String> = annotations.iter().map(|it| format!("--annotation '{it}'")).collect();
    lab.ok(&format!(
        "c=$(buildah from localhost/bb); buildah config {} $c; buildah commit -q $c posing; buildah rm $c",
        annotations.join(" ")
    ));
    Some(lab)
}

const POD: [&str; 4] = [
    "io.kubernetes.cri.container-type=container",
    "io.kubernetes.cri.sandbox-namespace=agents",
    "io.kubernetes.cri.sandbox-name=review",
    "io.container.manager=cri-o",
];

#[test]
fn an_image_that_says_it_is_a_pod_gets_no_account_of_a_namespace() {
    let Some(lab) = posing("pod", &POD) else { return };
    // What pods of the namespace get must not reach it: neither the account of the rule, nor more accounts.
    let rules = "[[allow]]\nengine = \"cri\"\nnamespace = \"agents\"\nagents = [\"claude\"]\n";
    for (rule, device) in [
        ("account = \"work\"", "claude"),
        ("accounts = [\"work\"]", "claude.work"),
        ("accounts = [\"work\"]", "claude"),
    ] {
        lab.configure(&format!("{rules}{rule}\n"));
        for runtime in RUNTIMES {
            let what = format!("{rule}, {device}, {runtime}");
            let run = lab.sh(&format!(
                "podman --runtime {runtime} run --rm --device keyslip.dev/agent={device} posing cat /run/secrets/claude"
            ));
            assert!(!run.succeeded() && run.stdout.is_empty(), "{what}: {run}");
            lab.assert_nothing_left(&what);
        }
    }
    // Its words take its own rights away: it has nothing that a real pod would not have.
    lab.configure("");
    for runtime in RUNTIMES {
        let run = lab.sh(&format!("podman --runtime {runtime} run --rm {CLAUDE} posing true"));
        assert!(!run.succeeded(), "{runtime}: {run}");
        let reason = lab.ok("keyslip status --json | jq -r '.problems[-1].reason'");
        assert!(reason.starts_with("pod review of namespace agents (cri) asks for claude"), "{runtime}: {reason}");
        // The same command with an image that says nothing.
        assert_eq!(
            lab.ok(&format!("podman --runtime {runtime} run --rm {CLAUDE} bb cat /run/secrets/claude")),
            "<CLAUDE>"
        );
    }
    // Where a namespace's pods may have what everybody may have, so may it.
    lab.configure(rules);
    for runtime in RUNTIMES {
        let run = lab.ok(&format!("podman --runtime {runtime} run --rm {CLAUDE} posing cat /run/secrets/claude"));
        assert_eq!(run, "<CLAUDE>", "{runtime}");
    }
}

#[test]
fn an_image_does_not_ask_by_its_annotations_beside_a_device() {
    let asks = ["dev.keyslip.agents=codex", "dev.keyslip.user=1000", "cdi.k8s.io/x=keyslip.dev/agent=gemini"];
    let Some(lab) = posing("asks", &asks) else { return };
    lab.mark("CODEX", "sk-FAKE-codex");
    lab.login("codex", "sk-FAKE-codex");
    for runtime in RUNTIMES {
        let podman = format!("podman --runtime {runtime} run --rm");
        assert_eq!(lab.ok(&format!("{podman} posing ls -A /run /root")), "/root:\n\n/run:\n.containerenv", "{runtime}");
        let seen = lab
            .ok(&format!("{podman} {CLAUDE} posing sh -c 'ls -A /run/secrets /root; stat -c %u /run/secrets/claude'"));
        assert_eq!(seen, "/root:\n.claude\n.claude.json\n\n/run/secrets:\nclaude\n0", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_image_that_says_it_is_a_sandbox_gets_nothing() {
    let Some(lab) = posing("sandbox", &["io.kubernetes.cri.container-type=sandbox"]) else { return };
    for runtime in RUNTIMES {
        let seen = lab.ok(&format!("podman --runtime {runtime} run --rm {CLAUDE} posing ls -A /run /root"));
        assert_eq!(seen, "/root:\n\n/run:\n.containerenv", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_image_cannot_name_another_containers_directory() {
    let Some(lab) = posing("named", &["dev.keyslip.sandbox=0123456789abcdef0123456789abcdef"]) else { return };
    for runtime in RUNTIMES {
        lab.ok(&format!("podman --runtime {runtime} run -d --name victim {CLAUDE} bb sleep 1000"));
        let name = lab.ok("keyslip list --json | jq -r '.[0].id'");
        for named in [String::new(), format!("--annotation dev.keyslip.sandbox={name}")] {
            let seen =
                lab.ok(&format!("podman --runtime {runtime} run --rm {CLAUDE} {named} posing cat /run/secrets/claude"));
            assert_eq!(seen, "<CLAUDE>", "{runtime} {named}");
            assert_eq!(lab.ok("keyslip list --json | jq -r '.[].id'"), name, "{runtime} {named}");
            assert_eq!(lab.ok("podman exec victim cat /run/secrets/claude"), "<CLAUDE>", "{runtime} {named}");
        }
        lab.remove("victim");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_link_in_a_repository_does_not_ask_beside_a_device() {
    let Some(lab) = setup::podman(Tree::Debian12, "link") else { return };
    lab.mark("CODEX", "sk-FAKE-codex");
    lab.login("codex", "sk-FAKE-codex");
    // podman resolves the source of a relative mount before it writes it down.
    lab.ok("mkdir -p $W/repository /run/keyslip/request; touch /run/keyslip/request/codex; ln -s /run/keyslip/request/codex $W/repository/data");
    for runtime in RUNTIMES {
        let seen = lab.ok(&format!(
            "cd $W/repository; podman --runtime {runtime} run --rm {CLAUDE} -v ./data:/data bb ls -A /run/secrets"
        ));
        assert_eq!(seen, "claude", "{runtime}");
    }
}
