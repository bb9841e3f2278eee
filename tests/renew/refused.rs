//! What a server, or somebody in between, can do to a renewal. The stored login stays as it was, and the
//! message says what to do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::home::{Home, Output, finish};
use crate::server::{Reply, Server};

/// Renews a Claude login that the server treats as `reply` says.
fn refused(reply: Reply, arguments: &[&str]) -> (Home, Output) {
    let home = Home::new();
    home.claude();
    home.server.reply(reply);
    let output = failed(&home, arguments);
    (home, output)
}

#[track_caller]
fn failed(home: &Home, arguments: &[&str]) -> Output {
    let before = home.entry("claude-oauth");
    let output = home.refresh(arguments);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.starts_with("keyslip: claude was not renewed: "), "{output}");
    assert_eq!(home.entry("claude-oauth"), before, "the login was changed");
    output
}

#[test]
fn a_login_that_is_gone() {
    let home = Home::new();
    home.claude();
    home.server.state().valid = "another".to_owned();
    let output = failed(&home, &[]);
    assert!(output.stderr.contains("refuses the refresh token (invalid_grant); log in again"), "{output}");
    assert_eq!(home.remains(), [""; 0]);
    let report: serde_json::Value = serde_json::from_str(&home.refresh(&["--json"]).stdout).unwrap();
    assert_eq!((&report["logins"][0]["outcome"], &report["logins"][0]["logInAgain"]), (&"failed".into(), &true.into()));
}

#[test]
fn one_that_fails_does_not_keep_the_others_from_being_renewed() {
    let home = Home::new();
    home.claude();
    home.store("claude-oauth@a", r#"{"claudeAiOauth":{"accessToken":"FAKE","refreshToken":"FAKE-x"}}"#, 60, true);
    let output = home.refresh(&[]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(
        output.stderr.contains("claude@a was not renewed") && output.stdout.contains("claude was renewed"),
        "{output}"
    );
}

#[test]
fn a_server_that_fails() {
    let (home, output) = refused(Reply::Say(500, "", "FAKE-trace".to_owned()), &[]);
    assert!(output.stderr.contains("answered with status 500 and no token; try again later"), "{output}");
    home.server.reply(Reply::Grant);
    assert_eq!(home.refresh(&["--due"]).code, Some(0));
}

#[test]
fn an_answer_of_no_use() {
    for body in ["<html>FAKE</html>", "", "[\"FAKE\"]", r#"{"access_token":"FAKE"#] {
        let (home, output) = refused(Reply::Say(200, "", body.to_owned()), &[]);
        assert!(output.stderr.contains("is no JSON object"), "{body}: {output}");
        assert!(output.stderr.contains("may have been used up"), "{output}");
        home.server.reply(Reply::Grant);
        assert_eq!(home.refresh(&["--due"]).code, Some(0));
    }
    let (home, output) = refused(Reply::Say(200, "", r#"{"refresh_token":"FAKE"}"#.to_owned()), &[]);
    assert!(output.stderr.contains("has no access token"), "{output}");
    assert_eq!(home.remains(), [""; 0], "what is of no use is not kept");
}

#[test]
fn an_answer_without_end() {
    let huge = format!(r#"{{"access_token":"{}"}}"#, "FAKE".repeat(20_000));
    let (_home, output) = refused(Reply::Say(200, "", huge), &[]);
    assert!(output.stderr.contains("is longer than 64 KiB"), "{output}");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Home::new();
    let home = Home::new();
    home.claude();
    for status in [301, 302, 307, 308] {
        let location = format!("Location: https://127.0.0.1:{}/\r\n", elsewhere.server.port);
        home.server.reply(Reply::Say(status, location.leak(), String::new()));
        let output = failed(&home, &[]);
        assert!(output.stderr.contains(&format!("redirects (status {status})")), "{output}");
    }
    assert_eq!(elsewhere.server.state().requests.len() + home.server.state().requests.len(), 4);
}

#[test]
fn a_server_of_an_unknown_authority_gets_no_token() {
    let home = Home::new();
    home.claude();
    let other = tempfile::tempdir().unwrap();
    let other = Server::start(other.path());
    home.endpoint("claude", &format!("https://127.0.0.1:{}/", other.port));
    let output = failed(&home, &[]);
    assert!(output.stderr.contains("certificate") && output.stderr.contains("nothing was sent"), "{output}");
    // The right authority, but another name than the one that the certificate is for.
    home.endpoint("claude", &format!("https://localhost:{}/", home.server.port));
    let output = failed(&home, &[]);
    assert!(output.stderr.contains("certificate") && output.stderr.contains("nothing was sent"), "{output}");
    assert!(other.state().requests.is_empty() && home.server.state().requests.is_empty());
    assert_eq!(home.remains(), [""; 0]);
}

#[test]
fn nothing_is_sent_in_clear() {
    let home = Home::new();
    home.claude();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for endpoint in [format!("http://127.0.0.1:{port}/"), format!("127.0.0.1:{port}"), "https://".to_owned()] {
        home.endpoint("claude", &endpoint);
        let output = failed(&home, &[]);
        assert!(output.stderr.contains("is no https address, so no token is sent there"), "{output}");
    }
    assert!(listener.accept().is_err(), "there was a connection");
}

#[test]
fn a_server_that_does_not_answer() {
    let home = Home::new();
    home.claude();
    home.server.reply(Reply::Slow(Duration::from_secs(20)));
    let begun = Instant::now();
    let output = failed(&home, &["--timeout", "1"]);
    assert!(
        output.stderr.contains("did not answer within 1 seconds; the token was sent and may have been used up"),
        "{output}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    // This server had answered, and the answer is lost.
    home.server.reply(Reply::Grant);
    let output = failed(&home, &[]);
    assert!(output.stderr.contains("by an attempt that was cut off"), "{output}");
    assert!(output.stderr.contains("log in again"), "{output}");
}

#[test]
fn a_server_that_does_not_even_speak() {
    let home = Home::new();
    home.claude();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    home.endpoint("claude", &format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port()));
    let output = failed(&home, &["--timeout", "1"]);
    assert!(output.stderr.contains("within 1 seconds; nothing was sent; try again later"), "{output}");
    drop(listener);
    let output = failed(&home, &[]);
    assert!(
        output.stderr.contains("cannot be reached: Connection refused") && output.stderr.contains("nothing was sent"),
        "{output}"
    );
    assert_eq!(home.remains(), [""; 0]);
}

#[test]
fn a_connection_that_ends_without_an_answer() {
    let (home, output) = refused(Reply::Lost, &[]);
    assert!(output.stderr.contains("the token was sent and may have been used up"), "{output}");
    home.server.reply(Reply::Grant);
    let output = failed(&home, &[]);
    assert!(output.stderr.contains("(invalid_grant), which was sent before, at 2"), "{output}");
    assert_eq!(home.server.state().refused, 1);
}

#[test]
fn a_proxy_of_the_environment_is_asked_to_connect_and_sees_no_token() {
    let home = Home::new();
    home.claude();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let asked = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        // It may come in pieces.
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            assert_eq!(connection.read(&mut byte).unwrap(), 1);
            head.extend(byte);
        }
        connection.write_all(b"HTTP/1.1 403 FAKE\r\nContent-Length: 0\r\n\r\n").unwrap();
        let rest = connection.read(&mut [0; 1]).unwrap_or(0);
        (String::from_utf8_lossy(&head).into_owned(), rest)
    });
    let output = finish(home.command(&[], &["auth", "refresh"]).env("HTTPS_PROXY", &proxy).spawn().unwrap());
    assert!(output.stderr.contains("proxy") && output.stderr.contains("nothing was sent"), "{output}");
    let (head, rest) = asked.join().unwrap();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} ", home.server.port)), "{head}");
    assert!(!head.contains("FAKE") && rest == 0, "{head}");
    let direct =
        home.command(&[], &["auth", "refresh"]).env("HTTPS_PROXY", &proxy).env("NO_PROXY", "127.0.0.1").spawn();
    assert_eq!(finish(direct.unwrap()).code, Some(0));
}
