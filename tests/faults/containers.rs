//! Faults on a container's way: it is there with everything it asked for, or it is not there, and nothing is left.

use crate::injected::{Case, Outcome, most, prepare, run};
use crate::lab::{Lab, RUNTIMES};

const HOOK: &str = "/usr/libexec/keyslip/keyslip-hook";

/// After a fault in `create`: what the exit code says is so. Whoever kills the shim gets no exit code, and does what
/// engines do: it deletes.
const CREATED: &str = r#"
    if [ $1 = 0 ]; then complete k; else said $1
        if ! killed $1 && $BARE/$R.real state k >/dev/null 2>&1; then echo "it failed, and there is a container"; fi
        killed $1 || gone
    fi
    $BARE/$R delete --force k >/dev/null 2>&1 || true
    ! $BARE/$R.real state k >/dev/null 2>&1 || echo "it cannot be deleted"
    if [ $1 = 0 ]; then gone; else swept; fi
    if killed $1; then
        $BARE/$R create --bundle $B k >$W/out 2>&1 || { echo "no second try: $(cat $W/out)"; }
        complete k; $BARE/$R delete --force k; gone; fi"#;

fn create(runtime: &str) {
    let name = format!("faults-create-{runtime}");
    let Some(lab) = Lab::new(&name) else { return };
    prepare(&lab);
    let command = format!("$BARE/{runtime} create --bundle $B --pid-file $W/pid k");
    let case = Case { name: "create", before: ":", command: &command, dynamic: false, after: CREATED, takes: most };
    Outcome::settle(&[run(&lab, runtime, &case)], &name);
}

#[test]
fn a_fault_in_create_on_crun_leaves_a_container_or_none() {
    create("crun");
}

#[test]
fn a_fault_in_create_on_runc_leaves_a_container_or_none() {
    create("runc");
}

#[test]
fn a_fault_in_delete_leaves_nothing_that_a_sweep_does_not_find() {
    let Some(lab) = Lab::new("faults-delete") else { return };
    prepare(&lab);
    let outcomes: Vec<Outcome> = RUNTIMES
        .iter()
        .map(|runtime| {
            let command = format!("$BARE/{runtime} delete --force k");
            let case = Case {
                name: "delete",
                before: "$BARE/$R create --bundle $B k",
                command: &command,
                dynamic: false,
                // An engine that is told of a failure deletes again.
                after: r#"[ $1 = 0 ] || { said $1; $BARE/$R delete --force k >/dev/null 2>&1 || true; }
                    ! $BARE/$R.real state k >/dev/null 2>&1 || echo "it is still there"
                    swept"#,
                takes: most,
            };
            run(&lab, runtime, &case)
        })
        .collect();
    Outcome::settle(&outcomes, "faults-delete");
}

#[test]
fn a_fault_in_exec_is_a_process_with_its_variables_or_none() {
    let Some(lab) = Lab::new("faults-exec") else { return };
    prepare(&lab);
    lab.ok(
        r#"jq -c '.process | .args=["sh","-c","echo got $CLAUDE_CODE_OAUTH_TOKEN"]' $W/b/config.json >$W/process.json"#,
    );
    let outcomes: Vec<Outcome> = RUNTIMES
        .iter()
        .map(|runtime| {
            lab.ok(&format!("$BARE/{runtime} create --bundle $W/b k; $BARE/{runtime} start k"));
            let command = format!("$BARE/{runtime} exec --process $W/process.json k");
            let case = Case {
                name: "exec",
                before: ":",
                command: &command,
                dynamic: false,
                after: r#"if [ $1 = 0 ]; then [ "$(cat $W/out)" = "got $(cat $W/CLAUDE)" ] || echo "a process without its variables"
                    else killed $1 || [ -s $W/err ] || echo "exit code $1 and not a word"; fi"#,
                takes: most,
            };
            let outcome = run(&lab, runtime, &case);
            lab.ok(&format!("$BARE/{runtime} delete --force k"));
            lab.assert_nothing_left(runtime);
            outcome
        })
        .collect();
    Outcome::settle(&outcomes, "faults-exec");
}

/// A process in a mount namespace of its own stands for the container.
const CONTAINER: &str = r#"unshare --mount --propagation private sleep 1000 & C=$!
    while [ "$(readlink /proc/$C/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.001; done
    printf '{"ociVersion":"1.0.2","id":"k","pid":%d,"bundle":"%s","annotations":{}}' $C $B >$W/stdin"#;

#[test]
fn a_fault_in_a_hook_fails_it_or_changes_nothing() {
    let Some(lab) = Lab::new("faults-hooks") else { return };
    prepare(&lab);
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    let precreate = Case {
        name: "precreate",
        before: "cp $B/config.json $W/stdin",
        command: &format!("{HOOK} precreate --engine podman"),
        dynamic: false,
        after: r#"if [ $1 = 0 ]; then id=$(jq -r '.annotations["dev.keyslip.sandbox"] // empty' $W/out)
                d=$(echo /run/keyslip/sandbox/*/$id); [ -n "$id" ] || echo "nothing was prepared"
                cmp -s $W/CLAUDE $d/secrets/claude || echo "no secret file"; [ -s $d/launch.env ] || ls $d | grep -q . || echo "no variables"
            else said $1; killed $1 || gone; fi
            age 122; swept"#,
        takes: most,
    };
    let create_runtime = Case {
        name: "createRuntime",
        before: CONTAINER,
        command: &format!("{HOOK} createRuntime --engine bare"),
        dynamic: false,
        after: r#"if [ $1 = 0 ]; then cmp -s $W/CLAUDE <(nsenter -t $C -m cat $B/rootfs/run/secrets/claude) || echo "no secret file"
            else said $1; killed $1 || gone; fi
            kill -9 $C; while [ -e /proc/$C ]; do sleep 0.001; done 2>/dev/null; wait $C 2>/dev/null || true; swept"#,
        takes: most,
    };
    let before = format!("{CONTAINER}; {HOOK} createRuntime --engine bare <$W/stdin; kill -9 $C; wait $C || true");
    let poststop = Case {
        name: "poststop",
        before: &before,
        command: &format!("{HOOK} poststop --engine bare"),
        dynamic: false,
        after: "[ $1 = 0 ] || said $1; swept",
        takes: most,
    };
    let outcomes = [precreate, create_runtime, poststop].map(|case| run(&lab, "crun", &case));
    Outcome::settle(&outcomes, "faults-hooks");
}
