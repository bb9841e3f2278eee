//! A whole login at a terminal, with the script that stands in for the client.

use crate::driver::Role;
use crate::outer::Outer;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/login/claude");

fn token() -> String {
    let script = std::fs::read_to_string(CLIENT).expect("the script");
    let line = script.lines().find_map(|line| line.strip_prefix("token=")).expect("its token");
    assert_eq!(line.len(), 108);
    line.to_owned()
}

fn login(size: (u16, u16), env: &[(&str, &str)]) -> Outer {
    let mut outer = Outer::new(Role::Capture, size, env, &[CLIENT, "setup-token"]);
    outer.wait_for("prompted\x1b[30G>");
    outer
}

#[test]
fn the_code_is_pasted_and_the_token_taken() {
    for (size, env) in [
        ((24, 80), &[][..]),
        ((24, 80), &[("FAKE_COLUMNS", "80")]),
        ((24, 80), &[("FAKE_COLUMNS", "79")]),
        ((50, 500), &[]),
        ((5, 100), &[("FAKE_COLUMNS", "80")]),
    ] {
        let mut outer = login(size, env);
        outer.types(b"\x1b[200~FAKE-code#FAKE-state\x1b[201~");
        outer.types(b"\r");
        assert!(outer.result() == token(), "{size:?} {env:?}");
        let row = token();
        let whole = outer.text().contains(&row);
        assert_eq!(whole, env.is_empty(), "{size:?} {env:?}: the token is in one line where the terminal is asked");
        assert!(outer.text().contains(&"*".repeat(20)), "what was pasted is masked");
    }
}

#[test]
fn a_resize_in_the_middle_of_the_token() {
    for (from, to) in [((24, 80), (10, 120)), ((24, 80), (40, 500)), ((24, 500), (24, 80))] {
        let mut outer = login(from, &[("FAKE_STOP", "1")]);
        outer.types(b"FAKE-code#FAKE-state\r");
        outer.wait_for(&token()[..60]);
        std::thread::sleep(std::time::Duration::from_millis(100));
        outer.resize(to.0, to.1);
        assert!(outer.result() == token(), "{from:?} {to:?}");
    }
}

#[test]
fn a_wrong_code_stores_nothing() {
    let mut outer = login((24, 80), &[]);
    outer.types(b"FAKE-code\r");
    let said = outer.result();
    assert!(said.contains("ended with exit status: 1; nothing was stored"), "{said}");
}

#[test]
fn ctrl_c_stores_nothing() {
    let mut outer = login((24, 80), &[]);
    outer.types(b"\x03");
    let said = outer.result();
    assert!(said.contains("ended with exit status: 130; nothing was stored"), "{said}");
}
