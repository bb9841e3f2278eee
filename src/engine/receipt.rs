//! What an installation has changed, kept until it is taken away.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::carry_out::put;
use super::{Engine, Mode, Ours};
use crate::clock::Instant;
use crate::site::Site;

/// One file, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The file; never a link.
    pub path: PathBuf,
    /// Its bytes before; nothing where it was not there.
    #[serde(with = "text")]
    pub before: Option<Vec<u8>>,
    /// Its bytes after; nothing where it is removed.
    #[serde(with = "text")]
    pub after: Option<Vec<u8>>,
    /// What of it is ours.
    pub ours: Ours,
}

/// What an installation changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The engine.
    pub engine: Engine,
    /// The way in.
    pub mode: Mode,
    /// The engine's version at that time.
    pub version: Option<String>,
    /// When.
    pub installed_at: Instant,
    /// Written before the first file is changed, and taken back when the last one is: an installation
    /// that was cut short.
    pub pending: bool,
    /// The files.
    pub changes: Vec<Change>,
    /// Directories that were made for them, outer ones first.
    pub made: Vec<PathBuf>,
}

/// The receipts of a site. One that cannot be read is left out.
#[must_use]
pub fn receipts(site: &Site) -> Vec<Receipt> {
    Engine::ALL.iter().filter_map(|engine| read(&path(site, *engine)).ok().flatten()).collect()
}

/// Where receipts are.
pub(super) fn directory(site: &Site) -> PathBuf {
    site.state.join("install")
}

/// Where the receipt of an engine is.
pub(super) fn path(site: &Site, engine: Engine) -> PathBuf {
    directory(site).join(format!("{engine}.json"))
}

/// Reads a receipt, if there is one.
pub(super) fn read(path: &Path) -> io::Result<Option<Receipt>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a receipt: for its owner alone, since an engine's configuration may hold passwords.
pub(super) fn write(path: &Path, receipt: &Receipt) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(Path::new("/")))?;
    let mut text = serde_json::to_vec_pretty(receipt)?;
    text.push(b'\n');
    put(path, Some(&text), 0o600)
}

/// Bytes as text: only files in UTF-8 are ever changed.
mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = bytes.as_deref().map(std::str::from_utf8).transpose().map_err(ser::Error::custom)?;
        text.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(String::into_bytes))
    }
}
