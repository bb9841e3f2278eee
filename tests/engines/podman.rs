//! The life of a container under podman, on top of crun and of runc.

use crate::lab::{Lab, RUNTIMES};

/// A container of podman's and what it should look like from inside.
struct Case {
    options: &'static str,
    /// Its user, and that user's home directory.
    user: (&'static str, &'static str),
}

/// Says what an agent in the container would find: variable, secret file, settings.
const SHOW: &str =
    "sh -c 'echo $(id -u) $HOME $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(cat ~/.claude.json)'";

/// The variable in the main process, or in what `--init` started.
const MAIN: &str = "sh -c \"tr '\\\\0' '\\\\n' </proc/1/environ | grep ^CLAUDE\"";

/// Runs a container through start, stop, start, restart and end.
fn lives(name: &str, case: &Case) {
    let Some(lab) = Lab::with_claude(&format!("podman-{name}")) else { return };
    lab.image();
    for runtime in RUNTIMES {
        let podman = format!("podman --runtime {runtime}");
        let what = format!("{name} on {runtime}");
        lab.ok(&format!(
            "{podman} run -d --name c --annotation dev.keyslip.agents=claude {} bb sleep 1000",
            case.options
        ));
        let (uid, home) = case.user;
        let expected = format!("{uid} {home} <CLAUDE> <CLAUDE> {{\"hasCompletedOnboarding\":true}}");
        assert_eq!(
            lab.ok(&format!("podman exec c {MAIN}")),
            "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>",
            "{what}: main process"
        );
        assert_eq!(lab.ok(&format!("podman exec c {SHOW}")), expected, "{what}");
        assert!(!lab.ok("podman inspect c").contains("<CLAUDE>"), "{what}: inspect shows it");
        lab.ok("podman stop -t0 c");
        assert_eq!(lab.ok("find /run/keyslip ! -type d"), "", "{what}: stopped");
        lab.ok("podman start c");
        assert_eq!(lab.ok(&format!("podman exec c {SHOW}")), expected, "{what}: after stop and start");
        lab.ok("podman restart -t0 c");
        assert_eq!(lab.ok(&format!("podman exec c {SHOW}")), expected, "{what}: after restart");
        assert_eq!(
            lab.ok(&format!("podman exec c {MAIN}")),
            "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>",
            "{what}: main process"
        );
        lab.remove("c");
        lab.assert_nothing_left(&what);
    }
}

#[test]
fn a_plain_container_lives_through_stop_start_and_restart() {
    lives("plain", &Case { options: "", user: ("0", "/root") });
}

#[test]
fn a_container_with_an_init_process_is_authenticated() {
    lives("init", &Case { options: "--init", user: ("0", "/root") });
}

#[test]
fn a_read_only_container_is_authenticated() {
    lives("read-only", &Case { options: "--read-only", user: ("0", "/root") });
}

#[test]
fn a_container_of_an_ordinary_user_is_authenticated() {
    lives("user", &Case { options: "--user 1000", user: ("1000", "/home/dev") });
}

#[test]
fn a_container_in_a_user_namespace_is_authenticated() {
    lives("userns", &Case { options: "--userns=auto:size=2000", user: ("0", "/root") });
}

#[test]
fn a_user_of_a_user_namespace_is_authenticated() {
    lives("userns-user", &Case { options: "--userns=auto:size=2000 --user 1000", user: ("1000", "/home/dev") });
}

#[test]
fn a_volume_on_the_home_directory_is_no_obstacle() {
    lives("volume", &Case { options: "--user 1000 -v home:/home/dev", user: ("1000", "/home/dev") });
}

#[test]
fn a_tmpfs_on_the_home_directory_is_no_obstacle() {
    lives("tmpfs", &Case { options: "--user 1000 --tmpfs /home/dev:mode=0777", user: ("1000", "/home/dev") });
}

#[test]
fn nothing_secret_is_written_to_a_volume_and_mountpoints_go() {
    let Some(lab) = Lab::with_claude("podman-volume-clean") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let volume = format!("home-{runtime}");
        lab.ok(&format!("podman volume create {volume}"));
        let run =
            format!("podman --runtime {runtime} run -d --name c --annotation dev.keyslip.agents=claude --user 1000");
        lab.ok(&format!("{run} -v {volume}:/home/dev bb sleep 1000; podman exec c sh -c 'echo mine >/home/dev/work'"));
        lab.remove("c");
        let left =
            lab.ok(&format!("cd $(podman volume inspect {volume} --format '{{{{.Mountpoint}}}}'); find . -type f"));
        assert_eq!(left, "./work", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn the_containers_of_a_pod_have_what_each_asks_for() {
    let Some(lab) = Lab::with_claude("podman-pod") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let podman = format!("podman --runtime {runtime}");
        lab.ok(&format!("{podman} pod create --name p --infra-image bb --infra-command 'sleep 1000'"));
        lab.ok(&format!("{podman} run -d --pod p --name asks --annotation dev.keyslip.agents=claude bb sleep 1000"));
        lab.ok(&format!("{podman} run -d --pod p --name other bb sleep 1000"));
        let asks = lab.ok("podman exec asks sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude'");
        assert_eq!(asks, "<CLAUDE>\n<CLAUDE>", "{runtime}");
        let other = lab
            .ok("podman exec other sh -c 'echo ${CLAUDE_CODE_OAUTH_TOKEN-none}; ls /run/secrets 2>/dev/null || true'");
        assert_eq!(other, "none", "{runtime}");
        assert_eq!(lab.ok("keyslip list --json | jq length"), "1", "{runtime}");
        lab.ok("podman pod stop -t0 p; podman pod start p");
        assert_eq!(
            lab.ok("podman exec asks sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'"),
            "<CLAUDE>",
            "{runtime}: restarted"
        );
        lab.ok("podman pod rm -f -t0 p");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_health_check_is_authenticated() {
    let Some(lab) = Lab::with_claude("podman-health") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let check = "test -n \"$CLAUDE_CODE_OAUTH_TOKEN\" && test -s /run/secrets/claude";
        lab.ok(&format!(
            "podman --runtime {runtime} run -d --name c --annotation dev.keyslip.agents=claude --health-cmd '{check}' \
             --health-interval=disable bb sleep 1000"
        ));
        lab.ok("podman healthcheck run c");
        assert_eq!(lab.ok("podman inspect c --format '{{.State.Healthcheck.Status}}'"), "healthy", "{runtime}");
        lab.remove("c");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn podmans_own_errors_stay_as_they_are() {
    let Some(lab) = Lab::with_claude("podman-errors") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run --rm");
        for (command, code) in [("no-such-program", 127), ("/etc", 126), ("sh -c 'exit 7'", 7)] {
            let asks = lab.sh(&format!("{run} --annotation dev.keyslip.agents=claude bb {command}"));
            let plain = lab.sh(&format!("{run} bb {command}"));
            assert_eq!(asks.code(), Some(code), "{runtime} {command}: {asks}");
            assert_eq!(asks.said(), plain.said(), "{runtime} {command}");
            lab.assert_nothing_left(command);
        }
        lab.ok(&format!(
            "podman --runtime {runtime} run -d --name c --annotation dev.keyslip.agents=claude bb sleep 1000"
        ));
        assert_eq!(lab.sh("podman exec c no-such-program").code(), Some(127), "{runtime}");
        lab.remove("c");
        assert_eq!(lab.ok("podman ps -aq"), "", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn what_a_foreground_run_prints_is_what_the_container_prints() {
    let Some(lab) = Lab::with_claude("podman-foreground") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run --rm -i --annotation dev.keyslip.agents=claude bb");
        let output = lab.sh(&format!("echo in | {run} sh -c 'cat; echo $CLAUDE_CODE_OAUTH_TOKEN; echo err >&2'"));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("in\n<CLAUDE>\n", "err\n"), "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_request_mount_asks_and_is_not_seen_in_the_container() {
    let Some(lab) = Lab::with_claude("podman-request-mount") else { return };
    lab.image();
    lab.configure("");
    for runtime in RUNTIMES {
        let mount = "-v $(keyslip request claude):/request:ro";
        lab.ok(&format!("podman --runtime {runtime} run -d --name c {mount} bb sleep 1000"));
        let seen = lab.ok("podman exec c sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude; echo; grep -c request /proc/self/mountinfo || true; ls -d /request 2>/dev/null || true'");
        assert_eq!(seen, "<CLAUDE>\n<CLAUDE>\n0", "{runtime}");
        lab.remove("c");
        // podman resolves a relative source: a link in a repository leads to a name that can be known.
        lab.ok("touch /run/keyslip/request/claude; mkdir -p $W/repo; ln -sfn /run/keyslip/request/claude $W/repo/data");
        let forged = "cd $W/repo; podman --runtime @ run --rm -v ./data:/data bb sh -c 'echo [$CLAUDE_CODE_OAUTH_TOKEN]; ls /run/secrets'";
        let output = lab.sh(&forged.replace('@', runtime));
        assert!(output.stdout.starts_with("[]") && !output.said().contains("<CLAUDE>"), "{runtime}: {output}");
        lab.ok("rm -r /run/keyslip/request");
        lab.assert_nothing_left(runtime);
    }
}
