//! A program and the terminal that it is in.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};

use pty_process::blocking::{Command, Pty, open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::termios::{OptionalActions, tcsetattr};

use super::raw;
use super::session::PATIENCE;
use super::terminal::{Error, Program, Size};

/// The program and its terminal. Dropping it hangs up, and kills what does not end then.
pub(super) struct Running {
    pub(super) pty: Option<Pty>,
    pub(super) child: Child,
    /// Readable when the child has ended.
    pub(super) end: OwnedFd,
    pub(super) status: Option<ExitStatus>,
}

impl Running {
    /// Starts it in a terminal of this size.
    pub(super) fn start(program: &Program<'_>, size: Size) -> Result<Self, Error> {
        let name = || program.name().to_owned();
        let failed = |source: io::Error| Error::Terminal { name: name(), source };
        let (pty, pts) = open().map_err(|error| failed(plain(error)))?;
        if let Some(modes) = raw::modes() {
            tcsetattr(&pty, OptionalActions::Now, &modes).map_err(|error| failed(error.into()))?;
        }
        resize(&pty, size).map_err(failed)?;
        fcntl_setfl(&pty, OFlags::RDWR | OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
        let command = Command::new(program.name())
            .args(program.argv.iter().skip(1))
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            // The user's terminal is not the program's.
            .env_remove("COLUMNS")
            .env_remove("LINES");
        let child = command.spawn(pts).map_err(|error| match plain(error) {
            error if error.kind() == io::ErrorKind::NotFound => Error::NotFound(name()),
            source => Error::Start { name: name(), source },
        })?;
        let pid = Pid::from_child(&child);
        // If this fails, the end of the terminal ends the program.
        let end = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self { pty: Some(pty), child, end, status: None })
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pty = None;
        if self.status.is_some() {
            return;
        }
        let patience = Timespec::try_from(PATIENCE).expect("a second");
        let ended = poll(&mut [PollFd::new(&self.end, PollFlags::IN)], Some(&patience));
        if !matches!(ended, Ok(1)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Gives a terminal its size.
pub(super) fn resize(pty: &Pty, size: Size) -> io::Result<()> {
    pty.resize(pty_process::Size::new(size.rows, size.columns)).map_err(plain)
}

fn plain(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
    }
}
