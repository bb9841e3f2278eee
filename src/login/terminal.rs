//! A program in a terminal of its own, between the user and it.
//!
//! In: a program. Out: how it ended. Meanwhile everything that it prints goes to standard output and to
//! the caller, and everything that comes on standard input goes to it, byte for byte. Its terminal is
//! at least [`COLUMNS`] wide, or as wide as the user's, so that a credential stays in one line. Without a terminal
//! it works as well. What can go wrong: the program is not there, standard output is closed, or a signal
//! ends the session; then the program is ended too.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use rustix::termios::tcgetwinsize;

use super::session::Session;

/// Fewer columns are never given: a program that wraps its lines itself would cut a credential, and the
/// address to sign in at, which has 345 characters with Claude Code 2.1.197.
pub const COLUMNS: u16 = 400;
const ROWS: u16 = 24;
const MOST: u16 = 1000;

/// A program to run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its name and its arguments.
    pub argv: &'a [String],
    /// Variables that it gets beside this process's own.
    pub env: &'a [(OsString, OsString)],
}

impl Program<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What there is to see, in order.
#[derive(Debug)]
pub enum Shown<'a> {
    /// The terminal has this size now. Comes first, and again when the size changes.
    Size(Size),
    /// The program printed this. It may hold a credential.
    Text(&'a [u8]),
    /// The program waits: what is on the screen is a whole picture.
    Rest,
}

/// Why a program was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("{0} was not found in PATH; install it, or paste the credential with `--method paste`")]
    NotFound(String),
    /// It does not start.
    #[error(
        "{name} cannot be started: {source}; check its installation, or paste the credential with `--method paste`"
    )]
    Start {
        /// The program.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The terminal failed.
    #[error("the terminal for {name} failed: {source}; nothing was stored; run it again")]
    Terminal {
        /// The program.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Standard output was closed.
    #[error("what {name} prints cannot be shown: {source}; nothing was stored; run it with standard output open")]
    Output {
        /// The program.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A signal asked this process to end; the program was ended.
    #[error("{name} was interrupted by signal {signal}; nothing was stored; run it again")]
    Interrupted {
        /// The program.
        name: String,
        /// The signal's number.
        signal: i32,
    },
}

/// Runs `program` for the user at standard input and output, and tells `sink` what it shows.
///
/// # Errors
/// When the program cannot be started, or the session was cut short. In any case the program has ended
/// and the user's terminal is as it was before.
pub fn run(program: &Program<'_>, sink: impl FnMut(Shown<'_>)) -> Result<ExitStatus, Error> {
    Session::start(program, sink)?.last()
}

/// The size that a program gets: the user's, but not too narrow.
pub(super) fn size() -> Size {
    let user = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin()));
    let (rows, columns) = user.map_or((0, 0), |size| (size.ws_row, size.ws_col));
    // A terminal that does not know its size says 0, and anybody may say anything.
    Size { rows: if rows == 0 { ROWS } else { rows.min(MOST) }, columns: columns.clamp(COLUMNS, MOST) }
}
