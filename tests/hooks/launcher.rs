//! The launcher in front of a container's command: the command cannot tell.

use crate::lab::RUNTIMES;
use crate::setup::{self, ASKS};

#[test]
fn a_command_that_cannot_run_ends_as_it_does_without_the_launcher() {
    let Some(lab) = setup::podman("launcher-codes") else { return };
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run --rm");
        let cases = [
            ("", "no-such-program", 127),
            ("", "/no/such/program", 127),
            ("", "/etc/passwd", 126),
            ("", "/etc", 126),
            ("-e PATH=/etc", "passwd", 126),
            ("-e PATH=/nowhere", "sh", 127),
            ("", "sh -c 'exit 7'", 7),
            ("", "sh -c 'exec sh -c \"exit 126\"'", 126),
            ("", "true", 0),
        ];
        for (options, command, code) in cases {
            let asks = lab.sh(&format!("{run} {ASKS} {options} bb {command}"));
            assert_eq!(asks.code(), Some(code), "{runtime}: {options} {command}: {asks}");
            let plain = lab.sh(&format!("{run} {options} bb {command}"));
            // Without PATH the runtimes disagree with each other.
            if options.is_empty() {
                assert_eq!(plain.code(), Some(code), "{runtime}: {command}, without the launcher: {plain}");
            }
            lab.assert_nothing_left(command);
        }
        let missing = lab.sh(&format!("{run} {ASKS} bb no-such-program"));
        assert!(missing.stderr.contains("\"no-such-program\": executable file not found in $PATH"), "{missing}");
    }
}

#[test]
fn a_relative_entry_point_is_found_from_the_working_directory() {
    let Some(lab) = setup::podman("launcher-relative") else { return };
    lab.ok("printf 'FROM localhost/bb\\nRUN mkdir -p /work/bin && printf \"#!/bin/sh\\\\necho here \\\\$PWD \\\\$1 \\\\$CLAUDE_CODE_OAUTH_TOKEN\\\\n\" >/work/bin/run && chmod 755 /work/bin/run\\n' >$W/Containerfile
        podman build -q --network none -t rel -f $W/Containerfile $W");
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run --rm {ASKS}");
        for (options, command) in [
            ("--workdir /work", "rel ./bin/run a"),
            ("--workdir /work", "rel bin/run a"),
            ("--workdir /work --entrypoint ./bin/run", "rel a"),
            ("--workdir /work -e PATH=bin:/bin", "rel run a"),
            ("--workdir /work -e PATH=/bin:./bin", "rel run a"),
        ] {
            assert_eq!(
                lab.ok(&format!("{run} {options} {command}")),
                "here /work a <CLAUDE>",
                "{runtime}: {options} {command}"
            );
        }
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn the_launcher_leaves_no_descriptor_no_variable_and_no_trace_in_ps() {
    let Some(lab) = setup::podman("launcher-trace") else { return };
    for runtime in RUNTIMES {
        let podman = format!("podman --runtime {runtime}");
        let show = r#"sh -c 'env | cut -d= -f1 | sort; tr "\0" " " </proc/$$/cmdline; echo; ls /proc/$$/fd >/dev/shm/fds; cat /dev/shm/fds; grep -E "^(Sig[BIC]|Cap|Seccomp|NoNew|Groups|Umask)" /proc/$$/status'"#;
        let seen =
            |options: &str| lab.ok(&format!("{podman} run --rm {options} bb {show} | grep -v CLAUDE_CODE_OAUTH_TOKEN"));
        assert_eq!(seen(ASKS), seen(""), "{runtime}: descriptors, variables, arguments, rights");
        let names = lab.ok(&format!("{podman} run --rm {ASKS} bb env | cut -d= -f1"));
        assert!(!names.to_lowercase().contains("keyslip") && names.contains("CLAUDE_CODE_OAUTH_TOKEN"), "{names}");
        lab.ok(&format!(
            "{podman} run -d --name c {ASKS} bb sleep 1000; {podman} run -d --name i --init {ASKS} bb sleep 1000"
        ));
        let pid = lab.ok("podman inspect c --format '{{.State.Pid}}'");
        let outside = lab.ok(&format!("tr '\\0' ' ' </proc/{pid}/cmdline; cat /proc/{pid}/comm; basename $(readlink /proc/{pid}/exe); ls /proc/{pid}/fd | tr '\\n' ' '"));
        assert_eq!(outside, "sleep 1000 sleep\nbusybox\n0 1 2", "{runtime}");
        assert_eq!(lab.ok("podman top c args | tail -1"), "sleep 1000", "{runtime}");
        let init = lab.ok("podman exec i sh -c 'for p in /proc/[0-9]*; do tr \"\\0\" \" \" <$p/cmdline; tr \"\\0\" \"\\n\" <$p/environ | grep CLAUDE; done; true'");
        assert!(!init.contains("keyslip") && init.contains("sleep 1000"), "{runtime}: {init}");
        assert_eq!(init.matches("=<CLAUDE>").count(), 2, "{runtime}: {init}");
        lab.remove("c i");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn what_a_foreground_run_reads_and_prints_is_the_commands_own() {
    let Some(lab) = setup::podman("launcher-stdio") else { return };
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run --rm -i {ASKS} bb");
        let output = lab.sh(&format!("echo in | {run} sh -c 'cat; echo $CLAUDE_CODE_OAUTH_TOKEN; echo err >&2'"));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("in\n<CLAUDE>\n", "err\n"), "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_image_without_a_shell_a_loader_or_users_is_authenticated() {
    let Some(lab) = setup::podman("launcher-distroless") else { return };
    lab.ok("mkdir $W/one; cp $W/rootfs/bin/busybox $W/one/busybox; tar -C $W/one -cf $W/one.tar .; podman import -q $W/one.tar one");
    for runtime in RUNTIMES {
        let said = lab.ok(&format!(
            "podman --runtime {runtime} run --rm {ASKS} one /busybox sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN; /busybox cat /run/secrets/claude'"
        ));
        assert_eq!(said, "<CLAUDE>\n<CLAUDE>", "{runtime}");
        let read_only = "--read-only --user 1000 --cap-drop all -e HOME=/tmp";
        let said =
            lab.ok(&format!("podman --runtime {runtime} run --rm {ASKS} {read_only} one /busybox env | grep CLAUDE"));
        assert_eq!(said, "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_variable_that_the_container_sets_itself_stays() {
    let Some(lab) = setup::podman("launcher-own") else { return };
    for runtime in RUNTIMES {
        let run =
            format!("podman --runtime {runtime} run -d --name c {ASKS} -e CLAUDE_CODE_OAUTH_TOKEN=own bb sleep 1000");
        lab.ok(&run);
        assert_eq!(
            lab.ok("podman exec c sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE'"),
            "CLAUDE_CODE_OAUTH_TOKEN=own",
            "{runtime}"
        );
        assert!(lab.ok("keyslip list").contains("CLAUDE_CODE_OAUTH_TOKEN is set by the container itself"), "{runtime}");
        lab.remove("c");
    }
}
