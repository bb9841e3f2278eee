//! Credentials sealed by `systemd-creds`, so that a file of ours holds one only its host can read.
//!
//! In: a name and a credential, or what it was sealed to. Out: one line of base64, or the credential.
//! What can go wrong: there is no `systemd-creds`, or, for a user other than root, none that serves
//! users (systemd 256); the host's key or TPM has changed; the name is another one; the text was
//! tampered with. The cipher and the key are systemd's: the TPM's, the one in
//! `/var/lib/systemd/credential.secret`, or both. No running systemd is needed by root.

use std::process::Command;
use std::time::{Duration, Instant};

use super::process;
use crate::secret::Secret;
use crate::site::{Whose, whose};

/// A TPM takes its time.
const LIMIT: Duration = Duration::from_secs(30);

/// The same when a container waits for it: less than whoever asks for it waits, who could not end it.
const OPENING: Duration = Duration::from_secs(8);

/// Where a system has it: Debian and Fedora, their `/usr/local`, NixOS.
const PLACES: &str = "/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin";

/// The first version that seals for users other than root.
const FOR_USERS: u32 = 256;

/// Why nothing was sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error(
        "systemd-creds, which seals credentials, cannot be used ({0}); install systemd 250 or later, or use `--store file`"
    )]
    Missing(String),
    /// It is too old for a user.
    #[error("systemd {0} seals credentials for root alone; users need systemd {FOR_USERS}, or `--store file`")]
    TooOld(u32),
    /// It could not be run to its end.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// It refused.
    #[error("systemd-creds cannot {what} {name} ({how}{said}){advice}")]
    Refused {
        /// `seal` or `open`.
        what: &'static str,
        /// The credential's name.
        name: String,
        /// Its exit code.
        how: String,
        /// What it said.
        said: String,
        /// What to do.
        advice: &'static str,
    },
    /// It said that it sealed, and printed nothing that could be opened.
    #[error("systemd-creds printed no sealed credential for {0}; use `--store file`")]
    NotSealed(String),
}

/// Whether this user can seal credentials here.
#[must_use]
pub fn is_available() -> bool {
    check().is_ok()
}

/// Makes sure that this user can seal credentials here.
///
/// # Errors
/// Why not.
pub fn check() -> Result<(), Error> {
    usable(LIMIT).map(drop)
}

/// Seals `secret` under `name`, which is needed to open it again: one line of base64.
///
/// # Errors
/// When this user cannot seal here, or systemd has no key that lasts.
pub fn seal(name: &str, secret: &Secret) -> Result<String, Error> {
    // `auto` never means systemd's empty key: without TPM and without a disk for a key it fails.
    let sealed = call("seal", name, &["encrypt", "--with-key=auto"], (secret.expose(), LIMIT), "; use `--store file`")?;
    // It breaks lines. What is sealed is no secret.
    let line: String = sealed.expose_text().unwrap_or_default().split_ascii_whitespace().collect();
    if line.is_empty() { Err(Error::NotSealed(name.to_owned())) } else { Ok(line) }
}

/// Opens what was sealed under `name`.
///
/// # Errors
/// When it was sealed under another name or on another host, or is not what it was.
pub fn open(name: &str, sealed: &str) -> Result<Secret, Error> {
    let advice = "; if the host's key or TPM has changed, log in again";
    call("open", name, &["decrypt"], (sealed.as_bytes(), OPENING), advice)
}

fn call(
    what: &'static str,
    name: &str,
    arguments: &[&str],
    (input, limit): (&[u8], Duration),
    advice: &'static str,
) -> Result<Secret, Error> {
    let begin = Instant::now();
    let mut command = program();
    command.args(arguments);
    if usable(limit)? {
        command.arg("--user");
    }
    command.arg(format!("--name={name}")).args(["-", "-"]);
    let ended = process::run(command, input, limit.saturating_sub(begin.elapsed()))?;
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let (name, how, said) = (name.to_owned(), ended.how(), ended.complaint());
    Err(Error::Refused { what, name, how, said, advice })
}

/// Whether `--user` is needed, if `systemd-creds` can be used at all.
fn usable(limit: Duration) -> Result<bool, Error> {
    let mut command = program();
    command.arg("--version");
    let ended = process::run(command, b"", limit).map_err(|error| Error::Missing(error.to_string()))?;
    let version = version(ended.stdout.expose_text().unwrap_or_default());
    let version = version.ok_or_else(|| Error::Missing("it does not tell its version".to_owned()))?;
    match whose() {
        Ok(Whose::System) => Ok(false),
        _ if version >= FOR_USERS => Ok(true),
        _ => Err(Error::TooOld(version)),
    }
}

/// `systemd-creds` of the system, whatever `PATH` says, and without any variable that could move its key.
fn program() -> Command {
    let mut command = Command::new("systemd-creds");
    command.env_clear().env("PATH", PLACES).current_dir("/");
    command
}

/// `systemd 252 (252.39-1~deb12u2)`.
fn version(text: &str) -> Option<u32> {
    let number = text.strip_prefix("systemd ")?;
    number[..number.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("systemd 252 (252.39-1~deb12u2)\n+PAM"), Some(252));
        assert_eq!(version("systemd 257.7 (257.7-1)"), Some(257));
        assert_eq!(version("systemd 258~rc1 (258~rc1)"), Some(258));
        assert_eq!(version("elogind 252"), None);
    }
}
