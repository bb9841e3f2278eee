//! The other process: this program again, with the library's code at a standard input and output of its
//! own. It runs a login program as the command line does, and writes what came of it to a file.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, exit};

use keyslip::login::terminal::{Program, Shown, run};
use keyslip::login::{Error, capture};

const ARGV: &str = "KEYSLIP_TEST_ARGV";
const ROLE: &str = "KEYSLIP_TEST_ROLE";
const RESULT: &str = "KEYSLIP_TEST_RESULT";

/// What the other process does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the program.
    Run,
    /// Runs it and takes a token.
    Capture,
    /// Runs it and panics when it prints something, as a release build does: without unwinding.
    Panic,
}

impl Role {
    const ALL: [(Self, &str); 3] = [(Self::Run, "run"), (Self::Capture, "capture"), (Self::Panic, "panic")];
}

/// A command that runs `argv` in this role; `result` is the file for what comes of it.
pub fn command(role: Role, argv: &[&str], result: &Path) -> Command {
    let role = Role::ALL.iter().find(|(known, _)| *known == role).expect("it is listed").1;
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", "streams::without_a_terminal_it_works_as_well", "--nocapture", "--test-threads=1"])
        .env_clear()
        .envs([("PATH", env::var_os("PATH").unwrap_or_default()), ("TERM", OsString::from("xterm-256color"))])
        .envs([(ROLE, role), (ARGV, &argv.join("\x1f"))])
        .env(RESULT, result);
    command
}

/// Whether this is the other process. Then it does what it is for, and does not return.
pub fn act() {
    let Ok(role) = env::var(ROLE) else { return };
    let role = Role::ALL.iter().find(|(_, name)| *name == role).expect("a role").0;
    let argv: Vec<String> = env::var(ARGV).expect("a program").split('\x1f').map(str::to_owned).collect();
    let program = Program { argv: &argv, env: &[] };
    let said = match role {
        Role::Run => run(&program, |_| {}).map_or_else(|error| error.to_string(), |status| status.to_string()),
        Role::Capture => match capture(&program, "sk-ant-oat01-", (80, 200)) {
            Ok(token) => token.expose_text().expect("ASCII").to_owned(),
            Err(error @ (Error::Terminal(_) | Error::Failed { .. } | Error::Printed(_))) => error.to_string(),
        },
        Role::Panic => {
            std::panic::set_hook(Box::new(|_| std::process::abort()));
            run(&program, |shown| assert!(!matches!(shown, Shown::Text(_)), "text")).expect("it panics").to_string()
        }
    };
    fs::write(env::var_os(RESULT).expect("a file"), said).expect("the result");
    exit(0);
}
