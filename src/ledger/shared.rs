//! Mounts on the host's side of what a container shares with it, in `share/<id>/`. They lie apart from
//! everything that is ever removed with all that is below: here a mount is taken off and its empty
//! place removed, or nothing at all.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use super::{Ledger, SandboxId};

impl Ledger {
    /// Where a container's mounts are.
    #[must_use]
    pub fn shares(&self, id: &SandboxId) -> PathBuf {
        self.dir.join("share").join(id.as_str())
    }

    /// Takes a container's mounts off. What cannot be taken off stays, with its place.
    pub(super) fn remove_shares(&self, id: &SandboxId) {
        take_off(&self.shares(id));
    }

    /// Takes off what containers left that are gone.
    pub(super) fn remove_dangling_shares(&self) {
        for entry in fs::read_dir(self.dir.join("share")).into_iter().flatten().flatten() {
            let id = entry.file_name().to_str().and_then(|name| SandboxId::try_from(name.to_owned()).ok());
            if id.is_some_and(|id| !self.sandbox(&id).exists()) {
                take_off(&entry.path());
            }
        }
    }
}

fn take_off(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let _ = rustix::mount::unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        // Both refuse while something is mounted there, and neither goes below.
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    }
    let _ = fs::remove_dir(dir);
}
