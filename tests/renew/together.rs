//! Several at once: a refresh token is spent once, and a newer login wins.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use crate::home::{Home, finish};
use crate::server::Reply;

/// Starts so many at once; what each said.
fn at_once(home: &Home, count: usize, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["auth", "refresh"], arguments].concat();
    let children: Vec<_> = (0..count).map(|_| home.start(&[], &arguments)).collect();
    let outputs = children.into_iter().map(finish);
    outputs.inspect(|output| assert_eq!(output.code, Some(0), "{output}")).map(|output| output.stdout).collect()
}

#[test]
fn a_token_is_spent_once_by_many() {
    for count in [2, 20] {
        let home = Home::new();
        home.claude();
        home.server.reply(Reply::Slow(Duration::from_millis(300)));
        let said = at_once(&home, count, &["--due"]);
        let renewed = said.iter().filter(|said| said.starts_with("claude was renewed; ")).count();
        assert_eq!(renewed, 1, "{said:?}");
        let others = ["claude was renewed by somebody else meanwhile; ", "claude is not due; "];
        let idle = said.iter().filter(|said| others.iter().any(|other| said.starts_with(other))).count();
        assert_eq!(idle, count - 1, "{said:?}");
        let state = home.server.state();
        assert_eq!((state.requests.len(), state.given, state.refused), (1, 1, 0));
        assert_eq!(home.refresh_token(), state.valid);
    }
}

#[test]
fn a_token_is_spent_once_by_many_who_insist() {
    let home = Home::new();
    home.claude();
    home.server.reply(Reply::Slow(Duration::from_millis(300)));
    at_once(&home, 8, &[]);
    let state = home.server.state();
    assert_eq!(state.refused, 0, "a spent token was sent");
    assert_eq!(home.refresh_token(), state.valid);
}

#[test]
fn logins_do_not_wait_for_each_other() {
    let home = Home::new();
    home.claude();
    home.store("claude-oauth@work", &home.entry("claude-oauth").1.replace("refresh-0", "refresh-x"), 60, true);
    home.server.reply(Reply::Slow(Duration::from_secs(3)));
    let slow = home.start(&[], &["auth", "refresh", "claude", "--account", "default"]);
    wait_for_requests(&home, 1);
    let begun = std::time::Instant::now();
    home.server.reply(Reply::Grant);
    home.refresh(&["claude", "--account", "work"]);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(finish(slow).code, Some(0));
}

#[test]
fn a_new_login_wins_over_a_renewal() {
    let home = Home::new();
    home.claude();
    home.server.reply(Reply::Slow(Duration::from_secs(1)));
    let renewal = home.start(&[], &["auth", "refresh"]);
    wait_for_requests(&home, 1);
    let mut login = home.command(&[], &["auth", "login", "claude"]).stdin(Stdio::piped()).spawn().unwrap();
    login.stdin.take().unwrap().write_all(b"sk-ant-oat01-FAKE-new").unwrap();
    assert_eq!(finish(login).code, Some(0));
    let output = finish(renewal);
    assert!(output.stdout.contains("replaced by a new login meanwhile, which is kept"), "{output}");
    assert_eq!(home.entry("claude-oauth").1, "sk-ant-oat01-FAKE-new");
    assert_eq!(home.remains(), [""; 0]);
}

#[test]
fn a_login_that_is_removed_stays_removed() {
    let home = Home::new();
    home.claude();
    home.server.reply(Reply::Slow(Duration::from_secs(1)));
    let renewal = home.start(&[], &["auth", "refresh", "claude"]);
    wait_for_requests(&home, 1);
    assert_eq!(home.run(&["auth", "logout", "claude"]).code, Some(0));
    let output = finish(renewal);
    assert!(output.stdout.contains("claude was removed meanwhile"), "{output}");
    assert!(!home.path(".local/state/keyslip/tokens/claude-oauth.json").exists());
    assert_eq!(home.remains(), [""; 0]);
}

/// Waits until the server has been asked so often.
pub fn wait_for_requests(home: &Home, count: usize) {
    for _ in 0..500 {
        if home.server.state().requests.len() >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the server was not asked");
}
