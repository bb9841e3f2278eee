//! The real client in a container: files alone make it logged in, in the main process and in `exec`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{RUNTIMES, Tree};
use crate::setup::{self, CLAUDE};

/// What the client needs of a system around it, and the client; `tests/lab/clients` says where it is.
fn mounts() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/clients");
    let output = Command::new(script).arg("claude-code").output().expect("tests/lab/clients starts");
    let client = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("node_modules/.bin/claude");
    let client = client.canonicalize().unwrap_or_else(|_| panic!("{} is missing; run `make setup`", client.display()));
    format!("-v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro -v {}:/usr/bin/claude:ro", client.display())
}

#[test]
fn the_real_client_is_logged_in_by_files_alone() {
    let Some(lab) = setup::podman(Tree::Debian12, "client") else { return };
    let run = format!("--network none {}", mounts());
    let status = "/usr/bin/claude auth status --json";
    for runtime in RUNTIMES {
        let podman = format!("podman --runtime {runtime}");
        let without = lab.sh(&format!("{podman} run --rm {run} bb {status}"));
        assert!(without.stdout.contains("\"loggedIn\": false"), "{runtime}: {without}");
        for user in ["0", "1000"] {
            let what = format!("{runtime}, user {user}");
            lab.ok(&format!("{podman} run -d --name c {CLAUDE} --user {user} {run} bb sleep 1000"));
            for seen in [
                lab.ok(&format!("podman exec c {status}")),
                lab.ok(&format!("{podman} run --rm {CLAUDE} --user {user} {run} bb {status}")),
            ] {
                assert!(seen.contains("\"loggedIn\": true"), "{what}: {seen}");
                assert!(seen.contains("\"authMethod\": \"claude.ai\""), "{what}: {seen}");
            }
            lab.ok("podman restart -t0 c");
            let seen = lab.ok(&format!("podman exec c {status}"));
            assert!(seen.contains("\"loggedIn\": true"), "{what}, restarted: {seen}");
            lab.remove("c");
            lab.assert_nothing_left(&what);
        }
    }
}
