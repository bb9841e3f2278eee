//! Logging in with the agent's own client.
//!
//! In: a login program of a definition's `[[methods]]`. Out: the credential that it printed, as a
//! [`Secret`]. [`terminal`] runs the program in a terminal of its own, between the user and it;
//! [`printed`] keeps the screen and takes the credential from it. What can go wrong: the program is not
//! installed, fails or is interrupted, or what it printed cannot be told with certainty: then nothing
//! is returned, and the error says what to do.

mod page;
pub mod printed;
mod raw;
mod running;
mod session;
pub mod terminal;

use std::process::ExitStatus;

use crate::secret::Secret;
use printed::{Doubt, Screen};
use terminal::{Program, Shown};

/// Why a printed credential was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program could not be run to its end.
    #[error(transparent)]
    Terminal(#[from] terminal::Error),
    /// It failed, so what it printed may be cut short.
    #[error("{name} ended with {status}; nothing was stored; run it again, or paste the token with `--method paste`")]
    Failed {
        /// The program.
        name: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// What it printed is not clear.
    #[error(transparent)]
    Printed(#[from] Doubt),
}

/// Runs `program` for the user and takes the credential that it prints: one that begins with `prefix`
/// and has between `length.0` and `length.1` characters.
///
/// # Errors
/// When the program does not succeed, or its credential cannot be told with certainty.
pub fn capture(program: &Program<'_>, prefix: &str, length: (usize, usize)) -> Result<Secret, Error> {
    let mut screen = Screen::new(prefix, length);
    let status = terminal::run(program, |shown| match shown {
        Shown::Size(size) => screen.resize(size.rows, size.columns),
        Shown::Text(bytes) => screen.feed(bytes),
        Shown::Rest => screen.rest(),
    })?;
    if !status.success() {
        return Err(Error::Failed { name: program.name().to_owned(), status });
    }
    Ok(screen.finish()?)
}

#[cfg(test)]
mod tests;
