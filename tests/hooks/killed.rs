//! The hook killed at every one of its system calls, or without room: after one sweep nothing is left.

use crate::lab::Lab;
use crate::setup::{self, AGE};

/// A lab with a program that kills others, and a bundle `$W/b` that asks; the script that is given is
/// run for every system call of the hook, as the function `round N`. It says so when `N` was past the
/// end, by `return 1`.
fn at_every_call(name: &str, round: &str) {
    let Some(lab) = Lab::with_claude(&format!("hooks-killed-{name}")) else { return };
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    setup::compile(&lab, "kill_at");
    let bundle = lab
        .bundle("b", &format!(r#"{} | {} | .root.path="{}/b/rootfs""#, setup::ASK, setup::DEV, lab.path().display()));
    // The first delivery makes what stays: the log and the key of fingerprints.
    lab.ok(&format!("keyslip install tmpfs; {} precreate --engine podman <{bundle}/config.json >/dev/null; {AGE}; age 61; keyslip sweep", setup::HOOK));
    let said = lab.ok(&format!(
        r#"{AGE}
        H={hook}; B={bundle}
        container() {{ unshare --mount --propagation private sleep 1000 & C=$!; disown $C
            while [ "$(readlink /proc/$C/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do :; done
            printf '{{"ociVersion":"1.0.2","id":"k","pid":%d,"bundle":"%s","annotations":{{}}}}' $C $B >$W/state; }}
        gone() {{ kill -9 $C; while [ -e /proc/$C ]; do sleep 0.002; done; }}
        {round}
        swept() {{ age 61; keyslip sweep >/dev/null; left=$(find /run/keyslip ! -type d); if [ -n "$left" ]; then echo "killed at $1: $left"; rm -rf /run/keyslip/*; fi; }}
        n=1; while round $n; do swept $n; n=$((n+1)); done; swept $n
        echo "calls $n""#,
        hook = setup::HOOK
    ));
    let calls: u32 = said.lines().last().and_then(|line| line.strip_prefix("calls ")?.parse().ok()).unwrap_or(0);
    assert!(calls > 20, "the hook was not killed at each step: {said}");
    let left: Vec<&str> = said.lines().filter(|line| line.starts_with("killed at")).collect();
    assert!(left.is_empty(), "left after {} of {calls} kills, first {}", left.len(), left[0]);
    lab.assert_nothing_left(name);
    lab.assert_rootfs_untouched(&bundle);
}

#[test]
fn precreate_killed_at_any_point_leaves_nothing_after_a_sweep() {
    at_every_call(
        "precreate",
        "round() { $W/kill_at $1 $H precreate --engine podman <$B/config.json >/dev/null 2>&1; }",
    );
}

#[test]
fn create_runtime_killed_at_any_point_leaves_nothing_after_a_sweep() {
    at_every_call(
        "create",
        "round() { container; r=0; $W/kill_at $1 $H createRuntime --engine bare <$W/state >/dev/null 2>&1 || r=1; gone; return $r; }",
    );
}

#[test]
fn create_runtime_after_precreate_killed_at_any_point_leaves_nothing_after_a_sweep() {
    let named = r#"round() { container; $H precreate --engine podman <$B/config.json >$W/spec
        jq -c --slurpfile spec $W/spec '.annotations=$spec[0].annotations' $W/state >$W/named
        r=0; $W/kill_at $1 $H createRuntime --engine podman <$W/named >/dev/null 2>&1 || r=1; gone; return $r; }"#;
    at_every_call("bind", named);
}

#[test]
fn poststop_killed_at_any_point_leaves_nothing_after_a_sweep() {
    at_every_call(
        "poststop",
        "round() { container; $H createRuntime --engine bare <$W/state; gone; $W/kill_at $1 $H poststop --engine bare <$W/state >/dev/null 2>&1; }",
    );
}

#[test]
fn a_full_tmpfs_is_an_error_that_leaves_nothing() {
    let Some(lab) = Lab::with_claude("hooks-full") else { return };
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    let bundle = lab
        .bundle("b", &format!(r#"{} | {} | .root.path="{}/b/rootfs""#, setup::ASK, setup::DEV, lab.path().display()));
    let mut outcomes = Vec::new();
    // Every inode counts as one step: the hook fails at each of them in turn.
    for inodes in 2..40 {
        lab.ok(&format!("mkdir -p /run/keyslip; mount -t tmpfs -o mode=700,nr_inodes={inodes} tmpfs /run/keyslip"));
        let hook = lab.sh(&format!("{} precreate --engine podman <{bundle}/config.json", setup::HOOK));
        if hook.succeeded() {
            lab.ok(&format!("{AGE}; age 61; keyslip sweep"));
        } else {
            assert!(
                hook.stderr.contains("the tmpfs is full") || hook.stderr.contains("No space left"),
                "{inodes}: {hook}"
            );
        }
        lab.assert_nothing_left(&format!("{inodes} inodes"));
        lab.assert_rootfs_untouched(&bundle);
        lab.ok("umount /run/keyslip");
        outcomes.push(hook.succeeded());
    }
    assert!(outcomes.starts_with(&[false; 4]) && outcomes.ends_with(&[true; 4]), "{outcomes:?}");
}
