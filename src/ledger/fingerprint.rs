//! Fingerprints: enough to see that two containers hold the same credential, or an old one; of no
//! use to anybody without this host's key.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Makes fingerprints with this host's key.
pub struct Fingerprinter(Option<Zeroizing<[u8; 32]>>);

impl Fingerprinter {
    /// Reads the key below `state`, making it the first time. Without a key there are no
    /// fingerprints; no delivery fails for it.
    #[must_use]
    pub fn open(state: &Path) -> Self {
        let path = state.join("fingerprint.key");
        Self(read(&path).or_else(|| {
            make(state, &path);
            read(&path)
        }))
    }

    /// Makes none: for a dry run.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The fingerprint of `secret`: 16 hexadecimal digits of HMAC-SHA-256.
    #[must_use]
    pub fn of(&self, secret: &Secret) -> Option<String> {
        let key = self.0.as_ref()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?;
        mac.update(secret.expose());
        Some(mac.finalize().into_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn read(path: &Path) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    File::open(path).ok()?.read_exact(key.as_mut_slice()).ok()?;
    Some(key)
}

/// Writes a new key beside its place and links it there, so that no other process reads half of it
/// and the first one wins.
fn make(state: &Path, path: &Path) {
    let mut key = Zeroizing::new([0_u8; 32]);
    let new = state.join(format!(".fingerprint.{}", std::process::id()));
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(state).is_ok()
        && rustix::rand::getrandom(key.as_mut_slice(), rustix::rand::GetRandomFlags::empty()).is_ok()
        && File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .is_ok_and(|mut file| file.write_all(key.as_slice()).is_ok());
    if made {
        let _ = fs::hard_link(&new, path);
    }
    let _ = fs::remove_file(&new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_has_the_same_fingerprint_on_one_host_only() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = Secret::from_text("sk-ant-oat01-FAKE");
        let first = Fingerprinter::open(one.path()).of(&secret).unwrap();
        assert_eq!(Fingerprinter::open(one.path()).of(&secret).unwrap(), first);
        assert_ne!(Fingerprinter::open(two.path()).of(&secret).unwrap(), first);
        assert_ne!(Fingerprinter::open(one.path()).of(&Secret::from_text("other")).unwrap(), first);
        assert_eq!(first.len(), 16);
    }
}
