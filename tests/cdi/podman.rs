//! podman of root.

use crate::lab::{Lab, RUNTIMES, Tree};
use crate::setup::{self, CLAUDE, SHOW, TREES};

/// Runs a container through start, exec, restart, stop, start and end.
fn lives(name: &str, options: &str, uid: &str) {
    for (tree, engine) in TREES {
        let Some(lab) = setup::podman(tree, &format!("podman-{name}")) else { return };
        for runtime in RUNTIMES {
            let what = format!("{name} on {engine}, {runtime}");
            let run = format!("podman --runtime {runtime} run {CLAUDE} {options}");
            setup::is_logged_in(&lab.ok(&format!("{run} --rm bb {SHOW}")), uid, &format!("{what}, main process"));
            lab.assert_nothing_left(&format!("{what}, foreground"));
            lab.ok(&format!("{run} -d --name c bb sleep 1000"));
            let show = format!("podman exec c {SHOW}");
            setup::is_logged_in(&lab.ok(&show), uid, &what);
            let listed =
                lab.ok("keyslip list --json | jq -r '.[] | [.state, .engine, .form, .container] | join(\" \")'");
            assert_eq!(listed, format!("live cdi cdi {}", lab.ok("podman inspect c --format '{{.Id}}'")), "{what}");
            assert!(!lab.ok("podman inspect c; podman container inspect c").contains("<CLAUDE>"), "{what}: inspect");
            lab.ok("podman restart -t0 c");
            setup::is_logged_in(&lab.ok(&show), uid, &format!("{what}, restarted"));
            assert_eq!(lab.ok("keyslip list --json | jq length"), "1", "{what}, restarted");
            lab.ok("podman stop -t0 c");
            lab.assert_nothing_left(&format!("{what}, stopped"));
            lab.ok("podman start c");
            setup::is_logged_in(&lab.ok(&show), uid, &format!("{what}, stopped and started"));
            lab.remove("c");
            lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn a_plain_container_lives_through_restart_stop_and_start() {
    lives("plain", "", "0");
}

#[test]
fn a_user_without_capabilities_is_logged_in() {
    lives("user", "--user 1000 --cap-drop all --security-opt no-new-privileges", "1000");
}

#[test]
fn a_read_only_container_with_an_init_process_is_logged_in() {
    lives("read-only", "--read-only --init", "0");
}

#[test]
fn a_user_of_a_user_namespace_is_logged_in() {
    lives("userns", "--userns=auto:size=2000 --user 1000", "1000");
}

#[test]
fn a_volume_and_a_tmpfs_on_the_home_directory_are_no_obstacle() {
    lives("volume", "--user 1000 -v home:/home/dev", "1000");
    lives("tmpfs", "--user 1000 --tmpfs /home/dev:mode=0777", "1000");
}

#[test]
fn what_a_start_has_left_goes_at_the_next_one() {
    for (tree, engine) in TREES {
        let Some(lab) = setup::podman(tree, "left") else { return };
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            // A container whose end nobody sees, as when everything is killed.
            lab.ok("keyslip cdi generate --stdout | jq 'del(.containerEdits)' >/etc/cdi/keyslip.json");
            lab.ok(&format!("podman --runtime {runtime} run -d --name c {CLAUDE} bb sleep 1000; podman stop -t0 c"));
            let before = lab.ok("ls /run/keyslip/sandbox/*");
            assert_ne!(before, "", "{what}");
            lab.ok("keyslip cdi generate; podman start c");
            setup::is_logged_in(&lab.ok(&format!("podman exec c {SHOW}")), "0", &what);
            assert_ne!(lab.ok("ls /run/keyslip/sandbox/*"), before, "{what}");
            assert_eq!(lab.ok("find /run/keyslip -name record.json | wc -l"), "1", "{what}: the first one was left");
            lab.remove("c");
            lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn two_devices_are_one_delivery_and_one_clean_up() {
    for (tree, engine) in TREES {
        let Some(lab) = setup::podman(tree, "two") else { return };
        let key = format!("sk-FAKE-codex-{}", std::process::id());
        lab.mark("CODEX", &key);
        lab.login("codex", &key);
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            for devices in [["claude", "codex"], ["codex", "claude"]] {
                lab.ok(&format!(
                    "rm -f /var/lib/keyslip/audit.log
                    podman --runtime {runtime} run -d --name c --device keyslip.dev/agent={} --device keyslip.dev/agent={} bb sleep 1000",
                    devices[0], devices[1]
                ));
                setup::is_logged_in(&lab.ok(&format!("podman exec c {SHOW}")), "0", &what);
                let codex = "podman exec c sh -c 'cat ~/.codex/auth.json | tr -d \" \"; echo; cat /run/secrets/codex; echo; ls /run/secrets'";
                let expected = "{\"auth_mode\":\"apikey\",\"OPENAI_API_KEY\":\"<CODEX>\"}\n<CODEX>\nclaude\ncodex";
                assert_eq!(lab.ok(codex), expected, "{what}");
                assert_eq!(
                    lab.ok("keyslip list --json | jq -c '[.[].agents[].agent] | sort'"),
                    r#"["claude","codex"]"#,
                    "{what}"
                );
                lab.ok("podman restart -t0 c; podman exec c test -s /run/secrets/codex");
                lab.remove("c");
                lab.assert_nothing_left(&what);
                let events = lab.ok("jq -r .event /var/lib/keyslip/audit.log | sort | uniq -c | sed 's/^ *//'");
                assert_eq!(events, "2 cleaned\n2 delivered", "{what}");
            }
        }
    }
}

#[test]
fn other_hooks_and_other_devices_stay_what_they_are() {
    let Some(lab) = setup::podman(Tree::Debian12, "others") else { return };
    lab.write(
        "/etc/cdi/other.json",
        br#"{"cdiVersion":"0.5.0","kind":"example.com/other","devices":[{"name":"one","containerEdits":{"env":["OTHER=1"],
            "hooks":[{"hookName":"createRuntime","path":"/bin/sh","args":["sh","-c","cat >/run/other-hook","--device","codex"]}]}}]}"#,
    );
    for runtime in RUNTIMES {
        let seen = lab.ok(&format!(
            "podman --runtime {runtime} run --rm {CLAUDE} --device example.com/other=one bb sh -c 'echo $OTHER; cat /run/secrets/claude; echo; ls /run/secrets'; jq -r '.id | length' /run/other-hook; rm /run/other-hook"
        ));
        assert_eq!(seen, "1\n<CLAUDE>\nclaude\n64", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_device_leaves_no_value_on_a_disk() {
    for (tree, engine) in TREES {
        let Some(lab) = Lab::on(tree, "cdi-canary") else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        lab.ok("keyslip cdi generate");
        setup::plain_runtimes(&lab);
        lab.image();
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            lab.ok(&format!(
                "podman --runtime {runtime} --log-level debug run -d --name c {CLAUDE} bb sleep 1000 2>$W/log
                podman exec c true; podman inspect c >$W/inspect; podman commit -q c copy; podman export -o $W/c.tar c"
            ));
            let places = ["/var/lib/containers", "/etc", "$W/log", "$W/inspect", "$W/c.tar"];
            assert_eq!(lab.leaks(&places, &token), [""; 0], "{what}");
            // That the search finds what there is: while it runs, our tmpfs has it, and nothing else in /run.
            let in_run = lab.leaks(&["/run"], &token);
            assert!(
                !in_run.is_empty() && in_run.iter().all(|path| path.starts_with("/run/keyslip/")),
                "{what}: {in_run:?}"
            );
            lab.remove("c");
            assert_eq!(lab.leaks(&["/run", "/var/lib/containers"], &token), [""; 0], "{what}");
            lab.ok("podman rmi -f copy");
            lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn the_containers_of_a_pod_have_what_each_asks_for() {
    for (tree, engine) in TREES {
        let Some(lab) = setup::podman(tree, "pod") else { return };
        for runtime in RUNTIMES {
            let what = format!("{engine}, {runtime}");
            let podman = format!("podman --runtime {runtime}");
            lab.ok(&format!(
                "{podman} pod create --name p --infra-image bb --infra-command 'sleep 1000'
                {podman} run -d --pod p --name asks {CLAUDE} bb sleep 1000; {podman} run -d --pod p --name other bb sleep 1000"
            ));
            setup::is_logged_in(&lab.ok(&format!("podman exec asks {SHOW}")), "0", &what);
            assert_eq!(lab.ok("podman exec other ls -A /run/secrets /root 2>/dev/null || true"), "/root:", "{what}");
            lab.ok("podman pod rm -f -t0 p");
            lab.assert_nothing_left(&what);
        }
    }
}
