//! What we were handed: the runtime's command line and the bundle's `config.json`.
//!
//! In: `argv`, and the text of a `config.json` or of an `exec --process` file. Out: a [`Call`], a
//! [`Spec`] that borrows from the text, and, once a [`Change`] has been decided, the text with
//! only that change made. What can go wrong: no such file, broken JSON, a field given twice (one
//! runtime would take the first, another the last, and so could be told two different things).

mod argv;
mod change;
mod hooks;
mod options;
mod spec;
mod state;

pub use argv::{Call, Command};
pub use change::{Annotation, Change, EnvVar, NewMount, process_with, process_with_env};
pub use hooks::hook_arguments;
pub use spec::{IdMap, Mount, Process, Spec};
pub use state::State;

/// The text every request form contains.
const MARK: &str = "keyslip";

/// Longest `config.json` read.
pub const LONGEST_SPEC: u64 = 16 << 20;

/// Why what we were handed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {path}: {source}; is {} a bundle with a config.json?", .path.parent().unwrap_or(.path).display())]
    Read {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is longer than anything an engine writes.
    #[error("{path} is longer than {LONGEST_SPEC} bytes, which no engine writes")]
    TooLong {
        /// Which file.
        path: std::path::PathBuf,
    },
    /// A file is not what it should be.
    #[error("{path} is not valid: {reason}")]
    Invalid {
        /// Which file.
        path: std::path::PathBuf,
        /// Why, with line and column.
        reason: String,
    },
    /// The runtime's command line lacks something.
    #[error("the runtime was called without {0}")]
    Call(&'static str),
}

impl Error {
    /// Whether whoever reads the file next may well fare better: it is this process, or this moment, that lacks
    /// something.
    #[must_use]
    pub fn is_of_the_moment(&self) -> bool {
        use rustix::io::Errno;
        let Self::Read { source, .. } = self else { return false };
        let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::INTR, Errno::AGAIN, Errno::NOSYS];
        Errno::from_io_error(source).is_some_and(|error| passing.contains(&error))
    }
}

/// Reads a file of an engine whole, if it is not absurdly long.
///
/// # Errors
/// When it cannot be read, is too long or is not UTF-8.
pub fn read(path: &std::path::Path) -> Result<String, Error> {
    use std::io::Read;
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > LONGEST_SPEC {
        return Err(Error::TooLong { path: path.to_owned() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.by_ref().take(LONGEST_SPEC).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes)
        .map_err(|error| Error::Invalid { path: path.to_owned(), reason: format!("not UTF-8: {}", error.utf8_error()) })
}

/// Whether the text may ask for anything, told without parsing it: it has an annotation of ours or
/// the source of a request mount. No engine writes these with JSON escapes, and one who hides a
/// request gets nothing.
#[must_use]
pub fn mentions_us(text: &str) -> bool {
    let text = text.as_bytes();
    memchr::memmem::find_iter(text, MARK.as_bytes())
        .any(|at| text[..at].ends_with(b"dev.") || text[at + MARK.len()..].starts_with(b"/request/"))
}
