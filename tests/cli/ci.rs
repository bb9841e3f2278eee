//! The jobs of examples/ci, with the credential in a variable of the job, as continuous integration hands secrets over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, Output};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci")
}

/// Says whether the agent has what it should, without its value; what a job prints is kept by its server.
const AGENT: &str = r#"[ -z "${CLAUDE_TOKEN:-}" ] || echo handed on; echo "${CLAUDE_CODE_OAUTH_TOKEN:-none}" | sha256sum | cut -c1-8
    sha256sum </run/secrets/claude | cut -c1-8; grep -c accessToken ~/.claude/.credentials.json 2>/dev/null; exit 5"#;

/// Everything that a job can write to: what is over /etc, /root and /var/lib, podman's storage, homes, the tmpfs.
const PLACES: [&str; 6] = ["$W/overlay", "$W/containers", "$W/home", "$W/vartmp", "$W/job", "/run"];

/// A lab with an image and a bundle, and nobody logged in; the token that its jobs have.
fn job(name: &str) -> Option<(Lab, String, String)> {
    let lab = Lab::new(name)?;
    lab.ok("printf '' >/etc/keyslip/keyslip.toml");
    lab.image();
    let bundle = lab.bundle("job", ".");
    let token = lab.token("SECRET");
    Some((lab, token, bundle))
}

/// Runs a command under `with-login`.
fn run(lab: &Lab, token: &str, command: &str) -> Output {
    lab.sh(&format!("export CLAUDE_TOKEN={token}; cd $REPO; examples/ci/with-login {command}"))
}

/// The first digits of a hash, of a text with or without a newline.
fn hash(lab: &Lab, token: &str, newline: &str) -> String {
    lab.ok(&format!("printf '%s{newline}' {token} | sha256sum | cut -c1-8"))
}

#[test]
fn each_job_has_its_agent_authenticated_and_leaves_the_secret_nowhere() {
    let Some((lab, token, bundle)) = job("ci") else { return };
    let (variable, none, file) = (hash(&lab, &token, "\\n"), hash(&lab, "none", "\\n"), hash(&lab, &token, ""));
    for runtime in ["crun", "runc"] {
        for (way, place, expected) in [
            ("podman", "bb", format!("{variable}\n{file}")),
            ("crun", bundle.as_str(), format!("{variable}\n{file}")),
            ("hook", bundle.as_str(), format!("{none}\n{file}\n1")),
        ] {
            let job = format!("env RUNTIME={runtime} examples/ci/{way}/run-agent {place} sh -c '{AGENT}'");
            let output = run(&lab, &token, &job);
            assert_eq!(output.code(), Some(5), "{way} {runtime}: {output}");
            assert!(output.stdout.contains(&expected), "{way} {runtime}: expected {expected}: {output}");
            let said = output.said();
            assert!(!said.contains("<SECRET>") && !said.contains("handed on"), "{way} {runtime}: {output}");
            assert_eq!(lab.leaks(&PLACES, &token), [""; 0], "{way} {runtime}");
            // The path of a request is empty, and stays for the next job.
            lab.ok("rm -rf /run/keyslip/request");
            lab.assert_nothing_left(way);
            lab.assert_rootfs_untouched(&bundle);
        }
    }
}

#[test]
fn a_job_of_an_ordinary_user_runs_under_rootless_podman() {
    let Some((lab, token, _)) = job("ci-user") else { return };
    let expected = format!("{}\n{}", hash(&lab, &token, "\\n"), hash(&lab, &token, ""));
    let image = "podman import -q -c 'ENV PATH=/bin' $W/image.tar bb";
    let output = lab.as_user(&format!(
        "rm ~/.config/keyslip/keyslip.toml; {image}; export CLAUDE_TOKEN={token}
        $REPO/examples/ci/with-login $REPO/examples/ci/podman/run-agent bb sh -c '{AGENT}'"
    ));
    assert_eq!(output.code(), Some(5), "{output}");
    assert!(output.stdout.contains(&expected) && !output.said().contains("<SECRET>"), "expected {expected}: {output}");
    assert_eq!(lab.leaks(&PLACES, &token), [""; 0]);
}

#[test]
fn a_job_without_its_secret_does_not_begin_and_one_that_is_ended_logs_out() {
    let Some((lab, token, _)) = job("ci-end") else { return };
    let output = run(&lab, "", "touch $W/begun");
    assert!(output.code() == Some(1) && output.stderr.contains("the job has no secret CLAUDE_TOKEN"), "{output}");
    assert_eq!(lab.ok("ls $W/begun 2>/dev/null || true"), "");
    let output = run(&lab, &token, "bash -c 'keyslip auth status --json; kill -TERM $PPID; sleep 0.1'");
    assert!(output.stdout.contains("\"claude\"") && !output.succeeded(), "{output}");
    assert_eq!(lab.leaks(&PLACES, &token), [""; 0]);
}

#[test]
fn a_job_keeps_its_exit_code_and_leaves_a_login_alone_that_was_there() {
    let Some((lab, token, _)) = job("ci-own") else { return };
    // There is nothing left to log out of then.
    let output = run(&lab, &token, "bash -c 'keyslip auth logout claude; exit 7'");
    assert_eq!(output.code(), Some(7), "{output}");
    lab.login("claude", &lab.token("OWN"));
    let output = run(&lab, &token, "touch $W/begun");
    assert!(output.code() == Some(1) && output.stderr.contains("has a login for claude"), "{output}");
    assert_eq!(
        lab.ok("ls $W/begun 2>/dev/null || true; jq -r .token /var/lib/keyslip/tokens/claude-oauth.json"),
        "<OWN>"
    );
}

#[test]
fn the_scripts_are_sound_and_the_jobs_call_them() {
    let scripts =
        ["with-login", "podman/run-agent", "crun/run-agent", "hook/run-agent"].map(|name| examples().join(name));
    let output = Command::new("shellcheck").args(&scripts).output().expect("shellcheck starts; run tests/lab/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for file in ["github-actions.yaml", "gitlab-ci.yaml"] {
        let text = fs::read_to_string(examples().join(file)).expect("a job");
        let mut commands = commands(&serde_saphyr::from_str::<Value>(&text).expect("YAML"));
        commands.sort();
        assert_eq!(commands.len(), 3, "{file}: {commands:?}");
        for (command, script) in commands.iter().zip(["crun", "hook", "podman"]) {
            let called = format!("examples/ci/with-login examples/ci/{script}/run-agent ");
            assert!(
                command.starts_with(&called) && command.ends_with(" claude -p 'review this change'"),
                "{file}: {command}"
            );
        }
    }
}

/// The commands of a job, wherever they are: what `run` and `script` hold.
fn commands(node: &Value) -> Vec<String> {
    let Some(members) = node.as_object() else {
        return node.as_array().into_iter().flatten().flat_map(commands).collect();
    };
    let mut found = Vec::new();
    for (key, value) in members {
        match key.as_str() {
            "run" => found.extend(value.as_str().map(str::to_owned)),
            "script" => {
                found.extend(value.as_array().into_iter().flatten().filter_map(|it| Some(it.as_str()?.to_owned())))
            }
            _ => found.extend(commands(value)),
        }
    }
    found
}
