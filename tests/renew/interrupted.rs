//! A renewal that is cut off: killed at every one of its system calls, asked to end, or refused by the
//! system. The store has the old login or the new one, and the next renewal works; a token is lost only
//! where its answer has not been written, between the network and the disk.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::home::{Home, Output, finish};
use crate::server::{Reply, refresh_token};
use crate::together::wait_for_requests;

/// A system call of the main thread.
#[derive(Debug)]
struct Step {
    name: String,
    /// Which one of this name, from 1.
    number: usize,
    /// What strace says of it.
    line: String,
}

fn trace_path(home: &Home) -> PathBuf {
    home.path(".local/state/trace")
}

/// Runs `keyslip auth refresh --due` behind strace.
fn traced(home: &Home, options: &[&str]) -> Output {
    let trace = trace_path(home);
    let prefix = [&["strace", "-f", "-qq", "-s", "256", "-o", trace.to_str().unwrap()], options].concat();
    finish(home.start(&prefix, &["auth", "refresh", "--due"]))
}

/// The steps of a renewal that is not cut off, and where it takes its turn.
fn steps(home: &Home) -> (Vec<Step>, usize) {
    let output = traced(home, &[]);
    assert_eq!(output.code, Some(0), "{output}");
    let trace = String::from_utf8_lossy(&fs::read(trace_path(home)).unwrap()).into_owned();
    let main = trace.split_whitespace().next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').unwrap();
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if pid != main || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let number = steps.iter().filter(|step| step.name == name).count() + 1;
        steps.push(Step { name: name.to_owned(), number, line: line.to_owned() });
    }
    let turn = steps.iter().position(|step| step.line.contains(".renewing-claude")).expect("it takes its turn");
    (steps, turn)
}

fn kill_at(home: &Home, step: &Step) -> Output {
    traced(home, &["-e", &format!("inject={}:signal=SIGKILL:when={}", step.name, step.number)])
}

/// A fresh login, and a server that takes its token.
fn start_over(home: &Home) {
    home.claude();
    let mut state = home.server.state();
    (state.valid, state.given, state.refused) = (refresh_token(0), 0, 0);
    state.requests.clear();
    let _ = fs::remove_file(home.path(".local/state/keyslip/tokens/.renewed-claude@default"));
}

#[test]
fn killed_at_any_step_nothing_is_lost_that_was_received() {
    let home = Home::new();
    home.claude();
    let (steps, turn) = steps(&home);
    let received = steps.iter().position(|step| step.line.contains("receivedAt")).expect("the answer is noted");
    let sent = steps[..received].iter().rposition(|step| step.name == "sendto").expect("the request is sent");
    // Reading the answer and noting it: nothing else is done in between.
    let window: Vec<&str> = steps[sent + 1..=received].iter().map(|step| step.name.as_str()).collect();
    let harmless =
        ["recvfrom", "read", "poll", "setsockopt", "write", "brk", "mmap", "munmap", "mremap", "fcntl", "close"];
    assert!(window.len() < 20 && window.iter().all(|name| harmless.contains(name)), "{window:?}");
    assert!(steps.len() - turn > 60, "{} steps", steps.len() - turn);

    let mut lost = 0;
    for (index, step) in steps.iter().enumerate().skip(turn) {
        start_over(&home);
        kill_at(&home, step);
        assert!([refresh_token(0), refresh_token(1)].contains(&home.refresh_token()), "{step:?}");
        let output = home.refresh(&["--due"]);
        if (sent + 1..=received).contains(&index) && home.server.state().refused > 0 {
            lost += 1;
            assert!(output.stderr.contains("by an attempt that was cut off"), "{step:?}: {output}");
            assert!(output.stderr.contains("log in again"), "{step:?}: {output}");
            continue;
        }
        assert_eq!(output.code, Some(0), "{step:?}: {output}");
        let state = home.server.state();
        assert_eq!((state.given, state.refused), (1, 0), "{step:?}: {output}");
        assert_eq!(home.refresh_token(), state.valid, "{step:?}: {output}");
        assert_eq!(home.remains(), [""; 0], "{step:?}: {output}");
    }
    assert!(lost > 0, "the window was not hit");
}

#[test]
fn killed_while_taking_up_what_was_left_the_next_one_takes_it_up() {
    let home = Home::new();
    let leave = || {
        start_over(&home);
        // The new login cannot be written, so that the answer stays.
        let output = traced(&home, &["-e", "inject=rename:error=ENOSPC"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(
            output.stderr.contains("No space left on device") && output.stderr.contains("is kept beside it"),
            "{output}"
        );
        assert!(home.left_over().is_some_and(|left| left.contains("receivedAt")));
        assert_eq!(home.refresh_token(), refresh_token(0));
    };
    leave();
    let (steps, turn) = steps(&home);
    for step in &steps[turn..] {
        leave();
        kill_at(&home, step);
        let output = home.refresh(&["--due"]);
        assert_eq!(output.code, Some(0), "{step:?}: {output}");
        let state = home.server.state();
        assert_eq!((state.given, state.requests.len()), (1, 1), "{step:?}: {output}");
        assert_eq!((home.refresh_token(), home.remains()), (refresh_token(1), Vec::new()), "{step:?}: {output}");
    }
}

#[test]
fn what_was_left_is_taken_up_and_said() {
    let home = Home::new();
    start_over(&home);
    traced(&home, &["-e", "inject=rename:error=ENOSPC"]);
    let output = home.refresh(&["--due"]);
    assert!(
        output.stdout.starts_with("claude was renewed by an attempt that had been cut off; it is valid for "),
        "{output}"
    );
    assert_eq!(home.server.state().requests.len(), 1);
    // Asked for by name, it is renewed on top.
    start_over(&home);
    traced(&home, &["-e", "inject=rename:error=ENOSPC"]);
    assert_eq!(home.refresh(&[]).code, Some(0));
    assert_eq!((home.refresh_token(), home.server.state().refused), (refresh_token(2), 0));
}

#[test]
fn what_was_left_of_another_login_is_removed() {
    let home = Home::new();
    for renewable in [true, false] {
        start_over(&home);
        traced(&home, &["-e", "inject=rename:error=ENOSPC"]);
        let other = r#"{"claudeAiOauth":{"accessToken":"FAKE-other","refreshToken":"FAKE-other","expiresAt":1}}"#;
        home.store("claude-oauth", other, 8 * 3600, renewable);
        assert_eq!(home.refresh(&["--due"]).code, Some(0));
        assert_eq!((home.entry("claude-oauth").1.as_str(), home.remains()), (other, Vec::new()));
    }
    start_over(&home);
    traced(&home, &["-e", "inject=rename:error=ENOSPC"]);
    fs::remove_file(home.path(".local/state/keyslip/tokens/claude-oauth.json")).unwrap();
    home.refresh(&[]);
    assert_eq!(home.remains(), [""; 0], "of a login that is gone");
}

#[test]
fn a_full_disk_is_found_before_the_token_is_sent() {
    let home = Home::new();
    for call in ["fallocate", "fsync"] {
        start_over(&home);
        let output = traced(&home, &["-e", &format!("inject={call}:error=ENOSPC")]);
        assert!(output.code == Some(1) && output.stderr.contains("No space left on device"), "{call}: {output}");
        assert_eq!(home.server.state().requests.len(), 0, "{call}: the token was sent");
        assert_eq!((home.refresh(&["--due"]).code, home.refresh_token()), (Some(0), refresh_token(1)), "{call}");
    }
}

#[test]
fn an_answer_that_cannot_be_noted_is_stored_all_the_same() {
    let home = Home::new();
    start_over(&home);
    let output = traced(&home, &["-e", "inject=fdatasync:error=EIO"]);
    assert!(output.code == Some(0) && output.stdout.contains("was renewed"), "{output}");
    assert_eq!(home.refresh_token(), refresh_token(1));
}

#[test]
fn the_answer_is_on_the_disk_before_the_login_is_replaced() {
    let home = Home::new();
    home.claude();
    let (steps, _) = steps(&home);
    let at = |what: &str| steps.iter().position(|step| step.line.contains(what)).unwrap_or_else(|| panic!("{what}"));
    let begun = at("{\\\"spent\\\"");
    let sent = steps.iter().rposition(|step| step.name == "sendto").unwrap();
    let synced = steps[begun..sent].iter().filter(|step| step.name == "fsync").count();
    assert_eq!(synced, 2, "the file and its directory, before the token is sent");
    let noted = at("receivedAt");
    assert_eq!(steps[noted + 1].name, "fdatasync");
    assert!(steps.iter().rposition(|step| step.name.starts_with("rename")).unwrap() > noted + 1);
}

#[test]
fn who_asks_it_to_end_waits_until_the_login_is_stored() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let home = Home::new();
        home.claude();
        home.server.reply(Reply::Slow(Duration::from_millis(500)));
        let mut renewal = home.start(&[], &["auth", "refresh"]);
        wait_for_requests(&home, 1);
        end(&renewal, signal);
        let status = renewal.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "it ends after all");
        assert_eq!((home.refresh_token(), home.remains()), (refresh_token(1), Vec::new()));
    }
}

#[test]
fn who_waits_for_another_renewal_can_be_ended_at_once() {
    let home = Home::new();
    home.claude();
    home.server.reply(Reply::Slow(Duration::from_secs(3)));
    let first = home.start(&[], &["auth", "refresh"]);
    wait_for_requests(&home, 1);
    let mut second = home.start(&[], &["auth", "refresh"]);
    std::thread::sleep(Duration::from_millis(500));
    let begun = std::time::Instant::now();
    end(&second, Signal::TERM);
    assert_eq!(second.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(finish(first).code, Some(0));
}

fn end(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}
