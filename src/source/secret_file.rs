//! Secret files: one value a file, put there by a secret manager.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest secret, in bytes.
pub const LONGEST_SECRET: u64 = 1 << 20;

/// Reads a secret file; links are followed (sops-nix and agenix use them). Nothing when it does not
/// exist.
///
/// # Errors
/// A part of a sentence that says what is wrong with the file.
pub(super) fn read(path: &Path) -> Result<Option<Secret>, String> {
    let file = File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(format!("cannot be read: {error}; make it readable for the user that starts containers"));
        }
    };
    let about = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !about.is_file() {
        return Err("is no regular file".to_owned());
    }
    bounded(file, about.len()).map(Some)
}

/// Reads all of `file`, up to the longest secret, without leaving copies behind.
pub(super) fn bounded(file: impl Read, length: u64) -> Result<Secret, String> {
    if length > LONGEST_SECRET {
        return Err(format!("has {length} bytes; a secret may have {LONGEST_SECRET} (1 MiB)"));
    }
    let room = usize::try_from(length).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LONGEST_SECRET + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LONGEST_SECRET {
        return Err(format!("has more than {LONGEST_SECRET} bytes (1 MiB)"));
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}
