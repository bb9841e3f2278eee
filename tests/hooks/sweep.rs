//! What is left when nobody came to clean up, and `keyslip sweep`.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::setup::{self, AGE, ASKS, DEV};

#[test]
fn conmon_and_the_container_killed_leave_nothing_after_a_sweep() {
    let Some(lab) = setup::podman("killed-podman") else { return };
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run -d {ASKS}");
        lab.ok(&format!("{run} --name dead-{runtime} -v home-{runtime}:/home/dev --user 1000 bb sleep 1000; {run} --name alive bb sleep 1000"));
        let pids =
            lab.ok(&format!("podman inspect dead-{runtime} --format '{{{{.State.ConmonPid}}}} {{{{.State.Pid}}}}'"));
        lab.ok(&format!("kill -9 {pids}; sleep 0.1"));
        // Nothing young is touched: it may be on its way.
        assert_eq!(lab.ok("keyslip sweep"), "removed 0, alive 0, left for later 2", "{runtime}");
        let states = lab.ok("keyslip list --json | jq -r '[.[].state] | sort | join(\" \")'");
        assert_eq!(states, "dead live", "{runtime}");
        assert!(lab.ok("keyslip status").contains("keyslip sweep"), "{runtime}: status says what to do");
        assert_eq!(
            lab.ok(&format!("{AGE}; age 2; keyslip sweep --json | jq -c '[.removed, .alive, .left]'")),
            "[1,1,0]",
            "{runtime}"
        );
        assert_eq!(lab.ok("podman exec alive cat /run/secrets/claude"), "<CLAUDE>", "{runtime}: the living one");
        lab.remove("alive");
        lab.assert_nothing_left(runtime);
        lab.sh(&format!("podman rm -f -t0 dead-{runtime}"));
        let volume =
            lab.ok(&format!("find $(podman volume inspect home-{runtime} --format '{{{{.Mountpoint}}}}') -mindepth 1"));
        assert_eq!(volume, "", "{runtime}: left in the volume");
    }
}

#[test]
fn a_bare_container_killed_without_a_delete_leaves_nothing_after_a_sweep() {
    let Some(lab) = Lab::with_claude("hooks-killed-bare") else { return };
    for runtime in RUNTIMES {
        let container = setup::hooked(&lab, runtime, "createRuntime", DEV);
        container.start();
        lab.ok(&format!("kill -9 $({runtime} state {} | jq .pid); sleep 0.1", container.id));
        setup::one_sweep_leaves_nothing(&lab, runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn a_later_start_removes_what_is_left_in_its_neighbourhood() {
    let Some(lab) = Lab::with_claude("hooks-reap") else { return };
    let dead = setup::hooked(&lab, "crun", "createRuntime", DEV);
    dead.start();
    // Containers lie in 256 places by chance, and a start looks at its own: a dead one in each.
    lab.ok(&format!(
        "kill -9 $(crun state {} | jq .pid); sleep 0.1; cd /run/keyslip/sandbox; record=$(echo */*/record.json); old=$(dirname $record)
        for place in $(printf '%02x ' $(seq 0 255)); do id=$place${{old:5}}; [ -e $place/$id ] && continue
            mkdir -p $place; cp -a $old $place/$id; sed -i s/${{old:3}}/$id/ $place/$id/record.json; done; find . -type d -exec touch -d '2 minutes ago' {{}} +",
        dead.id
    ));
    assert_eq!(lab.ok("keyslip list --json | jq -r '.[].state' | uniq -c | sed 's/^ *//'"), "256 dead");
    let later = setup::hooked(&lab, "crun", "createRuntime", DEV);
    later.start();
    assert_eq!(lab.ok("keyslip list --json | jq -r '.[].state' | sort | uniq -c | sed 's/^ *//'"), "255 dead\n1 live");
    later.end();
    lab.ok("find /run/keyslip -type d -exec touch -d '2 minutes ago' {} +; keyslip sweep");
    lab.assert_nothing_left("all of them");
}

#[test]
fn living_containers_are_left_alone_however_old() {
    let Some(lab) = Lab::with_claude("hooks-sweep-live") else { return };
    for runtime in RUNTIMES {
        let shim = Bare::started(&lab, runtime, "");
        let hook = setup::hooked(&lab, runtime, "createRuntime", DEV);
        hook.start();
        assert_eq!(
            lab.ok(&format!("{AGE}; age 5000; keyslip sweep; keyslip sweep")),
            ["removed 0, alive 2, left for later 0"; 2].join("\n"),
            "{runtime}"
        );
        assert_eq!(
            shim.exec("cat /run/secrets/claude; echo; echo $CLAUDE_CODE_OAUTH_TOKEN"),
            "<CLAUDE>\n<CLAUDE>",
            "{runtime}"
        );
        assert_eq!(hook.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
        shim.end();
        hook.end();
        lab.assert_nothing_left(runtime);
    }
}
