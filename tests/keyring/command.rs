//! Credential helpers: real programs that behave and misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use keyslip::backend::command::{Error, Found, Helper, Output};

/// What no message may hold.
const CANARY: &str = "sk-ant-oat01-FAKE-CANARY-0123456789";

/// A helper that is a script of bash; `$1` and `$2` are the agent and the account.
fn script(output: Output, text: &str) -> Helper {
    let argv = ["/bin/bash", "-c", text, "helper", "{agent}", "{account}"].map(str::to_owned).to_vec();
    Helper { argv, output, limit: Duration::from_secs(10), env: Vec::new() }
}

fn get(helper: &Helper) -> Result<Option<(String, Option<String>)>, Error> {
    let (agent, account) = ("claude".parse().expect("a name"), "work".parse().expect("a name"));
    helper.get(&agent, &account).map(|found| match found {
        Found::None => None,
        Found::Credential { value, expires } => {
            Some((value.expose_text().expect("text").to_owned(), expires.map(|at| at.to_string())))
        }
    })
}

/// The message of a failure, which holds no credential.
#[track_caller]
fn failure(helper: &Helper) -> String {
    let error = get(helper).expect_err("it fails");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("CANARY"), "{text}");
    error.to_string()
}

#[test]
fn a_helper_is_told_what_is_wanted_and_answers() {
    let json = script(
        Output::Json,
        r#"read -r request
        expected='{"account":"work","agent":"claude","operation":"get","version":1}'
        [ "$request" = "$expected" ] || { echo "$request" >&2; exit 1; }
        if read -r more; then exit 2; fi
        echo "{\"credential\": \"$1 of $2 in $PWD\", \"expiresAt\": \"2027-03-19T22:00:00+01:00\"}""#,
    );
    let end = Some("2027-03-19T21:00:00Z".to_owned());
    assert_eq!(get(&json).expect("an answer"), Some(("claude of work in /".to_owned(), end)));
    let none = script(Output::Json, r#"echo '{"credential": null}'"#);
    assert_eq!(get(&none).expect("an answer"), None);
    let text = script(Output::Text, "echo '  two'; echo lines");
    assert_eq!(get(&text).expect("an answer"), Some(("  two\nlines".to_owned(), None)));
    let nothing = script(Output::Text, "true");
    assert_eq!(get(&nothing).expect("an answer"), None);
}

#[test]
fn a_helper_has_only_the_variables_that_it_was_given() {
    let mut helper = script(Output::Text, "env -0 | tr '\\0\\n' '\\n?' | cut -d= -f1 | sort | tr '\\n' ' '");
    helper.env = vec![("VAULT_ADDR".into(), "http://127.0.0.1:1".into())];
    let (names, _) = get(&helper).expect("an answer").expect("names");
    // PWD, SHLVL and _ are bash's own.
    let allowed = ["HOME", "LANG", "PATH", "PWD", "SHLVL", "VAULT_ADDR", "XDG_RUNTIME_DIR", "_"];
    assert!(names.split_whitespace().all(|name| allowed.contains(&name)), "{names}");
    assert!(names.contains("VAULT_ADDR") && names.contains("PATH"), "{names}");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is a variable that it must not have");
}

#[test]
fn a_failure_says_why_and_never_what() {
    let said = failure(&script(Output::Json, "echo 'permission denied for keyslip' >&2; echo more >&2; exit 1"));
    assert_eq!(said, "the credential helper /bin/bash failed with exit code 1: permission denied for keyslip");
    // A credential on both streams, or on standard error alone.
    failure(&script(Output::Json, &format!("echo '{CANARY}'; echo 'got {CANARY}' >&2; exit 1")));
    failure(&script(Output::Json, &format!("echo 'got Bearer {CANARY}' >&2; exit 1")));
    failure(&script(Output::Text, &format!("echo '{CANARY}'; exit 1")));
    assert!(failure(&script(Output::Text, "kill -9 $$")).ends_with("failed with signal 9"));
    for answer in ["", CANARY, "{}", r#"{"credential": ""}"#] {
        let said = failure(&script(Output::Json, &format!("echo '{answer}'")));
        assert!(said.contains("gave no answer that can be used"), "{said}");
    }
    failure(&script(Output::Json, &format!(r#"echo '{{"credential": "{CANARY}", "expiresAt": "{CANARY}"}}'"#)));
}

/// Waits until the process whose number is in this file has ended. It was killed, but not by its parent.
#[track_caller]
fn assert_ends(file: &Path) {
    let pid = fs::read_to_string(file).expect("a number");
    let stat = format!("/proc/{}/stat", pid.trim());
    for _ in 0..50 {
        let stat = fs::read_to_string(&stat).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("its child is left");
}

#[test]
fn a_helper_that_takes_too_long_ends_with_all_that_it_started() {
    let dir = tempfile::tempdir().expect("a directory");
    let pid = dir.path().join("pid");
    let text = format!("sleep 1000 & echo $! >{}; trap '' TERM; wait; wait", pid.display());
    let mut helper = script(Output::Json, &text);
    helper.limit = Duration::from_millis(700);
    let begin = Instant::now();
    let said = failure(&helper);
    assert!(said.contains("/bin/bash did not end within 0.7 s and was killed"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_ends(&pid);
}

#[test]
fn what_a_helper_leaves_behind_neither_delays_it_nor_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let pid = dir.path().join("pid");
    let text = format!(r#"sleep 1000 & echo $! >{}; echo '{{"credential": "FAKE"}}'"#, pid.display());
    let begin = Instant::now();
    assert_eq!(get(&script(Output::Json, &text)).expect("an answer"), Some(("FAKE".to_owned(), None)));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_ends(&pid);
}

#[test]
fn a_flood_is_stopped() {
    let most = script(Output::Text, "head -c 1048576 /dev/zero | tr '\\0' x");
    assert_eq!(get(&most).expect("an answer").expect("a value").0.len(), 1 << 20);
    for text in ["head -c 1048577 /dev/zero", "yes", "head -c 1100000 /dev/zero; exit 1"] {
        let said = failure(&script(Output::Text, text));
        assert!(said.contains("printed more than 1 MiB"), "{text}: {said}");
    }
    // Standard error may be long; it is read to its end, or the helper would wait for ever.
    let loud = script(Output::Text, "head -c 5000000 /dev/zero >&2; echo FAKE");
    assert_eq!(get(&loud).expect("an answer"), Some(("FAKE".to_owned(), None)));
}

#[test]
fn programs_that_are_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("helper");
    fs::write(&path, "#!/bin/sh\necho '{\"credential\": \"FAKE\"}'\n").expect("a script");
    let of = |program: &str| failure(&Helper { argv: vec![program.to_owned()], ..script(Output::Json, "") });
    let program = path.display().to_string();
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o644);
    let said = of(&program);
    assert!(said.contains(&format!("{program} cannot be started: Permission denied")), "{said}");
    mode(0o757);
    assert!(of(&program).ends_with(&format!("run: chmod o-w {program}")));
    mode(0o755);
    assert!(get(&Helper { argv: vec![program.clone()], ..script(Output::Json, "") }).is_ok());
    assert!(of(&format!("{program}-2")).contains("No such file"));
    for relative in ["helper", "./helper", ""] {
        assert!(of(relative).contains("must be an absolute path"), "{relative}");
    }
    let nothing = failure(&Helper { argv: Vec::new(), ..script(Output::Json, "") });
    assert!(nothing.contains("must be an absolute path"), "{nothing}");
}
