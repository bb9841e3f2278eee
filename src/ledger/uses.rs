//! Who uses a mountpoint that was made.
//!
//! Containers may share a root file system or a volume, and so a mountpoint. Linux takes a mount off
//! in every namespace when what it is mounted on is removed, so the first container's end must not
//! remove what the second one still has a credential on: the last one removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::{Error, Key, Ledger, SandboxId, exists, gone};
use crate::deliver::{self, Mountpoint};

/// The file that says what was made, among links named after the users.
const MADE: &str = "made";

impl Ledger {
    /// Makes a mountpoint that is missing, or joins the containers that use it already. One that an
    /// image brought itself is nobody's to remove.
    ///
    /// # Errors
    /// When it cannot be made, or the tmpfs is full; nothing is left behind then.
    pub fn occupy(&self, mountpoint: &Mountpoint, id: &SandboxId) -> Result<(), deliver::Error> {
        let Some(key) = &mountpoint.key else { return mountpoint.make().map(drop) };
        let _lock = self.lock_uses()?;
        let dir = self.uses(key);
        let joined = dir.exists();
        if !joined && mountpoint.is_there() {
            return Ok(());
        }
        let mut made = mountpoint.clone();
        made.changed = mountpoint.make()?;
        let entered = || -> io::Result<()> {
            if !joined {
                fs::create_dir(&dir)?;
                fs::write(dir.join(MADE), serde_json::to_vec(&made)?)?;
            }
            symlink(id.as_str(), dir.join(id.as_str()))
        };
        entered().map_err(|source| {
            if !joined {
                let _ = fs::remove_dir_all(&dir);
                let _ = made.remove();
            }
            Error::Io { path: dir.clone(), source }.into()
        })
    }

    /// Gives a mountpoint up; removes it when nobody else uses it. Safe to call again.
    ///
    /// # Errors
    /// When it is still there, or nobody can tell.
    pub fn vacate(&self, mountpoint: &Mountpoint, id: &SandboxId) -> Result<(), Error> {
        let Some(key) = &mountpoint.key else { return Ok(()) };
        // Nothing is made before this is.
        if !exists(&self.dir.join("use")) {
            return Ok(());
        }
        let _lock = self.lock_uses()?;
        let dir = self.uses(key);
        let remove = |made: &Mountpoint| made.remove().map_err(Error::io(&made.path()));
        if !exists(&dir) {
            // Interrupted before it was entered.
            return if mountpoint.is_there() { Ok(()) } else { remove(mountpoint) };
        }
        if self.is_used(&dir, id).map_err(Error::io(&dir))? {
            return gone(fs::remove_file(dir.join(id.as_str()))).map_err(Error::io(&dir));
        }
        let made = dir.join(MADE);
        match fs::read(&made) {
            Ok(text) => remove(serde_json::from_slice(&text).as_ref().unwrap_or(mountpoint))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(mountpoint)?,
            Err(error) => return Err(Error::io(&made)(error)),
        }
        gone(fs::remove_dir_all(&dir)).map_err(Error::io(&dir))
    }

    /// Whether a container other than `id` uses the mountpoint of `dir`.
    fn is_used(&self, dir: &Path, id: &SandboxId) -> io::Result<bool> {
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let user = name.to_str().and_then(|name| SandboxId::try_from(name.to_owned()).ok());
            if user.is_some_and(|user| user != *id && self.knows(&user)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn uses(&self, key: &str) -> PathBuf {
        self.dir.join("use").join(key)
    }

    fn lock_uses(&self) -> Result<File, Error> {
        let dir = self.dir.join("use");
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let lock = File::open(&dir).map_err(Error::io(&dir))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| Error::io(&dir)(error.into()))?;
        Ok(lock)
    }
}

impl Mountpoint {
    /// Notes which directory the base is, and the key that follows from it.
    pub fn identify(&mut self) {
        let Ok(about) = rustix::fs::stat(&self.base) else { return };
        let (dev, ino) = (about.st_dev, about.st_ino);
        self.base_id = Some((dev, ino));
        let key = Key::of(&[dev.to_string().as_bytes(), ino.to_string().as_bytes(), self.below.join("/").as_bytes()]);
        self.key = Some(key.as_str().to_owned());
    }
}
