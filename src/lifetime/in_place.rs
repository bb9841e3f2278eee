//! Changing a file that somebody may be reading.
//!
//! A single-file mount shows one inode, so the file cannot be replaced by a rename. Cut and written
//! again it was seen empty or half in 70 of 100 reads; after one write of the same length, inside one page,
//! once in many millions (docs/decisions/0009). So a credential file is filled up with spaces, which JSON
//! allows, to a page.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, fchown};
use std::path::Path;

use crate::secret::Secret;

/// The length that credential files have from the start, in bytes.
pub const PAGE: usize = 4096;

/// JSON filled up with spaces to a page; what is longer stays as it is.
#[must_use]
pub fn padded(content: &Secret) -> Secret {
    let bytes = content.expose();
    let mut out = Vec::with_capacity(bytes.len().max(PAGE));
    out.extend_from_slice(bytes);
    out.resize(bytes.len().max(PAGE), b' ');
    Secret::new(out)
}

/// Writes `content`, filled up, over the file at `path` in one call.
///
/// # Errors
/// `FileTooLarge` when the file or the content is longer than a page: then only a new mount will do.
pub fn write(path: &Path, content: &Secret) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    if content.len() > PAGE || file.metadata()?.len() > PAGE as u64 {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    file.write_all_at(padded(content).expose(), 0)
}

/// Makes the file at `path` hold `empty` in one page, whatever the container made of it.
///
/// # Errors
/// What the system says.
pub fn blank(path: &Path, empty: &str) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.write_all_at(padded(&Secret::from_text(empty)).expose(), 0)?;
    file.set_len(PAGE as u64)
}

/// Whether the file at `path` still only keeps a place, by holding `empty`.
#[must_use]
pub fn is_blank(path: &Path, empty: &str) -> bool {
    let mut start = [0; 128];
    let read = File::open(path).and_then(|file| file.read_at(&mut start, 0)).unwrap_or(0);
    start[..read].trim_ascii() == empty.as_bytes()
}

/// Puts a new file in place of the one at `path`, in a directory that is mounted as a whole: a
/// reader finds the old one or the new one.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, content: &Secret, mode: u32, owner: (u32, u32)) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let new = dir.join(format!(".new-{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    let made = File::options().write(true).create_new(true).mode(mode).open(&new).and_then(|mut file| {
        file.write_all(content.expose())?;
        fchown(&file, Some(owner.0), Some(owner.1))
    });
    let done = made.and_then(|()| std::fs::rename(&new, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_length_and_stays_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.json");
        std::fs::write(&path, padded(&Secret::from_text(r#"{"a":1}"#)).expose()).unwrap();
        write(&path, &Secret::from_text(r#"{"longer":22}"#)).unwrap();
        let now = std::fs::read(&path).unwrap();
        assert_eq!(now.len(), PAGE);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&now).unwrap()["longer"], 22);
        let large = Secret::from_text(&format!("{{\"x\":\"{}\"}}", "y".repeat(PAGE)));
        assert_eq!(write(&path, &large).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(std::fs::read(&path).unwrap(), now, "nothing was written");
    }
}
