//! podman with the hooks and with runtimes as they are.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, ASKS};

/// What an agent in the container would find: an `exec` has the files, and no variable.
const SHOW: &str = "sh -c 'echo $(id -u) $HOME ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude) $(cat ~/.claude.json) $(stat -c %a:%u /run/secrets/claude)'";

/// The variables of the main process, or of what `--init` started.
const MAIN: &str = "sh -c \"tr '\\\\0' '\\\\n' </proc/1/environ | grep -E 'CLAUDE|KEYSLIP'\"";

/// What can be seen from outside of a container that runs and has what it asked for.
#[track_caller]
fn is_authenticated(lab: &Lab, name: &str, (uid, home): (&str, &str), what: &str) {
    let main = lab.ok(&format!("podman exec {name} {MAIN}"));
    assert_eq!(main, "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>", "{what}: main process");
    let expected = format!("{uid} {home} none <CLAUDE> {{\"hasCompletedOnboarding\":true}} 400:{uid}");
    assert_eq!(lab.ok(&format!("podman exec {name} {SHOW}")), expected, "{what}: exec");
}

/// Runs a container through start, stop, start, restart and end.
fn lives(name: &str, options: &str, user: (&str, &str)) {
    let Some(lab) = setup::podman(name) else { return };
    for runtime in RUNTIMES {
        let what = format!("{name} on {runtime}");
        lab.ok(&format!("podman --runtime {runtime} run -d --name c {ASKS} {options} bb sleep 1000"));
        is_authenticated(&lab, "c", user, &what);
        assert!(!lab.ok("podman inspect c").contains("<CLAUDE>"), "{what}: inspect shows it");
        let listed = lab.ok("keyslip list --json | jq -r '.[] | .state + \" \" + .engine + \" \" + .container'");
        let id = lab.ok("podman inspect c --format '{{.Id}}'");
        assert_eq!(listed, format!("live podman {id}"), "{what}");
        lab.ok("podman stop -t0 c");
        lab.assert_nothing_left(&format!("{what}, stopped"));
        lab.ok("podman start c");
        is_authenticated(&lab, "c", user, &format!("{what}, stopped and started"));
        lab.ok("podman restart -t0 c");
        is_authenticated(&lab, "c", user, &format!("{what}, restarted"));
        lab.remove("c");
        lab.assert_nothing_left(&what);
    }
}

#[test]
fn a_plain_container_lives_through_stop_start_and_restart() {
    lives("plain", "", ("0", "/root"));
}

#[test]
fn a_container_with_an_init_process_is_authenticated() {
    lives("init", "--init", ("0", "/root"));
}

#[test]
fn a_read_only_container_is_authenticated() {
    lives("read-only", "--read-only", ("0", "/root"));
}

#[test]
fn a_container_of_a_user_without_any_capability_is_authenticated() {
    lives("user", "--user 1000 --cap-drop all --security-opt no-new-privileges", ("1000", "/home/dev"));
}

#[test]
fn root_without_any_capability_is_authenticated() {
    lives("cap-drop", "--cap-drop all", ("0", "/root"));
}

#[test]
fn a_container_in_a_user_namespace_is_authenticated() {
    lives("userns", "--userns=auto:size=2000", ("0", "/root"));
}

#[test]
fn a_user_of_a_user_namespace_is_authenticated() {
    lives("userns-user", "--userns=auto:size=2000 --user 1000", ("1000", "/home/dev"));
}

#[test]
fn a_new_volume_on_the_home_directory_is_no_obstacle() {
    lives("volume", "--user 1000 -v home:/home/dev", ("1000", "/home/dev"));
}

#[test]
fn a_tmpfs_on_the_home_directory_is_no_obstacle() {
    lives("tmpfs", "--user 1000 --tmpfs /home/dev:mode=0777", ("1000", "/home/dev"));
}

#[test]
fn nothing_secret_is_written_to_a_volume_and_mountpoints_go() {
    let Some(lab) = setup::podman("volume-clean") else { return };
    for runtime in RUNTIMES {
        lab.ok(&format!(
            "podman --runtime {runtime} run -d --name c {ASKS} --user 1000 -v home-{runtime}:/home/dev bb sleep 1000
            podman exec c sh -c 'echo mine >~/work; mkdir ~/mine'"
        ));
        lab.remove("c");
        let left = lab.ok(&format!(
            "cd $(podman volume inspect home-{runtime} --format '{{{{.Mountpoint}}}}'); find . -mindepth 1 -printf '%p %U\\n' | sort"
        ));
        assert_eq!(left, "./mine 1000\n./work 1000", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn the_containers_of_a_pod_have_what_each_asks_for() {
    let Some(lab) = setup::podman("pod") else { return };
    for runtime in RUNTIMES {
        let podman = format!("podman --runtime {runtime}");
        lab.ok(&format!(
            "{podman} pod create --name p --infra-image bb --infra-command 'sleep 1000'
            {podman} run -d --pod p --name asks {ASKS} bb sleep 1000; {podman} run -d --pod p --name other bb sleep 1000"
        ));
        is_authenticated(&lab, "asks", ("0", "/root"), runtime);
        let other = "podman exec other sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep -c CLAUDE || true; ls /run/secrets /run/.keyslip 2>/dev/null || true'";
        assert_eq!(lab.ok(other), "0", "{runtime}");
        assert_eq!(lab.ok("keyslip list --json | jq length"), "1", "{runtime}");
        lab.ok("podman pod stop -t0 p; podman pod start p");
        is_authenticated(&lab, "asks", ("0", "/root"), &format!("{runtime}, restarted"));
        lab.ok("podman pod rm -f -t0 p");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn podman_build_works_with_the_hooks_configured() {
    let Some(lab) = setup::podman("build") else { return };
    lab.ok("printf 'FROM localhost/bb\\nRUN env >/made; ls /run >>/made\\n' >$W/Containerfile");
    for runtime in RUNTIMES {
        let build = lab.sh(&format!(
            "podman --runtime {runtime} build -q --no-cache --network none --annotation dev.keyslip.agents=claude -t built -f $W/Containerfile $W"
        ));
        assert!(build.succeeded(), "{runtime}: {build}");
        let made = lab.ok(&format!("podman --runtime {runtime} run --rm built cat /made"));
        assert!(made.contains("PATH=") && !made.contains("CLAUDE"), "{runtime}: {made}");
    }
    lab.assert_nothing_left("builds");
}

#[test]
fn hooks_are_not_written_where_podman_build_would_read_them() {
    let Some(lab) = Lab::new("hooks-shared") else { return };
    for dir in ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"] {
        let refused = lab.sh(&format!("keyslip install hooks --dir {dir}"));
        assert!(!refused.succeeded() && refused.stderr.contains("podman build"), "{refused}");
    }
    lab.ok("keyslip install hooks");
    // What a hook is started with is written down: no environment of the caller's, absolute paths. A home directory
    // is not among it: rootless podman of every user may read root's hooks.
    let hooks = lab.ok("jq -r '.hook | .path, (.env | length > 0), (.timeout > 0), (.args | index(\"--home\") != null)' /etc/keyslip/hooks.d/*.json | sort | uniq -c | sed 's/^ *//'");
    assert_eq!(hooks, "3 /usr/libexec/keyslip/keyslip-hook\n3 false\n6 true");
}

#[test]
fn a_container_that_asks_for_nothing_is_left_as_it_is() {
    let Some(lab) = setup::podman("silent") else { return };
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run --rm");
        let show = "bb sh -c 'env | grep -v HOSTNAME; ls -A /run; cat /proc/1/cmdline'";
        let with = lab.ok(&format!("{run} {show}"));
        let without = lab.ok(&format!(
            "sed '/^hooks_dir/d' $CONTAINERS_CONF >$W/plain.conf; CONTAINERS_CONF=$W/plain.conf {run} {show}"
        ));
        assert_eq!(with, without, "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}
