//! The user's terminal, with the other process in it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pts, Pty, open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Termios, tcgetattr};
use tempfile::TempDir;

use crate::driver::{self, Role};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A terminal, the process in it, and what it has shown.
pub struct Outer {
    pty: Pty,
    /// Held open, so that the modes can be asked for after the end.
    _pts: Pts,
    child: Child,
    pub seen: Vec<u8>,
    pub dir: TempDir,
    before: Termios,
}

impl Outer {
    pub fn new(role: Role, size: (u16, u16), env: &[(&str, &str)], argv: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (pty, pts) = open().expect("a terminal");
        pty.resize(pty_process::Size::new(size.0, size.1)).expect("its size");
        // While the last process goes, the terminal says for a moment that there is something to read.
        fcntl_setfl(&pty, OFlags::RDWR | OFlags::NONBLOCK).expect("its flags");
        let before = tcgetattr(&pty).expect("its modes");
        let mut plain = driver::command(role, argv, &dir.path().join("result"));
        plain.env("HOME", dir.path()).envs(env.iter().map(|(name, value)| (OsString::from(name), value)));
        let child = Command::from(plain).spawn_borrowed(&pts).expect("it starts");
        Self { pty, _pts: pts, child, seen: Vec::new(), dir, before }
    }

    /// A shell script in a terminal of 24 x 80.
    pub fn script(role: Role, script: &str) -> Self {
        Self::new(role, (24, 80), &[], &["sh", "-c", script])
    }

    /// Takes what is shown, waiting a short while for it; whether there was something.
    fn look(&mut self) -> bool {
        let time = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let ready = poll(&mut [PollFd::new(&self.pty, PollFlags::IN)], Some(&time));
        let mut bytes = [0_u8; 4096];
        let (Ok(1), Ok(read)) = (ready, rustix::io::read(&self.pty, &mut bytes)) else { return false };
        self.seen.extend_from_slice(&bytes[..read]);
        true
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while memchr::memmem::find(&self.seen, text.as_bytes()).is_none() {
            assert!(start.elapsed() < LIMIT, "{text:?} was not shown, but {:?}", self.text());
            self.look();
        }
    }

    pub fn types(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&self.pty, rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => assert_eq!(error, Errno::AGAIN, "it is typed"),
            }
        }
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        self.pty.resize(pty_process::Size::new(rows, columns)).expect("its size");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// Waits for its end. The terminal is as it was.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        let status = loop {
            self.look();
            if let Some(status) = self.child.try_wait().expect("its end") {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "it does not end: {:?}", self.text());
        };
        while self.look() {}
        let after = tcgetattr(&self.pty).expect("its modes");
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before), "the terminal's modes");
        status
    }

    /// What came of it; it ended by itself.
    #[track_caller]
    pub fn result(&mut self) -> String {
        let status = self.ended();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{:?}", self.text());
        fs::read_to_string(self.dir.path().join("result")).expect("a result")
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the process `pid` is no more.
#[track_caller]
pub fn gone(pid: &str) {
    let start = Instant::now();
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    while !state().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "process {pid} still lives: {}", state());
        sleep(Duration::from_millis(20));
    }
}
