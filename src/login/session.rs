//! The loop between the user and a program: one thread, one `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::termios::isatty;
use zeroize::Zeroizing;

use super::raw::Raw;
use super::running::{Running, resize};
use super::terminal::{Error, Program, Shown, Size, size};
use crate::sys::Signals;

/// A program that has printed nothing for so long has finished a picture.
const REST: Duration = Duration::from_millis(50);
/// After the program's end its terminal is read until it has been quiet for so long,
const QUIET: Duration = Duration::from_millis(100);
/// or for so long altogether: a process that it left may print for ever.
const DRAIN: Duration = Duration::from_secs(2);
/// Time to end in, for a program that was asked to.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// A terminal that nobody has open is tried again after this time.
const AGAIN: Duration = Duration::from_millis(50);
/// Bytes that wait for the program before no more are read for it.
const WAITING: usize = 1 << 16;
/// A terminal that says it is ready takes so many bytes without making us wait.
const PIECE: usize = 512;
/// Ctrl-C, as terminals send it: plainly, in kitty's protocol, with xterm's modifyOtherKeys.
const CTRL_C: [&[u8]; 3] = [b"\x03", b"\x1b[99;5u", b"\x1b[27;5;99~"];
const CTRL_D: u8 = 4;
/// So many Ctrl-C in a row are meant, and the program gets the signal as well. `claude setup-token`
/// 2.1.197 takes no notice of the key, and would have to be killed from elsewhere.
const MEANT: u32 = 3;
/// Shows the cursor, ends bracketed paste and colours, for a program that could not do so.
const TIDY: &[u8] = b"\x1b[?25h\x1b[?2004l\x1b[0m";

/// What `poll` can wake for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Signal,
    End,
    Pty,
    Input,
    Output,
}

/// A program between its start and its end. The order of the first fields is the one in which they go.
pub(super) struct Session<S> {
    running: Running,
    raw: Option<Raw>,
    signals: Signals,
    sink: S,
    name: String,
    size: Size,
    /// For the program.
    typed: Zeroizing<Vec<u8>>,
    /// For the user.
    shown: Zeroizing<Vec<u8>>,
    input_over: bool,
    /// Ctrl-C in a row, and when the last one came.
    insisted: (u32, Instant),
    /// Since when nobody has had the terminal open.
    hung_up: Option<Instant>,
    /// When the last text came, or was shown at last: nothing is taken before that.
    text_at: Instant,
    rested: bool,
    ended_at: Option<Instant>,
    interrupted: Option<(i32, Instant)>,
}

impl<S: FnMut(Shown<'_>)> Session<S> {
    /// Starts `program`.
    pub(super) fn start(program: &Program<'_>, mut sink: S) -> Result<Self, Error> {
        let name = program.name().to_owned();
        let failed = |source: io::Error| Error::Terminal { name: name.clone(), source };
        let signals = Signals::catch().map_err(failed)?;
        let size = size();
        sink(Shown::Size(size));
        let running = Running::start(program, size)?;
        let raw = Raw::enter().map_err(failed)?;
        let now = Instant::now();
        Ok(Self {
            running,
            raw,
            signals,
            sink,
            name,
            size,
            typed: Zeroizing::default(),
            shown: Zeroizing::default(),
            input_over: false,
            insisted: (0, now),
            hung_up: None,
            text_at: now,
            rested: true,
            ended_at: None,
            interrupted: None,
        })
    }

    /// Lasts until the program has ended.
    pub(super) fn last(mut self) -> Result<ExitStatus, Error> {
        let ended = self.converse();
        let tidy = !matches!(ended, Ok(Some(_)) | Err(Error::Output { .. }));
        if tidy && isatty(io::stdout()) {
            let _ = rustix::io::write(io::stdout(), TIDY);
        }
        match (self.interrupted, ended) {
            (Some((signal, _)), _) => Err(Error::Interrupted { name: self.name, signal }),
            (None, Ok(status)) => Ok(status.expect("without an interruption it lasts to the end")),
            (None, Err(error)) => Err(error),
        }
    }

    /// Hands everything on, both ways. Nothing when the program was interrupted and does not end.
    fn converse(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.resize()?;
        loop {
            if self.interrupted.is_some_and(|(_, since)| since.elapsed() >= PATIENCE) {
                return Ok(None);
            }
            if let (Some(status), true) = (self.running.status, self.drained()) {
                return Ok(Some(status));
            }
            let ready = self.wait().map_err(|source| self.failed(source))?;
            if !self.rested && self.shown.is_empty() && self.text_at.elapsed() >= REST {
                self.rested = true;
                (self.sink)(Shown::Rest);
            }
            if ready.contains(&Source::Signal) {
                self.obey()?;
            }
            if ready.contains(&Source::Output) {
                self.show()?;
            }
            if ready.contains(&Source::Pty) {
                self.exchange().map_err(|source| self.failed(source))?;
            }
            if ready.contains(&Source::Input) {
                self.listen();
            }
            if ready.contains(&Source::End) && self.ended_at.is_none() {
                self.running.status = Some(self.running.child.wait().map_err(|source| self.failed(source))?);
                self.ended_at = Some(Instant::now());
            }
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Terminal { name: self.name.clone(), source }
    }

    /// Whether nothing more is expected after the program's end.
    fn drained(&self) -> bool {
        let Some(ended) = self.ended_at else { return false };
        let quiet = self.text_at.max(ended).elapsed() >= QUIET || ended.elapsed() >= DRAIN;
        self.shown.is_empty() && (quiet || self.hung_up.is_some())
    }

    /// Waits for something to do.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let (input, output) = (io::stdin(), io::stdout());
        let mut wanted: Vec<(Source, BorrowedFd<'_>, PollFlags)> =
            vec![(Source::Signal, self.signals.ready(), PollFlags::IN)];
        if self.ended_at.is_none() {
            wanted.push((Source::End, self.running.end.as_fd(), PollFlags::IN));
            if !self.input_over && self.typed.len() < WAITING {
                wanted.push((Source::Input, input.as_fd(), PollFlags::IN));
            }
        }
        if !self.shown.is_empty() {
            wanted.push((Source::Output, output.as_fd(), PollFlags::OUT));
        }
        let mut pty = PollFlags::empty();
        pty.set(PollFlags::IN, self.shown.is_empty());
        pty.set(PollFlags::OUT, !self.typed.is_empty());
        if let (Some(fd), false, true) = (&self.running.pty, pty.is_empty(), self.open()) {
            wanted.push((Source::Pty, fd.as_fd(), pty));
        }
        let mut fds: Vec<PollFd<'_>> =
            wanted.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let timeout = self.timeout().map(|time| Timespec::try_from(time).expect("a few seconds"));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // An error on a descriptor is found by using it.
        let ready = wanted.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((source, _, _), _)| *source).collect())
    }

    /// Whether somebody may have the program's terminal open.
    fn open(&self) -> bool {
        self.hung_up.is_none_or(|since| since.elapsed() >= AGAIN)
    }

    /// How long to wait at most.
    fn timeout(&self) -> Option<Duration> {
        let left = |since: Instant, span: Duration| span.saturating_sub(since.elapsed());
        let rest = (!self.rested && self.shown.is_empty()).then(|| left(self.text_at, REST));
        let again = self.hung_up.map(|_| AGAIN);
        let drain = self.ended_at.map(|ended| left(self.text_at.max(ended), QUIET).min(left(ended, DRAIN)));
        // What waits for the user's terminal is waited for.
        let drain = drain.filter(|_| self.shown.is_empty());
        let patience = self.interrupted.map(|(_, since)| left(since, PATIENCE));
        [rest, again, drain, patience].into_iter().flatten().min()
    }

    /// Deals with the signals that came.
    fn obey(&mut self) -> Result<(), Error> {
        while let Some(number) = self.signals.take() {
            match Signal::from_named_raw(number) {
                Some(Signal::WINCH) => self.resize()?,
                Some(Signal::CONT) => {
                    if let Some(raw) = &self.raw {
                        raw.again().map_err(|source| self.failed(source))?;
                    }
                    self.resize()?;
                }
                Some(signal) if self.interrupted.is_none() => {
                    self.interrupted = Some((number, Instant::now()));
                    self.running.signal(signal);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the program's terminal the size that it should have.
    fn resize(&mut self) -> Result<(), Error> {
        let size = size();
        if size != self.size {
            self.size = size;
            // First the one who watches: what comes next may be drawn for the new size.
            (self.sink)(Shown::Size(size));
            if let Some(pty) = &self.running.pty {
                resize(pty, size).map_err(|source| self.failed(source))?;
            }
        }
        Ok(())
    }

    /// Shows a piece of what the program has printed.
    fn show(&mut self) -> Result<(), Error> {
        let piece = self.shown.len().min(PIECE);
        match rustix::io::write(io::stdout(), &self.shown[..piece]) {
            Ok(written) => drop(self.shown.drain(..written)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(source) => return Err(Error::Output { name: self.name.clone(), source: source.into() }),
        }
        if self.shown.is_empty() {
            // The time that the user's terminal took is not the program's.
            if let Some(ended) = &mut self.ended_at {
                *ended += self.text_at.elapsed().min(ended.elapsed());
            }
            self.text_at = Instant::now();
        }
        Ok(())
    }

    /// Takes what the program prints, and gives it what was typed.
    fn exchange(&mut self) -> io::Result<()> {
        let Some(pty) = &self.running.pty else { return Ok(()) };
        if self.shown.is_empty() {
            let mut text = Zeroizing::new([0_u8; 4096]);
            match rustix::io::read(pty, &mut text[..]) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Linux says EIO when nobody has the other end open.
                Ok(0) | Err(Errno::IO) => self.hung_up = Some(Instant::now()),
                Ok(read) => {
                    (self.hung_up, self.rested, self.text_at) = (None, false, Instant::now());
                    (self.sink)(Shown::Text(&text[..read]));
                    self.shown.extend_from_slice(&text[..read]);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !self.typed.is_empty() {
            match rustix::io::write(pty, &self.typed) {
                Ok(written) => drop(self.typed.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // It has gone, and needs nothing any more.
                Err(Errno::IO) => self.typed.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes what is typed. The end of the input is a Ctrl-D, as it would be typed.
    fn listen(&mut self) {
        let mut bytes = Zeroizing::new([0_u8; 4096]);
        match rustix::io::read(io::stdin(), &mut bytes[..]) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => {
                self.input_over = true;
                self.typed.push(CTRL_D);
            }
            Ok(read) => {
                self.typed.extend_from_slice(&bytes[..read]);
                if self.raw.is_some() && self.insists(&bytes[..read]) {
                    self.running.signal(Signal::INT);
                }
            }
        }
    }

    /// Whether Ctrl-C was typed so often that the user means it.
    fn insists(&mut self, typed: &[u8]) -> bool {
        let (before, at) = self.insisted;
        let mut count = if at.elapsed() < PATIENCE { before } else { 0 };
        let mut rest = typed;
        while let [_, others @ ..] = rest {
            let key = CTRL_C.iter().find_map(|key| rest.strip_prefix(*key));
            count = if key.is_some() { count + 1 } else { 0 };
            rest = key.unwrap_or(others);
        }
        self.insisted = (count, Instant::now());
        count >= MEANT
    }
}
