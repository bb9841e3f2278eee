//! What the hook may cost: all instructions of a full Claude delivery, from the start of the process to
//! its end. Valgrind counts, but does not know the mount calls; from the first of them on the process is
//! stepped.

use crate::lab::Lab;
use crate::setup;

/// Most instructions that a stage may execute.
const BUDGET: u64 = 2_000_000;

#[test]
fn a_full_delivery_stays_within_its_budget() {
    let Some(lab) = Lab::with_claude("hooks-instructions") else { return };
    // The unstripped program: valgrind has to find a function in it.
    if !lab.sh("command -v valgrind && ls $REPO/target/*/release/keyslip-hook").succeeded() {
        println!("skipped: instructions need valgrind and what `make build` leaves below target");
        return;
    }
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    setup::compile(&lab, "count");
    let root = format!(r#".root.path="{}/b/rootfs""#, lab.path().display());
    let bundle = lab.bundle("b", &format!("{} | {} | {root}", setup::ASK, setup::DEV));
    // A process in a mount namespace of its own stands for the container. The first call makes what is
    // made once: the key of fingerprints.
    let counted = lab.ok(&format!(
        r#"keyslip install tmpfs >/dev/null; cd {bundle}; hook=$(ls $REPO/target/*/release/keyslip-hook)
        unshare --mount --propagation private sleep 1000 & c=$!
        while [ "$(readlink /proc/$c/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.01; done
        printf '{{"ociVersion":"1.0.2","id":"k","pid":%d,"bundle":"%s"}}' $c $PWD >$W/state
        $hook precreate --engine podman <config.json >/dev/null; rm /var/lib/keyslip/audit.log
        calls() {{ rm -f $W/calls*; valgrind --tool=callgrind --callgrind-out-file=$W/calls --dump-before="$1" $hook "${{@:2}}" >/dev/null 2>&1 || true
            out=$W/calls.1; [ -e $out ] || out=$W/calls; sed -n 's/^totals: //p' $out | head -1; }}
        echo precreate $(calls none precreate --engine podman <config.json) 0
        before=$(calls '*mount_all*' createRuntime --engine bare <$W/state)
        open_tree=428; $W/count $W/steps $open_tree $hook createRuntime --engine bare <$W/state
        echo createRuntime $before $(cat $W/steps)
        kill $c; wait $c || true
        echo poststop $(calls none poststop --engine bare <$W/state) 0
        jq -r .event /var/lib/keyslip/audit.log | tr '\n' ' '"#
    ));
    println!("{counted}");
    let mut lines = counted.lines();
    for stage in ["precreate", "createRuntime", "poststop"] {
        let line = lines.next().and_then(|line| line.strip_prefix(stage)).unwrap_or_default();
        let parts: Vec<u64> = line.split_whitespace().filter_map(|part| part.parse().ok()).collect();
        let [counted, stepped] = parts[..] else { panic!("{stage}: {line:?}") };
        assert!(counted > 10_000 && (stepped > 10_000) == (stage == "createRuntime"), "{stage}: {line}");
        assert!(counted + stepped < BUDGET, "{stage}: {line} of {BUDGET}");
    }
    // Each of them did its work. Under valgrind the one at createRuntime fails at its mounts, after its line in the log.
    let events = lines.next().unwrap_or_default().trim();
    assert_eq!(events, "delivered delivered failed delivered cleaned", "{counted}");
}
