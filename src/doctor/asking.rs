//! Asking other programs, with a limit of time.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::backend::process;

/// What a program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// It ended with 0.
    pub good: bool,
    /// Its standard output.
    pub text: String,
    /// Its exit code or signal, and the first line of its complaint, fit to be shown.
    pub complaint: String,
}

/// Runs `program`; nothing when it cannot be started or does not end in time.
///
/// # Errors
/// Why it did not end, as a sentence.
pub fn ask<I: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = I>,
    limit: Duration,
) -> Result<Said, String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    let ended = process::run(command, b"", limit).map_err(|error| error.to_string())?;
    Ok(Said {
        good: ended.status.success(),
        text: String::from_utf8_lossy(ended.stdout.expose()).into_owned(),
        complaint: format!("{}{}", ended.how(), ended.complaint()),
    })
}

/// Finds a program as a shell does.
#[must_use]
pub fn look_up(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let places = env::split_paths(&path).filter(|place| place.is_absolute());
    // Where daemons are although a user's PATH does not say so.
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    places.chain(more).map(|place| place.join(name)).find(|path| is_program(path))
}

/// Whether there is something that could be executed.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
