//! From (runtime, `--root`, container id) to a container's directory. Two roots may hold the same
//! id, and so may two runtimes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Error, Ledger, SandboxId, gone, list};

/// The hash that a container is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key of a container.
    #[must_use]
    pub fn new(runtime: &Path, root: Option<&OsStr>, container: &OsStr) -> Self {
        let root = root.unwrap_or_default();
        Self::of(&[runtime.as_os_str().as_bytes(), root.as_bytes(), container.as_bytes()])
    }

    /// The key of any list of texts, each hashed with its length.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ledger {
    /// The container's id, if it is one of ours. One system call.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<SandboxId> {
        self.look_up(key).ok().flatten()
    }

    /// The same for those who may not take a container for somebody else's.
    ///
    /// # Errors
    /// When nobody can tell.
    pub fn look_up(&self, key: &Key) -> Result<Option<SandboxId>, Error> {
        let path = self.dir.join("index").join(&key.0);
        match fs::read_link(&path) {
            Ok(target) => Ok(target.into_os_string().into_string().ok().and_then(|id| SandboxId::try_from(id).ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Enters a container; an older entry under the same key is replaced only with `replace`.
    /// Says whether it stands now.
    ///
    /// # Errors
    /// When the tmpfs is full.
    pub fn enter(&self, key: &Key, id: &SandboxId, replace: bool) -> Result<bool, Error> {
        self.link("index", key, id, replace)
    }

    /// Takes a container out, if the entry is its own.
    pub fn leave(&self, key: &Key, id: &SandboxId) {
        self.unlink("index", key, id);
    }

    /// Claims a file in a volume for a container. Says who holds it if somebody else does.
    ///
    /// # Errors
    /// When the tmpfs is full.
    pub fn claim(&self, key: &Key, id: &SandboxId) -> Result<Option<SandboxId>, Error> {
        if self.link("claim", key, id, false)? {
            return Ok(None);
        }
        match read_link(&self.dir.join("claim").join(&key.0)) {
            Some(holder) if holder != *id && self.knows(&holder) => Ok(Some(holder)),
            _ => self.link("claim", key, id, true).map(|_| None),
        }
    }

    /// Gives a claim back.
    pub fn release(&self, key: &str, id: &SandboxId) {
        self.unlink("claim", &Key(key.to_owned()), id);
    }

    /// Removes entries and claims of containers whose directories are gone. Says what it could not look at or remove.
    pub fn remove_dangling(&self) -> Vec<Error> {
        let mut problems = self.remove_dangling_shares();
        for kind in ["index", "claim"] {
            for path in list(&self.dir.join(kind), &mut problems) {
                if read_link(&path).is_some_and(|id| !self.knows(&id)) {
                    problems.extend(gone(fs::remove_file(&path)).map_err(Error::io(&path)).err());
                }
            }
        }
        problems
    }

    fn link(&self, kind: &str, key: &Key, id: &SandboxId, replace: bool) -> Result<bool, Error> {
        let dir = self.dir.join(kind);
        let path = dir.join(&key.0);
        let make = || symlink(id.as_str(), &path);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
                make()
            }
            other => other,
        };
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && replace => {
                let new: PathBuf = dir.join(format!(".{}", id.as_str()));
                let _ = fs::remove_file(&new);
                symlink(id.as_str(), &new).and_then(|()| fs::rename(&new, &path)).map_err(Error::io(&path))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::Io { path, source: error }),
        }
    }

    fn unlink(&self, kind: &str, key: &Key, id: &SandboxId) {
        let path = self.dir.join(kind).join(&key.0);
        if read_link(&path).as_ref() == Some(id) {
            let _ = fs::remove_file(path);
        }
    }
}

fn read_link(path: &Path) -> Option<SandboxId> {
    let target = fs::read_link(path).ok()?;
    SandboxId::try_from(target.into_os_string().into_string().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(runtime: &str, root: Option<&str>, id: &str) -> Key {
        Key::new(Path::new(runtime), root.map(OsStr::new), OsStr::new(id))
    }

    #[test]
    fn the_same_id_under_two_roots_or_runtimes_is_two_containers() {
        assert_ne!(key("crun", Some("/a"), "k1"), key("crun", Some("/b"), "k1"));
        assert_ne!(key("crun", None, "k1"), key("runc", None, "k1"));
        assert_ne!(key("crun", Some("/a/"), "k1"), key("crun", Some("/a"), "/k1"));
        assert_eq!(key("crun", None, "k1"), key("crun", None, "k1"));
    }

    #[test]
    fn entries_are_found_and_only_their_owner_removes_them() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path());
        let (one, two) = (SandboxId::random().unwrap(), SandboxId::random().unwrap());
        let k1 = key("crun", None, "k1");
        assert_eq!(ledger.find(&k1), None);
        assert!(ledger.enter(&k1, &one, false).unwrap());
        assert!(!ledger.enter(&k1, &two, false).unwrap());
        assert_eq!(ledger.find(&k1), Some(one.clone()));
        ledger.leave(&k1, &two);
        assert_eq!(ledger.find(&k1), Some(one));
        assert!(ledger.enter(&k1, &two, true).unwrap());
        ledger.leave(&k1, &two);
        assert_eq!(ledger.find(&k1), None);
    }

    #[test]
    fn a_claim_holds_while_its_container_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path());
        let (one, two) = (SandboxId::random().unwrap(), SandboxId::random().unwrap());
        let file = Key::of(&[b"8:1", b"42", b".codex/auth.json"]);
        ledger.make_sandbox(&one).unwrap();
        assert_eq!(ledger.claim(&file, &one).unwrap(), None);
        assert_eq!(ledger.claim(&file, &two).unwrap(), Some(one.clone()));
        fs::remove_dir_all(ledger.sandbox(&one)).unwrap();
        assert_eq!(ledger.claim(&file, &two).unwrap(), None);
    }
}
