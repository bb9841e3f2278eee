//! What the files of a host say, as if nothing of ours were in them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Change, Error, Ours, Receipt};

/// The files, without what the receipt says is ours: a plan is always made from scratch, so that making it
/// twice makes no difference.
#[derive(Debug, Default)]
pub(super) struct Present {
    without_us: BTreeMap<PathBuf, Option<String>>,
}

impl Present {
    /// As they were before the installation that `receipt` is of.
    pub fn before(receipt: Option<&Receipt>) -> Result<Self, Error> {
        let changes = receipt.map_or(&[][..], |receipt| &receipt.changes);
        let without_us = changes.iter().map(|change| Ok((change.path.clone(), without(change)?)));
        Ok(Self { without_us: without_us.collect::<Result<_, Error>>()? })
    }

    /// The text of a file; nothing if it is not there.
    pub fn read(&self, path: &Path) -> Result<Option<String>, Error> {
        match self.without_us.get(path) {
            Some(text) => Ok(text.clone()),
            None => read(path),
        }
    }

    /// The file that `path` leads to: a link is followed, and stays.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        if !path.is_symlink() {
            return Ok(path.to_owned());
        }
        fs::canonicalize(path).map_err(|source| Error::Read { path: path.to_owned(), source })
    }

    /// The change that makes `path` a file of ours alone; nothing if it is that already.
    pub fn own_file(&self, path: &Path, text: &str) -> Result<Option<Change>, Error> {
        match self.read(path)? {
            Some(there) if there == text => Ok(None),
            // It was ours alone; what somebody has added stays in front.
            Some(rest) if self.without_us.contains_key(path) => {
                let gap = if rest.ends_with('\n') { "" } else { "\n" };
                let after = format!("{rest}{gap}{text}");
                Ok(Some(Change::new(path, Some(rest), &after, Ours::Text(vec![text.to_owned()]))))
            }
            Some(_) => Err(Error::Conflict {
                path: path.to_owned(),
                reason: "this file is there already and was not written by this installation; move it away".to_owned(),
            }),
            None => Ok(Some(Change::new(path, None, text, Ours::Text(vec![text.to_owned()])))),
        }
    }
}

impl Change {
    pub(super) fn new(path: &Path, before: Option<String>, after: &str, ours: Ours) -> Self {
        let after = Some(after.as_bytes().to_vec());
        Self { path: path.to_owned(), before: before.map(String::into_bytes), after, ours }
    }
}

/// A file that was changed for us, without our part; as it was, if nobody has touched it since.
pub(super) fn without(change: &Change) -> Result<Option<String>, Error> {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let now = read(&change.path)?;
    let Some(now_text) = &now else { return Ok(None) };
    if now == text(&change.after) || now == text(&change.before) {
        return Ok(text(&change.before));
    }
    if change.ours == Ours::Generated && change.ours.is_in(now_text) {
        return Ok(text(&change.before));
    }
    if let Some(rest) = change.ours.taken_out(now_text) {
        return Ok(if change.before.is_none() && rest.trim().is_empty() { None } else { Some(rest) });
    }
    if change.ours.is_gone_from(now_text) {
        return Ok(now);
    }
    Err(Error::Entangled { path: change.path.clone(), ours: change.ours.shown() })
}

/// The text of a file; nothing if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}
