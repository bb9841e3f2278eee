//! Running a program that is handed a secret, or prints one.
//!
//! In: a command, its input and a time limit. Out: how it ended, what it printed, and the first line
//! of its complaint, fit to be shown. What can go wrong: it does not start, does not end in time, or
//! prints more than a credential can be. Whatever happens, its process group is gone afterwards; a
//! program that left the group, as daemons do, is not waited for.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use zeroize::Zeroizing;

use super::complaint;
use crate::secret::Secret;

/// The most that a program may print, in bytes.
pub(super) const LONGEST_OUTPUT: usize = 1 << 20;

/// How much of its standard error is read; the rest is thrown away.
const LONGEST_COMPLAINT: usize = 4096;

/// How long a killed program may take to go away. One that runs as somebody else, like `sudo`, cannot
/// be killed, and is not waited for.
const GRACE: Duration = Duration::from_secs(1);

/// Why a program has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not start.
    #[error("{program} cannot be started: {source}; check that it is installed and executable")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{program} did not end within {} s and was killed; run it by hand to see what it waits for", .limit.as_secs_f32())]
    TimedOut {
        /// The program.
        program: String,
        /// Its limit.
        limit: Duration,
    },
    /// It printed too much.
    #[error("{program} printed more than 1 MiB, which no credential is; it was killed")]
    TooMuch {
        /// The program.
        program: String,
    },
    /// Talking to it failed.
    #[error("{program} cannot be talked to: {source}")]
    Broken {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: Secret,
    stderr: Secret,
}

impl Ended {
    /// The exit code, or the signal, for a person.
    pub fn how(&self) -> String {
        use std::os::unix::process::ExitStatusExt;
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        }
    }

    /// `: ` and the first line of its standard error, fit to be shown, or nothing.
    pub fn complaint(&self) -> String {
        let line = complaint::shown(&self.stderr, &self.stdout);
        if line.is_empty() { line } else { format!(": {line}") }
    }
}

/// Runs `command` with `input` until it ends or `limit` is over.
///
/// # Errors
/// When it does not start or does not end in time, or prints too much. Its exit code is no error.
pub(crate) fn run(mut command: Command, input: &[u8], limit: Duration) -> Result<Ended, Error> {
    let deadline = Instant::now() + limit;
    let program = command.get_program().to_string_lossy().into_owned();
    let broken = |source| Error::Broken { program: program.clone(), source };
    let (their_input, our_input) = io::pipe().map_err(broken)?;
    // As long as this end is open, a program that does not read its input is no broken pipe, which
    // would end this process with a signal.
    let kept = their_input.try_clone().map_err(broken)?;
    let (stdout, their_stdout) = io::pipe().map_err(broken)?;
    let (stderr, their_stderr) = io::pipe().map_err(broken)?;
    command.stdin(their_input).stdout(Stdio::from(their_stdout)).stderr(Stdio::from(their_stderr)).process_group(0);
    let child = command.spawn().map_err(|source| Error::NotStarted { program: program.clone(), source })?;
    // It holds this process' copies of the ends that are the program's.
    drop(command);
    let group = Group::of(child).map_err(broken)?;
    let mut talk = Talk {
        input: Some((our_input, kept)),
        left: input,
        stdout: Collected::new(stdout, LONGEST_OUTPUT),
        stderr: Collected::new(stderr, LONGEST_COMPLAINT),
    };
    let talked = talk.prepare().and_then(|()| talk.until_exit(&group, deadline));
    // Before anything else is looked at: whatever went wrong, nothing of it goes on running.
    let status = group.end().map_err(broken)?;
    let ended = talked.map_err(broken)?;
    if ended {
        // The group is dead, so what is in the pipes now is all.
        talk.stdout.read().and_then(|()| talk.stderr.read()).map_err(broken)?;
    }
    match status {
        _ if talk.stdout.overflowed => Err(Error::TooMuch { program }),
        Some(status) if ended => Ok(Ended { status, stdout: talk.stdout.take(), stderr: talk.stderr.take() }),
        _ => Err(Error::TimedOut { program, limit }),
    }
}

/// A program and whatever it started, unless that left the group.
struct Group {
    leader: Child,
    pid: Pid,
    /// Readable when the leader has ended.
    pidfd: OwnedFd,
}

impl Group {
    fn of(mut leader: Child) -> io::Result<Self> {
        let pid = Pid::from_child(&leader);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { leader, pid, pidfd }),
            Err(error) => {
                let _ = leader.kill();
                let _ = leader.wait();
                Err(error.into())
            }
        }
    }

    /// Kills what is left of the group; how the leader ended, if it did. The leader has not been
    /// waited for until now, so the number is still the group's own.
    fn end(mut self) -> io::Result<Option<ExitStatus>> {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let mut gone = [PollFd::new(&self.pidfd, PollFlags::IN)];
        if wait_for(&mut gone, Instant::now() + GRACE)? { self.leader.wait().map(Some) } else { Ok(None) }
    }
}

/// The pipes of a program.
struct Talk<'a> {
    input: Option<(PipeWriter, PipeReader)>,
    left: &'a [u8],
    stdout: Collected,
    stderr: Collected,
}

impl Talk<'_> {
    fn prepare(&self) -> io::Result<()> {
        let ends = [self.input.as_ref().map(|(ours, _)| ours.as_fd()), self.stdout.fd(), self.stderr.fd()];
        ends.into_iter().flatten().try_for_each(|end| rustix::io::ioctl_fionbio(end, true).map_err(io::Error::from))
    }

    /// Feeds the program and reads from it until it ends; false when it did not in time, or said too
    /// much.
    fn until_exit(&mut self, group: &Group, deadline: Instant) -> io::Result<bool> {
        loop {
            let mut ready = vec![PollFd::new(&group.pidfd, PollFlags::IN)];
            ready.extend(
                [self.stdout.fd(), self.stderr.fd()]
                    .into_iter()
                    .flatten()
                    .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            );
            ready.extend(self.input.as_ref().map(|(ours, _)| PollFd::new(ours, PollFlags::OUT)));
            if !wait_for(&mut ready, deadline)? {
                return Ok(false);
            }
            let ended = !ready[0].revents().is_empty();
            drop(ready);
            if ended {
                return Ok(true);
            }
            self.stdout.read()?;
            self.stderr.read()?;
            if self.stdout.overflowed {
                return Ok(false);
            }
            self.feed()?;
        }
    }

    fn feed(&mut self) -> io::Result<()> {
        let Some((ours, _)) = &mut self.input else { return Ok(()) };
        if !self.left.is_empty() {
            match ours.write(self.left) {
                Ok(written) => self.left = &self.left[written..],
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.left.is_empty() {
            self.input = None;
        }
        Ok(())
    }
}

/// What came out of a pipe, up to a limit.
struct Collected {
    pipe: Option<PipeReader>,
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
    overflowed: bool,
}

impl Collected {
    fn new(pipe: PipeReader, most: usize) -> Self {
        Self { pipe: Some(pipe), bytes: Zeroizing::new(Vec::new()), most, overflowed: false }
    }

    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there. What is over the limit is thrown away.
    fn read(&mut self) -> io::Result<()> {
        let mut chunk = Zeroizing::new([0_u8; 8192]);
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut *chunk) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let room = self.most - self.bytes.len();
                    self.overflowed |= length > room;
                    append(&mut self.bytes, &chunk[..length.min(room)]);
                    if self.overflowed {
                        return Ok(());
                    }
                }
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(mut self) -> Secret {
        Secret::new(std::mem::take(&mut *self.bytes))
    }
}

/// Appends without leaving a copy behind when the buffer moves.
fn append(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let length = bytes.len() + more.len();
    if length > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity((length * 2).max(8192)));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits until one of them is ready; false when the deadline came first.
fn wait_for(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(fds, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
