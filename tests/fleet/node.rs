//! Nodes that are set up by files: `examples/node` and `examples/crio`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::lab::Lab;

fn example(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of TOML as a tree.
fn tree(text: &str) -> Value {
    toml::from_str(text).expect("TOML")
}

#[test]
fn the_files_for_containerd_are_what_install_writes() {
    let Some(lab) = Lab::new("fleet-files") else { return };
    let before = lab.ok("cat /etc/containerd/config.toml");
    lab.ok("keyslip install containerd");
    let by_hand = format!("{before}\n{}", example("node/containerd.toml"));
    assert_eq!(tree(&by_hand), tree(&lab.ok("cat /etc/containerd/config.toml")));
    let record = lab.ok("cat /etc/keyslip/conf.d/50-containerd.toml");
    assert_eq!(tree(&example("node/50-containerd.toml")), tree(&record));
}

/// CRI-O was not run: that the file is TOML, and that what it calls is there.
#[test]
fn the_drop_in_for_cri_o_names_a_link_that_is_there() {
    let drop_in = tree(&example("crio/50-keyslip.conf"));
    let path = drop_in.pointer("/crio/runtime/runtimes/keyslip/runtime_path").and_then(Value::as_str).expect("a path");
    let Some(lab) = Lab::new("fleet-crio") else { return };
    lab.ok(&format!("{path} --version >&2; [ $(readlink {path}) = ../keyslip-runtime ]"));
}

/// The commands of the unit with these keys, as systemd would run them.
fn commands(key: &str, instance: &str, image: &str, command: &str) -> Vec<String> {
    let unit = example("node/keyslip-job@.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let filled = |line: &str| {
        let line = line.replace("%i", instance).replace("${IMAGE}", image).replace("$COMMAND", command);
        // A dash says that failing is no matter.
        line.strip_prefix('-').map_or(line.clone(), |line| format!("{line} || true"))
    };
    lines.map(filled).collect()
}

#[test]
fn a_job_of_systemd_has_its_agents_token() {
    let Some(lab) = Lab::with_claude("fleet-job") else { return };
    // systemd itself reads the unit.
    lab.ok("systemd-analyze verify $REPO/examples/node/keyslip-job@.service >&2");
    lab.ok("keyslip install containerd >&2");
    lab.containerd();
    lab.ok("ctr --namespace jobs images import $W/bb.tar >&2");
    let show = "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude)'";
    let instance = lab.unique();
    let start = |command: &str| {
        let image = "localhost/bb:latest";
        let before = commands("ExecStartPre", &instance, image, command);
        let start = commands("ExecStart", &instance, image, command);
        assert_eq!((before.len(), start.len()), (2, 1));
        lab.sh(&[before, start].concat().join("\n"))
    };
    let job = start(show);
    assert!(job.succeeded() && job.stdout.ends_with("<CLAUDE> <CLAUDE>\n"), "{job}");
    // Started anew, and stopped.
    assert!(start(show).succeeded());
    let long = commands("ExecStart", &instance, "localhost/bb:latest", "sleep 1000").remove(0);
    let stop = commands("ExecStop", &instance, "", "").remove(0);
    lab.ok(&format!(
        "{long} & for i in $(seq 100); do ctr -n jobs task ls | grep -q RUNNING && break; sleep 0.1; done
        [ $(keyslip list --json | jq length) = 1 ]; {stop}; wait $! || true"
    ));
    lab.assert_nothing_left("after the job");
    // Without a login it does not start, and says why.
    lab.ok("keyslip auth logout claude >&2");
    let refused = start(show);
    assert!(!refused.succeeded() && refused.said().contains("keyslip auth login claude"), "{refused}");
    lab.ok("ctr -n jobs containers ls -q | xargs -r ctr -n jobs containers delete");
}
