//! podman 5.4 with its options, root's and a user's, behind the shim and with the hooks.

use crate::lab::{RUNTIMES, Tree};
use crate::setup::{ASKS, Podman, WAYS, Way};

/// Options of a container, and its user and that user's home directory.
type Case = (&'static str, &'static str, &'static str);

const COMMON: [Case; 6] = [
    ("--init", "0", "/root"),
    ("--read-only", "0", "/root"),
    ("--user 1000", "1000", "/home/dev"),
    ("--user 1000 -v home:/home/dev", "1000", "/home/dev"),
    ("--user 1000 --tmpfs /home/dev:mode=0777 --cap-drop all", "1000", "/home/dev"),
    ("--userns=auto:size=1500", "0", "/root"),
];

/// What the main process has, and what an agent that `exec` starts would find; the token and the settings
/// are of the one inode that the host's side writes to.
const SHOW: &str = r#"tr '\0' '\n' </proc/1/environ | grep -c ^CLAUDE_CODE_OAUTH_TOKEN=
    echo $(id -u) $HOME ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude) $(cat ~/.claude.json) $(stat -c %a:%u /run/secrets/claude)"#;

/// Starts a container with each of the options, looks into them, and removes them.
fn options_work(podman: &Podman, cases: &[Case], way: Way, runtime: &str) {
    let what = |options: &str| format!("{way:?} on {runtime}, {options}");
    podman.lab.write("show", SHOW.as_bytes());
    let command = format!("{} --runtime {runtime}", way.podman());
    let start = cases.iter().enumerate().map(|(number, (options, ..))| {
        format!("{command} run -d --name c{number} {ASKS} {options} bb sleep 1000 >/dev/null\n")
    });
    podman.ok(&start.collect::<String>());
    for (number, (options, uid, home)) in cases.iter().enumerate() {
        let seen = podman.ok(&format!("{command} exec -i c{number} sh <$W/show"));
        let env = way.exec_env();
        let expected = format!("1\n{uid} {home} {env} <CLAUDE> {{\"hasCompletedOnboarding\":true}} 400:{uid}");
        assert_eq!(seen, expected, "{}", what(options));
    }
    let states = podman.ok("keyslip list --json | jq -r '.[].state' | sort | uniq -c | tr -s ' '");
    assert_eq!(states, format!("{} live", cases.len()), "{way:?} on {runtime}");
    let shown = podman.ok(&format!("{command} inspect $({command} ps -aq)"));
    assert!(!shown.contains("<CLAUDE>"), "{way:?} on {runtime}: inspect shows it");
    podman.remove_all(way, &what("all"));
    let volume = podman.ok("cd $(podman volume inspect home --format '{{.Mountpoint}}'); find . -mindepth 1");
    assert_eq!(volume, "", "{way:?} on {runtime}: left in the volume");
}

#[test]
fn roots_containers_are_authenticated_whatever_their_options_are() {
    let Some(podman) = Podman::of_root(Tree::Debian13, "podman5-root") else { return };
    for way in WAYS {
        for runtime in RUNTIMES {
            options_work(&podman, &COMMON, way, runtime);
        }
    }
}

#[test]
fn a_users_containers_are_authenticated_whatever_their_options_are() {
    let Some(podman) = Podman::of_user(Tree::Debian13, "podman5-user") else { return };
    let own: [Case; 2] =
        [("--userns=keep-id", "4100", "/"), ("--userns=keep-id:uid=1000,gid=1000", "1000", "/home/dev")];
    let cases = [COMMON.as_slice(), own.as_slice()].concat();
    for way in WAYS {
        for runtime in RUNTIMES {
            options_work(&podman, &cases, way, runtime);
        }
    }
}

#[test]
fn a_restart_policy_brings_a_container_back_with_the_token_of_that_time() {
    let Some(podman) = Podman::of_root(Tree::Debian13, "podman5-restart") else { return };
    for way in WAYS {
        for runtime in RUNTIMES {
            let p = way.podman();
            // It ends when it is told to, and stays the second time.
            podman.ok(&format!(
                "{p} --runtime {runtime} run -d --name c --restart=always {ASKS} bb sh -c '[ -e /again ] || while [ ! -e /end ]; do sleep 0.1; done; \
                 touch /again; exec sleep 1000'"
            ));
            podman.lab.login("claude", &podman.lab.token("NEW"));
            podman.ok(&format!(
                "id=$({p} inspect c --format '{{{{.State.Pid}}}}'); {p} exec c touch /end
                for i in $(seq 100); do {p} exec c test -e /again 2>/dev/null && break; sleep 0.1; done; kill -9 $id
                for i in $(seq 100); do [ \"$({p} inspect c --format '{{{{.State.Pid}}}} {{{{.State.Running}}}}')\" != \"$id true\" ] && {p} exec c true 2>/dev/null && break; sleep 0.1; done"
            ));
            let seen = podman.ok(&format!(
                "{p} exec c sh -c \"cat /run/secrets/claude; echo; tr '\\0' '\\n' </proc/1/environ | grep CLAUDE\""
            ));
            assert_eq!(seen, "<NEW>\nCLAUDE_CODE_OAUTH_TOKEN=<NEW>", "{way:?} on {runtime}");
            podman.remove_all(way, &format!("{way:?} on {runtime}"));
            podman.lab.login("claude", &podman.token);
        }
    }
}

/// Checks of podman's own that run in the container, and what podman takes out of it.
fn nothing_is_taken_out(podman: &Podman, way: Way, runtime: &str) {
    let what = format!("{way:?} on {runtime}");
    let p = way.podman();
    let check = match way {
        Way::Shim => "test -n \"$CLAUDE_CODE_OAUTH_TOKEN\" && test -s /run/secrets/claude",
        Way::Hooks => "test -s /run/secrets/claude",
    };
    // Not `c`: that may be the beginning of an image's id, and `diff` looks at images first.
    podman.ok(&format!(
        "{p} --runtime {runtime} run -d --name box {ASKS} --health-cmd '{check}' --health-interval=disable bb sleep 1000
        {p} healthcheck run box
        rm -rf $HOME/out; mkdir $HOME/out; cd $HOME/out
        {p} diff box >diff; {p} commit -q box copy >id; {p} save -q -o copy.tar copy; {p} export -o export.tar box
        {p} generate kube box >kube; {p} logs box >logs 2>&1; {p} inspect box >inspect; {p} image inspect copy >image
        {p} cp box:/root root; {p} cp box:/etc/passwd passwd; {p} cp passwd box:/tmp/passwd; {p} exec box cat /tmp/passwd | cmp - passwd"
    ));
    assert_eq!(podman.ok(&format!("{p} inspect box --format '{{{{.State.Health.Status}}}}'")), "healthy", "{what}");
    let places = ["/var/lib/containers", "/home/labuser/.local/share", "/root/out", "/home/labuser/out"];
    assert_eq!(podman.lab.leaks(&places, &podman.token), [""; 0], "{what}");
    // While it runs there are mountpoints, and nothing is in them.
    let held = podman.ok(&format!(
        "{p} run --rm copy sh -c 'cat $(find /root /run/secrets /run/.keyslip ! -type d 2>/dev/null) /dev/null; env | grep CLAUDE || true'"
    ));
    assert_eq!(held, "{}", "{what}: in the copy, an empty settings file");
    // conmon cleans up at the same time.
    podman.ok(&format!(
        "{p} stop -t0 box; for i in $(seq 500); do [ \"$(keyslip list --json)\" = '[]' ] && break; sleep 0.05; done; keyslip list --json | jq -e '. == []'"
    ));
    let after = podman.ok(&format!(
        "{p} diff box | grep -vE '^[AC] /(tmp|tmp/passwd|run|etc|root)$' || true; {p} commit -q box after >/dev/null
        {p} run --rm after sh -c 'ls -A /root /run/secrets /run/.keyslip 2>/dev/null || true'"
    ));
    assert_eq!(after, "/root:", "{what}: after its end");
    podman.remove_all(way, &what);
    podman.ok(&format!("{p} rmi -f copy after >/dev/null"));
}

#[test]
fn nothing_that_podman_takes_out_of_roots_container_holds_the_credential() {
    let Some(podman) = Podman::of_root(Tree::Debian13, "podman5-out-root") else { return };
    for way in WAYS {
        for runtime in RUNTIMES {
            nothing_is_taken_out(&podman, way, runtime);
        }
    }
}

#[test]
fn nothing_that_podman_takes_out_of_a_users_container_holds_the_credential() {
    let Some(podman) = Podman::of_user(Tree::Debian13, "podman5-out-user") else { return };
    for way in WAYS {
        nothing_is_taken_out(&podman, way, "crun");
    }
}
