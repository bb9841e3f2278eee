//! Is the container still there?

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Ledger, Record};
use crate::clock::Instant;

/// How long a container may take from what was prepared for it to its start, in seconds: from podman's
/// precreate hook, and from `keyslip inject`.
fn unclaimed(record: &Record) -> i64 {
    if record.runtime.as_os_str().is_empty() { 120 } else { 3600 }
}

/// A process, told from a later one with the same number by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// What is known of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is there.
    Alive,
    /// It is gone.
    Dead,
    /// Only its runtime could tell.
    Unknown,
}

impl Process {
    /// The process with this number, if there is one that has not ended.
    #[must_use]
    pub fn find(pid: i32) -> Option<Self> {
        Self::look(pid).ok().flatten()
    }

    /// The same, and why nobody can tell.
    fn look(pid: i32) -> io::Result<Option<Self>> {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => Ok(Self::parse(pid, &stat)),
            // Of a process that ends while it is looked at.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(pid: i32, stat: &str) -> Option<Self> {
        // The second field is the command in brackets and may hold anything.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?;
        let start = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, start })
    }

    /// Whether this very process is still there, as far as anybody can tell.
    #[must_use]
    pub fn is_alive(self) -> bool {
        self.state() != Liveness::Dead
    }

    /// Whether this very process is still there.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn check(self) -> io::Result<bool> {
        Ok(Self::look(self.pid)? == Some(self))
    }

    fn state(self) -> Liveness {
        match self.check() {
            Ok(true) => Liveness::Alive,
            Ok(false) => Liveness::Dead,
            Err(_) => Liveness::Unknown,
        }
    }
}

/// Whether the container of `record` is there: somebody is making or running it, or its first process is
/// there, or else its runtime says so.
#[must_use]
pub fn liveness(ledger: &Ledger, record: &Record) -> Liveness {
    if ledger.is_held(&ledger.sandbox(&record.id)) {
        return Liveness::Alive;
    }
    match quick(record) {
        Liveness::Unknown => ask_runtime(record),
        known => known,
    }
}

/// The container's first process, as its runtime has it.
#[must_use]
pub fn ask_process(record: &Record) -> Option<Process> {
    #[derive(Deserialize)]
    struct State {
        pid: i32,
    }
    let output = state(record)?.output().ok()?;
    Process::find(serde_json::from_slice::<State>(&output.stdout).ok()?.pid)
}

/// The same without starting a program.
#[must_use]
pub(super) fn quick(record: &Record) -> Liveness {
    match record.process {
        Some(process) => process.state(),
        // A hook that ran before the runtime, for a container that never came. A time ahead was written by a clock that
        // was wrong.
        None if record.is_of_a_hook() && Instant::now().since(record.created).saturating_abs() > unclaimed(record) => {
            Liveness::Dead
        }
        None => Liveness::Unknown,
    }
}

/// Asks `RUNTIME [--root DIR] state ID`. A container that was created, or is running or paused, is
/// alive; a stopped or unknown one is dead.
fn ask_runtime(record: &Record) -> Liveness {
    #[derive(Deserialize)]
    struct State {
        status: String,
    }
    let Some(mut command) = state(record) else { return Liveness::Unknown };
    match command.output() {
        Ok(output) if output.status.success() => match serde_json::from_slice::<State>(&output.stdout) {
            Ok(state) if state.status == "stopped" => Liveness::Dead,
            _ => Liveness::Alive,
        },
        // Any other failure says nothing about the container.
        Ok(output) if says_not_there(&output.stderr) => Liveness::Dead,
        _ => Liveness::Unknown,
    }
}

/// The words of runc and youki, and of crun, for a container that they do not have.
fn says_not_there(stderr: &[u8]) -> bool {
    let said = String::from_utf8_lossy(stderr);
    said.contains("does not exist") || said.contains("No such file or directory")
}

/// The command `RUNTIME [--root DIR] state ID`. Containers of hooks have no runtime that could be asked;
/// nothing is looked up in `PATH`.
fn state(record: &Record) -> Option<Command> {
    if record.is_of_a_hook() {
        return None;
    }
    let mut command = Command::new(&record.runtime);
    if let Some(root) = &record.root {
        command.arg("--root").arg(root);
    }
    command.arg("state").arg(&record.container).stdin(Stdio::null());
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let us = Process::find(std::process::id().cast_signed()).unwrap();
        assert!(us.is_alive());
        assert!(!Process { start: us.start + 1, ..us }.is_alive());
        assert_eq!(Process::find(0), None);
    }
}
