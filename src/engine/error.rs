//! What can be wrong, each a sentence for the person who installs.

use std::io;
use std::path::PathBuf;

use super::{Engine, Mode};
use crate::{cdi, config};

/// Why nothing was installed or taken away. Whatever it is, nothing has changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine is not there.
    #[error("{engine} is not installed: there is no {program} in PATH, /usr/sbin or /usr/local/sbin")]
    NotInstalled {
        /// The engine.
        engine: Engine,
        /// The program that was looked for.
        program: &'static str,
    },
    /// The engine does not say its version.
    #[error("{program} --version fails: {reason}; mend that first")]
    Mute {
        /// Its program.
        program: PathBuf,
        /// What it says instead.
        reason: String,
    },
    /// An ordinary user asks for what only root can do.
    #[error("{what} needs root; run it with sudo")]
    NeedsRoot {
        /// The command.
        what: String,
    },
    /// A way in that the engine does not have.
    #[error("{engine} has no mode {mode}; choose {known}")]
    NoSuchMode {
        /// The engine.
        engine: Engine,
        /// What was asked for.
        mode: Mode,
        /// What it has.
        known: &'static str,
    },
    /// The agents cannot be offered as devices.
    #[error(transparent)]
    Cdi(#[from] cdi::Error),
    /// Keyslip's own configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the engine's is broken.
    #[error("{path}:{line}:{column}: this is no {what}: {reason}; mend it, {engine} cannot read it either")]
    Broken {
        /// The engine.
        engine: Engine,
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What it ought to be.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The engine is set up in a way that ours would contradict.
    #[error("{path}: {reason}")]
    Conflict {
        /// The file that says so.
        path: PathBuf,
        /// What it says, and what to do.
        reason: String,
    },
    /// A link of the engine's to the shim is missing or leads astray.
    #[error("{link} {reason}")]
    Link {
        /// Which.
        link: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The engine does not accept the result.
    #[error("{engine} would not accept {path} as it would be: {reason}")]
    Rejected {
        /// The engine.
        engine: Engine,
        /// Which file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// Another way in is installed.
    #[error("{engine} is installed in mode {mode}; run `keyslip uninstall {engine}` first")]
    OtherMode {
        /// The engine.
        engine: Engine,
        /// Which.
        mode: Mode,
    },
    /// Nothing of it is installed.
    #[error("nothing was installed for {engine}; `keyslip uninstall --all` takes away whatever was")]
    NothingInstalled {
        /// The engine.
        engine: Engine,
    },
    /// Containers need what would be taken away.
    #[error(
        "{engine} has containers that name Keyslip's runtime ({names}): {what} once it is gone; remove them first, or use --force"
    )]
    Held {
        /// The engine.
        engine: Engine,
        /// What becomes of them.
        what: &'static str,
        /// Some of them.
        names: String,
    },
    /// Somebody has rewritten our part of a file.
    #[error(
        "{path} was changed in the very lines that were installed; take them out by hand and run this again:\n{ours}"
    )]
    Entangled {
        /// Which file.
        path: PathBuf,
        /// Our part, as it was written.
        ours: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}; nothing was changed")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written, and what was done cannot be undone.
    #[error("cannot write {path}: {source}; what had been done could not be undone ({undo}): run this again")]
    HalfDone {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// Why not.
        undo: io::Error,
    },
    /// Somebody changed a file while the plan was made.
    #[error("{path} was changed while this ran; nothing was changed, run it again")]
    Raced {
        /// Which.
        path: PathBuf,
    },
    /// Another installation runs.
    #[error("another `keyslip install` or `keyslip uninstall` is running; wait for it")]
    Busy,
    /// What was installed is not known any more.
    #[error("{path} cannot be read, so it is not known what was installed: {source}")]
    Receipt {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
