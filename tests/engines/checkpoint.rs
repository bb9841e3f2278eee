//! Containers that are written down with criu and brought back, by podman 5.4 and by the runtimes alone.

use std::ops::Deref;

use crate::lab::{Bare, Lab, RUNTIMES, Tree};
use crate::setup::{ASKS, Cgroups, Podman, Way};

/// A podman whose containers are gone before their cgroups.
struct WithCriu {
    podman: Podman,
    _cgroups: Cgroups,
}

impl WithCriu {
    fn new(name: &str) -> Option<Self> {
        Podman::of_root(Tree::Debian13, name).map(|podman| Self { podman, _cgroups: Cgroups })
    }
}

impl Deref for WithCriu {
    type Target = Podman;

    fn deref(&self) -> &Podman {
        &self.podman
    }
}

/// What a process that is started now has, what the file holds, and what the main process kept.
const SHOW: &str = "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(cat ~/.claude.json | wc -l); \
    tr \"\\0\" \"\\n\" </proc/1/environ | grep ^CLAUDE'";

const CHECKPOINT: &str = "podman container checkpoint --compress none";

/// Stores another login, and has it shown as `<mark>`.
fn rotate(podman: &Podman, mark: &str) {
    podman.lab.login("claude", &podman.lab.token(mark));
}

/// What a container should show: new processes and files have `now`, its memory has what it had.
fn shows(now: &str) -> String {
    format!("<{now}> <{now}> 0\nCLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>")
}

#[test]
fn a_restored_container_has_the_current_token_and_the_archive_holds_what_the_memory_held() {
    let Some(podman) = WithCriu::new("checkpoint") else { return };
    for runtime in RUNTIMES {
        podman.lab.login("claude", &podman.token);
        podman.ok(&format!(
            "podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000; {CHECKPOINT} --export $W/c.tar c"
        ));
        podman.lab.assert_nothing_left(&format!("{runtime}: written down"));
        podman.ok("podman rm c; rm -rf $W/out; mkdir $W/out; cd $W/out; tar -xf $W/c.tar
            for f in checkpoint/*.tar.gz.img; do mkdir $f.d; tar -C $f.d -xzf $f; done; ls checkpoint/*.d | grep -q .");
        let holds = podman.lab.leaks(&["$W/out"], &podman.token);
        let pages = podman.lab.path().join("out/checkpoint/pages-1.img").display().to_string();
        assert_eq!(holds, [pages], "{runtime}: memory, with the main process's variables, and nothing else");
        rotate(&podman, "NEW");
        podman.ok("podman container restore --import $W/c.tar");
        assert_eq!(podman.ok(&format!("podman exec c {SHOW}")), shows("NEW"), "{runtime}");
        assert!(!podman.ok("podman inspect c").contains("<NEW>"), "{runtime}: inspect shows it");
        assert_eq!(podman.ok("keyslip list --json | jq -r '.[].state'"), "live", "{runtime}");
        podman.remove_all(Way::Shim, runtime);
    }
}

#[test]
fn a_container_that_is_restored_under_two_names_is_two_containers() {
    let Some(podman) = WithCriu::new("checkpoint-twice") else { return };
    for runtime in RUNTIMES {
        podman.lab.login("claude", &podman.token);
        podman.ok(&format!(
            "podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000; {CHECKPOINT} --leave-running --export $W/c.tar c"
        ));
        rotate(&podman, "NEW");
        podman.ok("for n in d e; do podman container restore --name $n --import $W/c.tar; done");
        assert_eq!(podman.ok(&format!("podman exec c {SHOW}")), shows("CLAUDE"), "{runtime}: the one that went on");
        for name in ["d", "e"] {
            assert_eq!(podman.ok(&format!("podman exec {name} {SHOW}")), shows("NEW"), "{runtime}: {name}");
        }
        assert_eq!(podman.ok("keyslip list --json | jq -r '.[].id' | sort -u | wc -l"), "3", "{runtime}");
        podman.ok("podman exec d sh -c 'echo mine >~/.claude.json'");
        let others = podman.ok("for n in c e; do podman exec $n cat /root/.claude.json; done");
        assert!(!others.contains("mine"), "{runtime}: they share a file");
        podman.lab.remove("c d");
        assert_eq!(podman.ok(&format!("podman exec e {SHOW}")), shows("NEW"), "{runtime}: the others are gone");
        podman.remove_all(Way::Shim, runtime);
    }
}

#[test]
fn a_checkpoint_that_podman_keeps_can_be_restored_again() {
    let Some(podman) = WithCriu::new("checkpoint-keep") else { return };
    for runtime in RUNTIMES {
        podman.lab.login("claude", &podman.token);
        // What is in its memory is of interest, so it has to be there.
        podman.ok(&format!(
            "podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000
            until grep -q ^sleep /proc/$(podman inspect c --format '{{{{.State.Pid}}}}')/cmdline; do sleep 0.02; done"
        ));
        for mark in ["NEW", "NEXT"] {
            podman.ok("podman container checkpoint --keep c");
            let holds = podman.lab.leaks(&["/var/lib/containers"], &podman.token);
            assert!(
                !holds.is_empty() && holds.iter().all(|path| path.ends_with("/checkpoint/pages-1.img")),
                "{runtime}, {mark}: {holds:?}"
            );
            rotate(&podman, mark);
            podman.ok("podman container restore --keep c");
            assert_eq!(podman.ok(&format!("podman exec c {SHOW}")), shows(mark), "{runtime}");
        }
        podman.remove_all(Way::Shim, runtime);
        assert_eq!(podman.lab.leaks(&["/var/lib/containers"], &podman.token), [""; 0], "{runtime}: removed");
    }
}

#[test]
fn a_checkpoint_image_obtains_nothing_unless_annotations_are_trusted() {
    let Some(podman) = WithCriu::new("checkpoint-image") else { return };
    for runtime in RUNTIMES {
        podman.lab.configure("[engines.podman]\ntrust_annotations = true\n");
        podman.ok(&format!("podman --runtime {runtime} run -d --name c {ASKS} bb sleep 1000; podman container checkpoint --create-image ck c"));
        podman.lab.remove("c");
        rotate(&podman, "NEW");
        let run = format!("podman --runtime {runtime} run --name c ck");
        for settings in ["", "[engines.podman]\nversion = \"5.4.2\"\n"] {
            podman.lab.configure(settings);
            // criu looks for the mounts that the container had.
            let refused = podman.sh(&run);
            assert_ne!(podman.ok("podman inspect c --format '{{.State.Running}}'"), "true", "{runtime}: {refused}");
            let audit = podman.ok("jq -r '.event + \" \" + (.reason // \"\")' /var/lib/keyslip/audit.log | tail -1");
            assert!(audit.starts_with("ignored "), "{runtime}: {audit}");
            podman.remove_all(Way::Shim, runtime);
        }
        podman.lab.configure("[engines.podman]\ntrust_annotations = true\n");
        podman.ok(&run);
        assert_eq!(podman.ok("podman exec c cat /run/secrets/claude"), "<NEW>", "{runtime}");
        podman.remove_all(Way::Shim, runtime);
        podman.ok("podman rmi -f ck");
    }
}

/// podman calls no `precreate` hook at a restore, so the mounts that it made then are not there, or are
/// another container's.
#[test]
fn with_hooks_a_restore_fails_and_takes_nothing_from_a_container_that_lives() {
    let Some(podman) = WithCriu::new("checkpoint-hooks") else { return };
    let p = Way::Hooks.podman();
    for runtime in RUNTIMES {
        podman.ok(&format!(
            "{p} --runtime {runtime} run -d --name c {ASKS} bb sleep 1000; {p} container checkpoint --compress none --leave-running --export $W/c.tar c"
        ));
        let twin = podman.sh(&format!("{p} container restore --name d --import $W/c.tar"));
        assert!(!twin.succeeded(), "{runtime}: it would share the other's files: {twin}");
        podman.sh(&format!("{p} rm -f d"));
        assert_eq!(podman.ok(&format!("{p} exec c cat /run/secrets/claude")), "<CLAUDE>", "{runtime}");
        podman.ok(&format!("{p} container checkpoint --compress none --export $W/c.tar c; {p} rm c"));
        podman.lab.assert_nothing_left(runtime);
        assert!(!podman.sh(&format!("{p} container restore --import $W/c.tar")).succeeded(), "{runtime}");
        podman.remove_all(Way::Hooks, runtime);
    }
}

#[test]
fn a_bare_runtime_restores_with_the_current_token() {
    let _cgroups = Cgroups;
    let Some(lab) = Lab::on(Tree::Debian13, "checkpoint-bare") else { return };
    for runtime in RUNTIMES {
        lab.login("claude", &lab.token("CLAUDE"));
        let id = format!("bare-{runtime}");
        let bundle = lab.bundle(&id, r#".annotations={"dev.keyslip.agents":"claude"}"#);
        let container = Bare::new(&lab, runtime, &id, &bundle);
        let shim = &container.shim;
        // criu knows no file of the test's, but /dev/null.
        let silent = "</dev/null >/dev/null 2>&1";
        lab.ok(&format!("{shim} create --bundle {bundle} {id} {silent}; {shim} start {id}; {shim} checkpoint --image-path $W/{id} {id}"));
        lab.assert_nothing_left(&format!("{runtime}: written down"));
        // runc has removed it, crun has not.
        lab.sh(&format!("{shim} delete {id}"));
        lab.login("claude", &lab.token("NEW"));
        lab.ok(&format!("{shim} restore --detach --bundle {bundle} --image-path $W/{id} {id} {silent}"));
        assert_eq!(
            container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude"),
            "<NEW>\n<NEW>",
            "{runtime}"
        );
        let main = container.main_env();
        assert!(main.lines().any(|line| line == "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{runtime}: {main}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}
