//! Readers of text that somebody else wrote, for `fuzz/`. Not in any program.

use crate::site::parse_passwd;

/// Reads a configuration; what is wrong with it.
///
/// # Errors
/// The message, with file, line and column.
pub fn configuration(text: &str) -> Result<(), String> {
    crate::config::parse(text).map(drop).map_err(|error| error.to_string())
}

/// Reads a file of the store, and writes it again.
///
/// # Errors
/// The message.
pub fn stored_login(bytes: &[u8]) -> Result<Vec<u8>, String> {
    crate::source::Entry::parse(bytes).map(|entry| entry.text().to_vec())
}

/// The token that a login program has drawn, in a terminal that changes its size once.
#[must_use]
pub fn drawn(prefix: &str, length: (usize, usize), before: &[u8], size: (u16, u16), after: &[u8]) -> Option<Vec<u8>> {
    let mut screen = crate::login::printed::Screen::new(prefix, length);
    screen.feed(before);
    screen.resize(size.0, size.1);
    screen.feed(after);
    screen.rest();
    screen.finish().ok().map(|token| token.expose().to_vec())
}

/// The user of this name, and their home directory.
#[must_use]
pub fn passwd(text: &str, name: &str) -> Option<(u32, String)> {
    let user = text.split('\n').find_map(|line| parse_passwd(line, |entry, _| entry == name))?;
    Some((user.uid, user.home.to_string_lossy().into_owned()))
}
