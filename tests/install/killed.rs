//! Killed at any step: the next run finishes it or undoes it.

use crate::Host;
use crate::lab::Tree;

/// What changes something. Each is a step at which the process is killed, the first time it happens, the second…
const STEPS: [&str; 6] = ["mkdir", "rename", "unlink", "fsync", "fchmod", "rmdir"];

/// Runs `command` and kills it when it enters its `count`-th `step`; whether it was killed.
fn killed(host: &Host, command: &str, step: &str, count: usize) -> bool {
    let output = host
        .root(&format!("strace -qq -o /dev/null -e trace={step} -e inject={step}:signal=KILL:when={count} {command}"));
    // strace ends as its program did.
    let killed = output.status.to_string().contains("signal: 9") || output.code() == Some(137);
    assert!(killed || output.succeeded(), "{command}, {step} {count}: {output}");
    killed
}

/// Calls `check` after every way in which `command` can be killed; how often that was.
fn at_every_step(host: &Host, command: &str, prepare: impl Fn(), check: impl Fn(&str)) -> usize {
    let mut kills = 0;
    for step in STEPS {
        for count in 1.. {
            prepare();
            if !killed(host, command, step, count) {
                check(&format!("{command} not killed"));
                break;
            }
            kills += 1;
            check(&format!("{command} killed at {step} {count}"));
        }
    }
    kills
}

#[test]
fn a_second_installation_finishes_and_taking_away_undoes() {
    let Some(host) = Host::new(Tree::Debian12, "killed") else { return };
    let before = host.files();
    let whole = |what: &str| {
        let dump = host.root("containerd config dump >/dev/null");
        assert!(dump.succeeded(), "{what}: containerd cannot read its configuration: {dump}");
    };
    let kills = at_every_step(
        &host,
        "keyslip install containerd",
        || {},
        |what| {
            whole(what);
            host.does("keyslip install containerd");
            assert!(host.ok("cat /etc/containerd/config.toml").contains("BinaryName"), "{what}");
            host.does("keyslip uninstall containerd");
            host.assert_as_before(&before, what);
        },
    );
    assert!(kills > 10, "killed only {kills} times");
    at_every_step(
        &host,
        "keyslip install containerd",
        || {},
        |what| {
            whole(what);
            host.does("keyslip uninstall --all");
            host.assert_as_before(&before, what);
        },
    );
}

#[test]
fn a_second_taking_away_finishes() {
    let Some(host) = Host::new(Tree::Debian12, "killed-away") else { return };
    let before = host.files();
    let kills = at_every_step(
        &host,
        "keyslip uninstall containerd",
        || drop(host.does("keyslip install containerd")),
        |what| {
            host.does("keyslip uninstall --all");
            host.assert_as_before(&before, what);
        },
    );
    assert!(kills > 5, "killed only {kills} times");
}
