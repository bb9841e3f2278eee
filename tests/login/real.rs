//! The real client, without a network: it comes as far as its sign-in address. `tests/lab/clients` has
//! installed it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::driver::{self, Role};
use crate::outer::Outer;

/// The client's program; nothing without root, for only root may take the network away.
fn client(test: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: {test} needs root to take the network away");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/clients");
    let found = Command::new(script).arg("claude-code").output().expect("tests/lab/clients starts");
    if found.status.code() == Some(75) {
        println!("skipped: {test}: {}", String::from_utf8_lossy(&found.stderr).trim());
        return None;
    }
    let dir = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let client = dir.join("node_modules/.bin/claude");
    assert!(client.exists(), "{} is missing; run `make setup`", client.display());
    Some(client.to_str().expect("UTF-8").to_owned())
}

fn start(client: &str, columns: u16, env: &[(&str, &str)]) -> Outer {
    let mut outer = Outer::new(Role::Capture, (24, columns), env, &["unshare", "-n", "--", client, "setup-token"]);
    outer.wait_for("prompted\x1b[30G>");
    outer
}

/// The sign-in address that `text` holds in one piece.
#[track_caller]
fn address(text: &str) -> &str {
    let start = text.find("https://claude.com/cai/oauth/authorize?code=true&").expect("the address");
    let length = text[start..].find(|c: char| c.is_control()).expect("its end");
    &text[start..start + length]
}

#[track_caller]
fn assert_complete(address: &str) {
    for part in [
        "client_id=9d1c250a-e61b-44d9-88ed-5944d1962f5e",
        "&response_type=code",
        "&redirect_uri=https%3A%2F%2Fplatform.claude.com%2Foauth%2Fcode%2Fcallback",
        "&scope=user%3Ainference",
        "&code_challenge=",
        "&code_challenge_method=S256",
    ] {
        assert!(address.contains(part), "{part}: {address}");
    }
    let (_, state) = address.split_once("&state=").expect("a state");
    assert_eq!(state.len(), 43, "{address}");
}

#[test]
fn the_address_comes_in_one_piece_and_ctrl_c_ends_it() {
    let Some(client) = client("the real client") else { return };
    // Whatever the user's terminal has, the client's is wide enough.
    let mut outer = start(&client, 80, &[]);
    assert_complete(address(&outer.text()));
    outer.types(b"\x03\x03\x03");
    let said = outer.result();
    // It exits with 0 then, so only what it printed can tell.
    assert!(said.starts_with("the program printed no token; nothing was stored"), "{said}");
}

#[test]
fn in_a_narrow_terminal_the_link_has_the_whole_address() {
    let Some(client) = client("the real client") else { return };
    let mut outer = start(&client, 80, &[("FORCE_HYPERLINK", "1")]);
    let text = outer.text();
    let (_, link) = text.split_once("\x1b]8;").expect("a link");
    assert_complete(address(link));
    outer.signal(Signal::TERM);
    let said = outer.result();
    assert!(said.contains("was interrupted by signal 15; nothing was stored"), "{said}");
}

#[test]
fn it_shows_the_address_where_nobody_is() {
    let Some(client) = client("the real client") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let result = dir.path().join("result");
    let mut child = driver::command(Role::Capture, &["unshare", "-n", "--", &client, "setup-token"], &result)
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = child.stdout.take().expect("a pipe");
    let mut seen = Vec::new();
    while memchr::memmem::find(&seen, b"prompted").is_none() {
        let mut bytes = [0_u8; 4096];
        let read = output.read(&mut bytes).expect("it prints");
        assert!(read > 0, "it ends: {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..read]);
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it lives");
    // What it still prints has to go somewhere.
    output.read_to_end(&mut seen).expect("it ends");
    child.wait().expect("its end");
    let text = String::from_utf8(seen).expect("UTF-8");
    assert_complete(address(&text));
    let said = std::fs::read_to_string(result).expect("a result");
    assert!(said.contains("was interrupted by signal 15"), "{said}");
}

#[test]
fn a_code_that_is_pasted_reaches_it() {
    let Some(client) = client("the real client") else { return };
    let mut outer = start(&client, 80, &[]);
    outer.types(b"\x1b[200~FAKE-code\x1b[201~");
    // It masks all but the last six characters.
    outer.wait_for("***E-code");
    outer.types(b"\r");
    // Without `#state` it says so at once, without asking a server.
    outer.wait_for("Invalid code");
    outer.types(b"\x03\x03\x03");
    outer.result();
}
