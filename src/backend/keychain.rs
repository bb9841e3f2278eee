//! The macOS keychain, through Apple's program `security`: on a Mac as it is, from a Linux machine on
//! a Mac behind the program that runs commands of the host.
//!
//! In: the program, a service and an account. Out: the value, or that there is none. What can go
//! wrong: the program does not start or end, the keychain is locked, or the user says no. What
//! `security` prints and takes is from its source (Apple's Security-61901, SecurityTool/macOS); it was
//! not run on a Mac.

use std::process::Command;
use std::time::Duration;

use zeroize::Zeroizing;

use super::process;
use crate::secret::Secret;

/// The exit code is the low byte of the error: `errSecItemNotFound`, -25300.
const NOT_FOUND: i32 = 44;
/// `errSecInteractionNotAllowed`, -25308.
const NO_INTERACTION: i32 = 36;
/// `errSecAuthFailed`, -25293.
const AUTH_FAILED: i32 = 51;
/// `userCanceledErr`, -128.
const CANCELLED: i32 = 128;

/// Longest line that `security -i` takes for one (`MAX_LINE_LEN` in security.c); what follows would be
/// the next command.
const LONGEST_LINE: usize = 4094;

/// Why the keychain gave or took nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is locked, and nobody can be asked.
    #[error("the macOS keychain is locked; unlock it on the Mac: security unlock-keychain")]
    Locked,
    /// The password was wrong, or access was denied.
    #[error("the macOS keychain denies access to {0:?}; allow it for `security` on the Mac")]
    Denied(String),
    /// The user said no.
    #[error("the macOS keychain's question about {0:?} was answered with no; try again, and allow it")]
    Cancelled(String),
    /// The command line cannot be put together.
    #[error("the macOS keychain cannot have an entry with the name {0:?}; names have no control characters")]
    Name(String),
    /// It is longer than `security` takes.
    #[error("the credential for {0:?} is longer than `security` takes from its input; store it with `--store file`")]
    TooLong(String),
    /// No program.
    #[error("no program is configured for the macOS keychain; it is [\"security\"] on a Mac")]
    NoProgram,
    /// It could not be run to its end.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// Anything else.
    #[error("`security` failed for the keychain's entry {service:?} with {how}{said}")]
    Failed {
        /// The entry.
        service: String,
        /// The exit code.
        how: String,
        /// What it said.
        said: String,
    },
}

/// The value of an entry.
///
/// # Errors
/// When the keychain cannot be read, which is not the same as having no such entry.
pub fn find(program: &[String], service: &str, account: &str, limit: Duration) -> Result<Option<Secret>, Error> {
    let mut command = security(program)?;
    command.args(["find-generic-password", "-a", account, "-w", "-s", service]);
    let ended = process::run(command, b"", limit)?;
    if ended.status.code() == Some(NOT_FOUND) {
        return Ok(None);
    }
    succeeded(&ended, service)?;
    Ok(Some(value(&ended.stdout)))
}

/// Stores the value of an entry, in place of one that is there.
///
/// # Errors
/// When the keychain cannot be written, or the value is too long for `security`.
pub fn store(program: &[String], service: &str, account: &str, value: &Secret, limit: Duration) -> Result<(), Error> {
    let line = add_line(service, account, value)?;
    let mut command = security(program)?;
    // It reads commands from its input, so the value is in no argument. Its exit code is that of the
    // last command.
    command.arg("-i");
    succeeded(&process::run(command, &line, limit)?, service)
}

/// Removes an entry; says whether there was one.
///
/// # Errors
/// When the keychain cannot be written.
pub fn remove(program: &[String], service: &str, account: &str, limit: Duration) -> Result<bool, Error> {
    let mut command = security(program)?;
    command.args(["delete-generic-password", "-a", account, "-s", service]);
    let ended = process::run(command, b"", limit)?;
    if ended.status.code() == Some(NOT_FOUND) {
        return Ok(false);
    }
    succeeded(&ended, service).map(|()| true)
}

fn security(program: &[String]) -> Result<Command, Error> {
    let (first, rest) = program.split_first().ok_or(Error::NoProgram)?;
    let mut command = Command::new(first);
    command.args(rest);
    Ok(command)
}

fn succeeded(ended: &process::Ended, service: &str) -> Result<(), Error> {
    let service = service.to_owned();
    Err(match ended.status.code() {
        Some(0) => return Ok(()),
        Some(NO_INTERACTION) => Error::Locked,
        Some(AUTH_FAILED) => Error::Denied(service),
        Some(CANCELLED) => Error::Cancelled(service),
        _ => Error::Failed { service, how: ended.how(), said: ended.complaint() },
    })
}

/// The command for `security -i`.
fn add_line(service: &str, account: &str, value: &Secret) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (service_word, account_word) = (quoted(service)?, quoted(account)?);
    let head = format!("add-generic-password -U -a {account_word} -s {service_word} -X ");
    let length = head.len() + value.len() * 2;
    if length > LONGEST_LINE {
        return Err(Error::TooLong(service.to_owned()));
    }
    let mut line = Zeroizing::new(Vec::with_capacity(length + 1));
    line.extend_from_slice(head.as_bytes());
    for byte in value.expose() {
        line.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    // A line without an end is not run.
    line.push(b'\n');
    Ok(line)
}

/// A word for `split_line` of security.c: between quotes, a backslash before what would end them.
fn quoted(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The value of `security … -w`. It prints a value with any byte that is not printable ASCII as
/// hexadecimal digits, lower case, and any other as it is (`do_password_item_printing`), so digits may
/// be either. They are decoded only when what comes out is a value that had to be written that way, and
/// is a JSON object besides, as the logins are that hold such bytes. A token of hexadecimal digits is
/// neither.
fn value(printed: &Secret) -> Secret {
    let text = printed.expose();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if let Some(mut bytes) = unhex(text) {
        let had_to_be = bytes.iter().any(|byte| !(b' '..=b'~').contains(byte));
        let is_object = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok()
            && bytes.trim_ascii_start().first() == Some(&b'{')
            && std::str::from_utf8(&bytes).is_ok();
        if had_to_be && is_object {
            return Secret::new(std::mem::take(&mut *bytes));
        }
    }
    Secret::new(text.to_vec())
}

fn unhex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(printed: &str) -> String {
        value(&Secret::from_text(printed)).expose_text().expect("text").to_owned()
    }

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_login_with_bytes_that_are_not_printable_is_decoded() {
        for login in ["{\n  \"token\": \"FAKE\"\n}\n", "{\"name\":\"Zoë\"}"] {
            assert_eq!(of(&format!("{}\n", hex(login))), login);
        }
    }

    #[test]
    fn what_could_have_been_printed_as_it_is_was() {
        // `security` would have printed this login itself, so it is a token.
        let digits = hex("{\"token\":\"FAKE\"}");
        assert_eq!(of(&format!("{digits}\n")), digits);
        for token in [
            "0123456789abcdef0123456789abcdef",
            "7b7d",
            "7b0a7",
            "7B0A7D",
            "7b0aff7d",
            "sk-ant-oat01-FAKE",
            "{\"a\":1}",
            "",
        ] {
            assert_eq!(of(&format!("{token}\n")), token);
        }
        assert_eq!(of("FAKE\n\n"), "FAKE\n");
    }

    #[test]
    fn a_command_line_has_one_line() {
        let line = add_line("Claude \"Code\"\\", "a b", &Secret::from_text("FAKE\n")).unwrap();
        let expected = "add-generic-password -U -a \"a b\" -s \"Claude \\\"Code\\\"\\\\\" -X 46414b450a\n";
        assert_eq!(std::str::from_utf8(&line).unwrap(), expected);
        assert!(matches!(add_line("a\nb", "c", &Secret::default()), Err(Error::Name(_))));
        assert!(matches!(add_line("a", "", &Secret::default()), Err(Error::Name(_))));
        let room = |length| add_line("a", "b", &Secret::new(vec![b'x'; length])).map(|line| line.len());
        // 41 characters and two for each byte, and the newline.
        assert_eq!(room(2026).unwrap(), 41 + 4052 + 1);
        assert!(matches!(room(2027), Err(Error::TooLong(_))));
    }
}
