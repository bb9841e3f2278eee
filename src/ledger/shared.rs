//! Mounts on the host's side of what a container shares with it, in `share/<id>/`. They lie apart from
//! everything that is ever removed with all that is below: here a mount is taken off and its empty
//! place removed, or nothing at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use super::{Error, Ledger, SandboxId, gone, list};

impl Ledger {
    /// Where a container's mounts are.
    #[must_use]
    pub fn shares(&self, id: &SandboxId) -> PathBuf {
        self.dir.join("share").join(id.as_str())
    }

    /// Takes a container's mounts off. What cannot be taken off stays, with its place.
    pub(super) fn remove_shares(&self, id: &SandboxId) -> Result<(), Error> {
        let dir = self.shares(id);
        take_off(&dir).map_err(Error::io(&dir))
    }

    /// Takes off what containers left that are gone.
    pub(super) fn remove_dangling_shares(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        for dir in list(&self.dir.join("share"), &mut problems) {
            let name = dir.file_name().and_then(|name| name.to_str());
            let id = name.and_then(|name| SandboxId::try_from(name.to_owned()).ok());
            if id.is_some_and(|id| !self.knows(&id)) {
                problems.extend(take_off(&dir).map_err(Error::io(&dir)).err());
            }
        }
        problems
    }
}

fn take_off(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        let _ = rustix::mount::unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        // Both refuse while something is mounted there, and neither goes below.
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    }
    // Refuses as long as one of them is left.
    gone(fs::remove_dir(dir))
}
