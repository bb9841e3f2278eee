//! Conditions that last: a full or read-only tmpfs, few descriptors, a kernel without a call, a clock that jumps.

use crate::injected::prepare;
use crate::lab::{Bare, Lab, RUNTIMES};
use crate::tally::{Counted, tally};

const HOOK: &str = "/usr/libexec/keyslip/keyslip-hook";

/// Whether somebody at 3 a.m. can do something with it: one of our sentences, or the runtime's.
fn is_a_sentence(said: &str) -> bool {
    said.trim().len() > 20 && !said.contains("panicked") && !said.contains("Error(")
}

#[test]
fn a_tmpfs_that_is_full_or_read_only_is_an_error_that_leaves_nothing() {
    let Some(lab) = Lab::new("faults-full") else { return };
    prepare(&lab);
    lab.ok("umount /run/keyslip");
    let (mut tried, mut succeeded) = (0, 0);
    for runtime in RUNTIMES {
        // Every inode and then every page is one step.
        let sizes = (2..30).step_by(2).map(|inodes| format!("nr_inodes={inodes}"));
        let sizes: Vec<String> = sizes.chain((1..9).map(|pages| format!("size={}", pages * 4096))).collect();
        for size in &sizes {
            lab.ok(&format!("mkdir -p /run/keyslip; mount -t tmpfs -o mode=700,{size} tmpfs /run/keyslip"));
            let create = lab.sh(&format!("$BARE/{runtime} create --bundle $W/b k"));
            tried += 1;
            if create.succeeded() {
                succeeded += 1;
                lab.ok(&format!("$BARE/{runtime} start k; $BARE/{runtime} delete --force k"));
            } else {
                assert!(is_a_sentence(&create.stderr), "{runtime} {size}: {create}");
                assert!(!lab.sh(&format!("{runtime} state k")).succeeded(), "{runtime} {size}: there is a container");
            }
            lab.assert_nothing_left(&format!("{runtime} {size}"));
            lab.assert_rootfs_untouched(&format!("{}/b", lab.path().display()));
            lab.ok("umount /run/keyslip");
        }
        lab.ok("mount -t tmpfs -o mode=700,ro tmpfs /run/keyslip");
        let create = lab.sh(&format!("$BARE/{runtime} create --bundle $W/b k"));
        assert!(!create.succeeded() && create.stderr.contains("Read-only file system"), "{create}");
        lab.ok("umount /run/keyslip; rm -rf /run/keyslip");
        // All of /run, in a namespace of its own.
        let create = lab.sh(&format!(
            "unshare -m sh -c 'mount -o remount,ro,bind /run; $BARE/{runtime} --root $W/root create --bundle $W/b k'"
        ));
        assert!(!create.succeeded() && create.stderr.contains("Read-only file system"), "{create}");
        lab.assert_rootfs_untouched(&format!("{}/b", lab.path().display()));
        tried += 2;
        let container = Bare::new(&lab, runtime, "k", &format!("{}/b", lab.path().display()));
        container.start();
        assert!(container.main_env().contains("<CLAUDE>"), "{runtime}: no second try");
        container.end();
    }
    assert!(succeeded > 4 && succeeded < tried / 2, "{succeeded} of {tried}");
    tally(Counted::Faults, "faults-full", tried, tried);
}

#[test]
fn a_store_without_room_keeps_the_login_that_it_has() {
    let Some(lab) = Lab::new("faults-disk") else { return };
    prepare(&lab);
    lab.write("NEW", lab.token("NEW").as_bytes());
    lab.ok("cp -a /var/lib/keyslip $W/state");
    let mut tried = 0;
    for how in ["size=16k", "nr_inodes=8", "ro"] {
        lab.ok("mount -t tmpfs -o mode=700,size=64k tmpfs /var/lib/keyslip; cp -a $W/state/. /var/lib/keyslip/");
        let fill = match how {
            "ro" => "mount -o remount,ro /var/lib/keyslip",
            "nr_inodes=8" => {
                "i=0; while : >/var/lib/keyslip/fill$i; do i=$((i+1)); [ $i -lt 20000 ] || break; done 2>/dev/null; cat /dev/zero >/var/lib/keyslip/fill 2>/dev/null || true"
            }
            _ => "cat /dev/zero >/var/lib/keyslip/fill 2>/dev/null || true",
        };
        lab.ok(fill);
        for command in
            ["keyslip auth login claude --store file <$W/NEW", "keyslip auth login codex --store file <<<sk-FAKE-disk"]
        {
            let login = lab.sh(command);
            assert!(!login.succeeded() && is_a_sentence(&login.stderr), "{how}: {login}");
            tried += 1;
        }
        let container = Bare::new(&lab, "crun", "k", &format!("{}/b", lab.path().display()));
        container.start();
        assert!(container.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{how}: the old one is whole");
        container.end();
        lab.ok("umount /var/lib/keyslip");
    }
    lab.ok("keyslip auth login claude --store file <$W/NEW");
    tally(Counted::Faults, "faults-disk", tried, tried);
}

#[test]
fn few_descriptors_are_enough_or_an_error_that_leaves_nothing() {
    let Some(lab) = Lab::new("faults-descriptors") else { return };
    prepare(&lab);
    let mut tried = 0;
    let mut outcomes = Vec::new();
    for runtime in RUNTIMES {
        for limit in [4, 5, 6, 7, 8, 10, 12, 16, 32, 64] {
            // The limit is the shim's: the runtime is not what is tested.
            lab.write("real", format!("#!/bin/sh\nulimit -n 1024\nexec {runtime} \"$@\"\n").as_bytes());
            lab.ok(&format!("chmod 755 $W/real; ln -sfn $W/real $BARE/{runtime}.real"));
            let create = lab.sh(&format!("ulimit -S -n {limit}; exec $BARE/{runtime} create --bundle $W/b k"));
            tried += 1;
            outcomes.push(create.succeeded());
            if create.succeeded() {
                lab.ok(&format!("{runtime} start k; for i in 1 2 3 4 5 6 7 8 9; do grep -qz CLAUDE /proc/$({runtime} state k | jq .pid)/environ && exit 0; sleep 0.05; done; exit 1"));
                lab.ok(&format!("$BARE/{runtime} delete --force k"));
            } else {
                assert!(is_a_sentence(&create.stderr), "{runtime} {limit}: {create}");
                assert!(!lab.sh(&format!("{runtime} state k")).succeeded(), "{runtime} {limit}: there is a container");
            }
            // Where few descriptors keep it from going at once, a sweep finishes it.
            lab.ok(&format!("{}; age 61; keyslip sweep", crate::AGE));
            lab.assert_nothing_left(&format!("{runtime} {limit}"));
            lab.assert_rootfs_untouched(&format!("{}/b", lab.path().display()));
        }
    }
    assert!(outcomes.contains(&false) && outcomes.contains(&true), "{outcomes:?}");
    tally(Counted::Faults, "faults-descriptors", tried, tried);
}

/// Calls that an older kernel does not have.
const NEWER: [&str; 13] = [
    "openat2",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "pidfd_open",
    "memfd_create",
    "close_range",
    "renameat2",
    "statx",
    "clone3",
];

#[test]
fn a_kernel_without_a_newer_call_is_served_otherwise_or_refused_by_name() {
    let Some(lab) = Lab::new("faults-kernel") else { return };
    prepare(&lab);
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    let (mut tried, mut refused) = (0, Vec::new());
    for call in NEWER {
        for runtime in RUNTIMES {
            let create = lab.sh(&format!("$W/fail_at {call} ENOSYS $W/hit $BARE/{runtime} create --bundle $W/b k"));
            tried += 1;
            if create.succeeded() {
                lab.ok(&format!("$BARE/{runtime} start k"));
                let container = Bare::new(&lab, runtime, "k", &format!("{}/b", lab.path().display()));
                assert!(
                    container.exec("cat /run/secrets/claude; echo $CLAUDE_CODE_OAUTH_TOKEN").contains("<CLAUDE>"),
                    "{call}"
                );
                lab.ok(&format!("$W/fail_at {call} ENOSYS $W/hit $BARE/{runtime} delete --force k"));
            } else {
                assert!(is_a_sentence(&create.stderr) && create.stderr.contains(call), "{runtime}: {create}");
                refused.push(format!("{call} ({runtime} create)"));
            }
            lab.assert_nothing_left(&format!("{call} {runtime}"));
        }
        for stage in ["precreate --engine podman <$W/b/config.json", "createRuntime --engine bare <$W/state"] {
            let hook = lab.sh(&format!(
                r#"unshare --mount --propagation private sleep 1000 & C=$!
                while [ "$(readlink /proc/$C/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.001; done
                printf '{{"ociVersion":"1.0.2","id":"k","pid":%d,"bundle":"%s"}}' $C $W/b >$W/state
                c=0; $W/fail_at {call} ENOSYS $W/hit {HOOK} {stage} >/dev/null || c=$?; kill -9 $C; wait $C || true
                {}; age 122; keyslip sweep >/dev/null; exit $c"#,
                crate::AGE
            ));
            tried += 1;
            if !hook.succeeded() {
                assert!(is_a_sentence(&hook.stderr) && hook.stderr.contains("kernel"), "{call} {stage}: {hook}");
                refused.push(format!("{call} ({})", stage.split(' ').next().unwrap_or("")));
            }
            lab.assert_nothing_left(&format!("{call} {stage}"));
        }
        for command in [
            "keyslip auth login codex --store file <<<sk-FAKE-kernel",
            "keyslip sync",
            "keyslip auth status",
            "keyslip sweep",
        ] {
            let output = lab.sh(&format!("AFTER_PRCTL=1 $W/fail_at {call} ENOSYS $W/hit $REPO/build/bin/{command}"));
            tried += 1;
            assert!(output.succeeded(), "{call}: {command}: {output}");
        }
    }
    println!("refused: {refused:?}");
    // Before Linux 5.12 there is no way to mount into a container from outside, and crun's configuration with the values
    // in it has no place on a disk.
    let mounting =
        ["openat2", "open_tree", "move_mount", "mount_setattr"].map(|call| format!("{call} (createRuntime)"));
    assert_eq!(refused, [&mounting[..], &["memfd_create (crun create)".to_owned()]].concat());
    tally(Counted::Faults, "faults-kernel", tried, tried);
}

#[test]
fn a_clock_that_jumps_neither_removes_what_lives_nor_keeps_what_is_gone() {
    let Some(lab) = Lab::new("faults-clock") else { return };
    prepare(&lab);
    let mut tried = 0;
    // The clock is everybody's, so what jumps is what was written down by it: a record, the times of directories, the
    // end of a login, from before and from after now.
    for at in ["1970-01-02T00:00:00Z", "2038-01-19T03:14:08Z", "2106-02-07T06:28:16Z", "9999-12-31T23:59:59Z"] {
        for runtime in RUNTIMES {
            let jump = format!(
                r#"for r in /run/keyslip/sandbox/*/*/record.json; do jq -c '.created="{at}"' $r >$W/jumped; cat $W/jumped >$r; done
                find /run/keyslip -exec touch -h -d {at} {{}} + 2>/dev/null || true"#
            );
            let container = Bare::new(&lab, runtime, "k", &format!("{}/b", lab.path().display()));
            container.start();
            lab.ok(&jump);
            let swept = lab.ok("keyslip sweep; keyslip list");
            assert!(swept.contains("alive 1"), "{at}: {swept}");
            assert!(container.exec("cat /run/secrets/claude").contains("<CLAUDE>"), "{at}");
            // Gone without a word, and the clock comes back.
            lab.ok(&format!(
                "{runtime} delete --force k; {jump}; keyslip sweep; {}; age 61; keyslip sweep",
                crate::AGE
            ));
            lab.assert_nothing_left(&format!("{at} {runtime}"));
            tried += 2;
        }
        // What a hook prepared for a container that never came, with a clock that was wrong then.
        lab.ok(&format!(
            r#"jq -c '.root.path="'$W'/b/rootfs"' $W/b/config.json | {HOOK} precreate --engine bare >/dev/null
            for r in /run/keyslip/sandbox/*/*/record.json; do jq -c '.created="{at}"' $r >$W/jumped; cat $W/jumped >$r; done
            find /run/keyslip -exec touch -h -d {at} {{}} + 2>/dev/null || true; keyslip sweep"#
        ));
        tried += 1;
        lab.assert_nothing_left(&format!("{at}: a container that never came"));
    }
    tally(Counted::Faults, "faults-clock", tried, tried);
}
