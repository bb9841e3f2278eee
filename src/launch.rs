//! What the launcher does inside a container: find the command as the runtimes do, and say which
//! variables it gets. The program is `src/bin/keyslip-launch.rs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::oci::EnvVar;
use crate::secret::Secret;

/// Where the launcher is mounted in the container.
pub const PROGRAM: &str = "/run/.keyslip/launch";

/// Where its variables are: `NAME=value`, each ended by a NUL, as [`file`] writes them.
pub const ENVIRONMENT: &str = "/run/.keyslip/env";

/// The name of that file in the container's directory on the host.
pub const HOST_FILE: &str = "launch";

/// The variables in such a file.
#[must_use]
pub fn read_file(content: &[u8]) -> Vec<EnvVar> {
    let entries = content.split(|byte| *byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        let name = std::str::from_utf8(&entry[..equals]).ok()?.parse().ok()?;
        Some(EnvVar { name, value: Secret::new(entry[equals + 1..].to_vec()) })
    });
    entries.collect()
}

/// The content of such a file. The buffer is allocated once, so no copy of a value stays behind.
#[must_use]
pub fn file(env: &[EnvVar]) -> Vec<u8> {
    let size = env.iter().map(|var| var.name.as_str().len() + var.value.len() + 2).sum();
    let mut text = Vec::with_capacity(size);
    for var in env {
        text.extend_from_slice(var.name.as_str().as_bytes());
        text.push(b'=');
        text.extend_from_slice(var.value.expose());
        text.push(0);
    }
    text
}

/// The command cannot be run; the exit code that shells and engines know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// 126: found, but not to be executed; 127: not found.
    pub code: i32,
    /// What to say.
    pub message: String,
}

/// Finds `command`: as it is when it has a slash, else in the directories of `path`. `is_program`
/// tells whether a file is there and executable: `Ok(false)` for a file that is not.
///
/// # Errors
/// When there is none, with the exit code that the runtimes would have given.
pub fn find(
    command: &OsStr,
    path: Option<&OsStr>,
    is_program: impl Fn(&Path) -> std::io::Result<bool>,
) -> Result<PathBuf, Failure> {
    let named = command.to_string_lossy();
    if command.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(command));
    }
    // The runtimes do not fall back to a built-in path.
    let dirs = path
        .map(OsStr::as_bytes)
        .filter(|path| !path.is_empty())
        .into_iter()
        .flat_map(|path| path.split(|b| *b == b':'));
    let mut forbidden = false;
    for dir in dirs {
        let dir = if dir.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(dir) };
        let candidate = Path::new(dir).join(command);
        match is_program(&candidate) {
            Ok(true) => return Ok(candidate),
            Ok(false) => forbidden = true,
            Err(_) => {}
        }
    }
    Err(match forbidden {
        true => Failure { code: 126, message: format!("exec: {named:?}: permission denied") },
        false => Failure { code: 127, message: format!("exec: {named:?}: executable file not found in $PATH") },
    })
}

/// The exit code for a command that was found and could not be executed.
#[must_use]
pub fn failed(command: &OsStr, error: &std::io::Error) -> Failure {
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    Failure { code, message: format!("exec {:?}: {error}", command.to_string_lossy()) }
}

/// The environment of the command: what is there, then what `file` adds. A variable that is there
/// stays as it is.
#[must_use]
pub fn environment(now: &[OsString], file: &[u8]) -> Vec<OsString> {
    let mut all = now.to_vec();
    for entry in file.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let Some(equals) = entry.iter().position(|byte| *byte == b'=') else { continue };
        if !now.iter().any(|other| other.as_bytes().starts_with(&entry[..=equals])) {
            all.push(OsString::from_vec(entry.to_vec()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(command: &str, path: Option<&str>) -> Result<PathBuf, i32> {
        let is_program = |path: &Path| match path.to_str().unwrap() {
            "/bin/sh" | "./here" => Ok(true),
            "/data/plain" => Ok(false),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        find(OsStr::new(command), path.map(OsStr::new), is_program).map_err(|failure| failure.code)
    }

    #[test]
    fn a_command_is_looked_up_as_the_runtimes_do() {
        assert_eq!(look("sh", Some("/usr/bin:/bin")), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(look("./run", Some("/bin")), Ok(PathBuf::from("./run")));
        assert_eq!(look("here", Some("/bin:")), Ok(PathBuf::from("./here")));
        assert_eq!(look("plain", Some("/data")), Err(126));
        assert_eq!(look("sh", Some("/usr/bin")), Err(127));
        assert_eq!(look("sh", Some("")), Err(127));
        assert_eq!(look("sh", None), Err(127), "an unset PATH is an error");
    }

    #[test]
    fn what_the_container_set_itself_stays() {
        let now = [OsString::from("PATH=/bin"), OsString::from("KEY=own")];
        let all = environment(&now, b"KEY=ours\0OTHER=a=b\0\0broken\0");
        assert_eq!(all, ["PATH=/bin", "KEY=own", "OTHER=a=b"]);
    }
}
