//! A log that cannot be written: by default a start does not suffer, and does not wait for longer than two seconds;
//! with `audit = "required"` nothing is delivered.

use std::time::{Duration, Instant};

use crate::lab::{Bare, Lab, RUNTIMES};

const ASKS: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;
const SHOW: &str = "echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude)";
const HOOKS: &str = r#".hooks=(["createRuntime","poststop"] | map({key: ., value: [{path: "/usr/libexec/keyslip/keyslip-hook",
    args: ["keyslip-hook", ., "--engine", "bare"], env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], timeout: 10}]}) | from_entries)"#;

/// What makes the log impossible to write, what undoes that, and a word of the message.
const OBSTACLES: [(&str, &str, &str, &str); 4] = [
    (
        "a full disk",
        "mkdir -p /mnt/log; mount -t tmpfs -o size=4k,mode=700 log /mnt/log; head -c 4096 /dev/zero >/mnt/log/full",
        "umount /mnt/log",
        "No space",
    ),
    ("a read-only disk", "mkdir -p /mnt/log; mount -t tmpfs -o ro log /mnt/log", "umount /mnt/log", "Read-only"),
    ("a pipe", "mkdir -p /mnt/log; mkfifo /mnt/log/audit.log", "rm /mnt/log/audit.log", "audit.log"),
    ("a directory", "mkdir -p /mnt/log/audit.log", "rmdir /mnt/log/audit.log", "directory"),
];

const ELSEWHERE: &str = "[audit_log]\nfile = \"/mnt/log/audit.log\"\n[engines.podman]\ntrust_annotations = true\n";

#[test]
fn without_a_line_there_is_no_delivery_if_it_is_required() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::with_claude(&format!("audit-required-{runtime}")) else { return };
        lab.ok("mount -t tmpfs tmpfs /mnt");
        let required = format!("audit = \"required\"\n{ELSEWHERE}");
        for (what, obstacle, undo, word) in OBSTACLES {
            let name = format!("{}-{}", runtime, what.replace(' ', ""));
            let shim = Bare::new(&lab, runtime, &name, &lab.bundle(&name, ASKS));
            let mut hook =
                Bare::new(&lab, runtime, &name, &lab.bundle(&format!("{name}h"), &format!("{ASKS} | {HOOKS}")));
            hook.shim = runtime.to_owned();
            lab.configure(&required);
            lab.ok(&format!("rm -rf /mnt/log; {obstacle}"));
            for (way, container) in [("shim", &shim), ("hook", &hook)] {
                let refused = container.create();
                assert!(!refused.succeeded(), "{what}, {way}");
                // crun keeps to itself what a hook says.
                let silent = way == "hook" && runtime == "crun";
                assert!(
                    silent || refused.said().contains("audit log /mnt/log/audit.log") && refused.said().contains(word),
                    "{what}, {way}: {refused}"
                );
                lab.assert_nothing_left(&format!("{runtime}, {what}, {way}"));
                lab.sh(&format!("{runtime} delete --force {name}"));
            }
            // By default it starts all the same.
            lab.configure(ELSEWHERE);
            shim.start();
            assert_eq!(shim.exec(SHOW), "<CLAUDE> <CLAUDE>", "{what}");
            // What runs is not given anything new either, once it is required.
            lab.configure(&required);
            lab.login("claude", &lab.token("NEW"));
            let synced = lab.sh("keyslip sync");
            assert!(!synced.succeeded() && synced.said().contains("audit log"), "{what}: {synced}");
            assert_eq!(shim.exec(SHOW), "<CLAUDE> <CLAUDE>", "{what}: after a sync");
            lab.ok(undo);
            lab.ok("keyslip sync");
            assert_eq!(shim.exec(SHOW), "<NEW> <NEW>", "{what}: after a sync that could write");
            shim.end();
            lab.login("claude", &lab.token("CLAUDE"));
        }
    }
}

/// A file system in user space whose server never answers: whoever touches it waits, and cannot be ended by a signal
/// that they could catch.
const HANGS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char options[100];
    int fuse = open("/dev/fuse", O_RDWR);
    snprintf(options, sizeof options, "fd=%d,rootmode=40700,user_id=0,group_id=0", fuse);
    if (fuse < 0 || mount("hangs", argv[1], "fuse", 0, options)) { perror("hangs"); return 1; }
    printf("mounted\n");
    fflush(stdout);
    pause();
}"#;

#[test]
fn a_start_waits_two_seconds_for_a_log_that_does_not_answer_and_no_longer() {
    let Some(lab) = Lab::with_claude("audit-hangs") else { return };
    lab.write("hangs.c", HANGS.as_bytes());
    lab.ok("cc -o $W/hangs $W/hangs.c; mount -t tmpfs tmpfs /mnt; mkdir /mnt/log
        (setsid $W/hangs /mnt/log </dev/null >$W/hangs.log 2>&1 & echo $! >$W/hangs.pid)
        for i in $(seq 50); do grep -q mounted $W/hangs.log && exit; sleep 0.1; done; cat $W/hangs.log; exit 1");
    let slow = Bare::new(&lab, "crun", "slow", &lab.bundle("slow", ASKS));
    lab.configure(ELSEWHERE);
    let begin = Instant::now();
    slow.start();
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(slow.exec(SHOW), "<CLAUDE> <CLAUDE>");
    let refused = Bare::new(&lab, "crun", "refused", &lab.bundle("refused", ASKS));
    lab.configure(&format!("audit = \"required\"\n{ELSEWHERE}"));
    let output = refused.create();
    assert!(!output.succeeded() && output.said().contains("no answer within 2 s"), "{output}");
    lab.ok("kill $(cat $W/hangs.pid)");
    // With its server the file system is gone, and everybody goes on.
    slow.end();
    lab.assert_nothing_left("a log that does not answer");
}
