//! Mountpoints: an empty file or directory, or `{}`, in the root file system or a volume, for the runtime to
//! mount on. Left to itself the runtime makes the directories above as root, and the agent cannot
//! write beside its own file.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use serde::{Deserialize, Serialize};

use super::Error;
use super::place::Target;
use super::tree::Base;
use crate::sys::FsIdentity;

/// What is mounted on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A file of settings in JSON. Who meets the mountpoint without the mount, as in an image that was
    /// committed while the container ran, must be able to read it: Claude Code 2.1.197 calls an empty one
    /// corrupted.
    Json,
    /// A directory.
    Directory,
}

impl Kind {
    /// Whether it is a file.
    #[must_use]
    pub fn is_file(self) -> bool {
        self != Self::Directory
    }

    /// What a mountpoint of this kind says.
    fn content(self) -> &'static [u8] {
        if self == Self::Json { b"{}" } else { b"" }
    }
}

/// A time of a file: seconds and nanoseconds.
pub type Time = (i64, i64);

/// A mountpoint to make, and later to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mountpoint {
    /// The root file system or the source of the volume, on the host.
    pub base: PathBuf,
    /// Names below it, free of links.
    pub below: Vec<String>,
    /// How many of these were there.
    pub existing: usize,
    /// What is mounted on it.
    pub kind: Kind,
    /// From which name on things belong to the agent's user, and whose the ones above are.
    pub owned_from: usize,
    /// Host uid and gid of the agent's user.
    pub owner: (u32, u32),
    /// Host uid and gid of the container's root.
    pub root: (u32, u32),
    /// In a volume nothing is done with more rights than the agent's user has.
    pub as_owner: bool,
    /// Device and inode of the base when it was looked at. The container may put something else in
    /// its place before the end.
    #[serde(default)]
    pub base_id: Option<(u64, u64)>,
    /// What it is counted under, once it is known.
    #[serde(default)]
    pub key: Option<String>,
    /// When the directory that it was made in had changed before that, and by that: a build keeps a directory
    /// in its layer that looks changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<[Time; 2]>,
    /// The path in the container, if the start can do without it.
    #[serde(skip)]
    pub dispensable: Option<String>,
}

impl Mountpoint {
    /// The mountpoint for `target`, if it lies where one would stay behind.
    pub(super) fn for_target(target: &Target) -> Option<Self> {
        let place = &target.place;
        let (base, as_owner) = match &place.base {
            Base::Rootfs => (target.rootfs.clone(), false),
            Base::Volume { source, .. } => (source.clone(), true),
            Base::Tmpfs | Base::Kernel => return None,
        };
        let below = place.below.iter().map(|name| name.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        Some(Self {
            base,
            below,
            existing: place.existing,
            kind: target.kind,
            owned_from: target.owned_from,
            owner: target.owner,
            root: target.root,
            as_owner,
            base_id: None,
            key: None,
            changed: None,
            dispensable: None,
        })
    }

    /// Whether it was there before.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.existing == self.below.len()
    }

    /// Makes what is missing. What another container made meanwhile is taken as it is. Says what
    /// [`Self::changed`] is then.
    ///
    /// # Errors
    /// When something cannot be made. Nothing is left behind then.
    pub fn make(&self) -> Result<Option<[Time; 2]>, Error> {
        let made = match self.make_all(self.as_owner) {
            // podman gives a new volume to the container's user only after its precreate hooks.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.as_owner && self.is_new_volume() => {
                self.make_all(false)
            }
            other => other,
        };
        made.map_err(|source| {
            let _ = self.remove();
            Error::Io { path: self.path(), source }
        })
    }

    /// A volume that nobody has put anything into, and nobody but root can: every name in it will
    /// be made here.
    fn is_new_volume(&self) -> bool {
        let ours = |about: std::fs::Metadata| (about.uid(), about.gid()) == self.root || about.uid() == 0;
        // The engines keep their volumes in directories of this name; a host's own is left alone.
        self.existing == 0
            && self.base.ends_with("_data")
            && std::fs::metadata(&self.base).is_ok_and(|about| about.mode() & 0o022 == 0 && ours(about))
            && std::fs::read_dir(&self.base).is_ok_and(|mut entries| entries.next().is_none())
    }

    fn make_all(&self, as_owner: bool) -> io::Result<Option<[Time; 2]>> {
        let mut changed = None;
        let mut dir = self.open_base()?;
        let _identity = match as_owner {
            true => Some(FsIdentity::assume(self.owner.0, self.owner.1)?),
            false => None,
        };
        for (index, name) in self.below.iter().enumerate() {
            let last = index + 1 == self.below.len();
            let (uid, gid) = if index >= self.owned_from { self.owner } else { self.root };
            if index >= self.existing {
                let before = changed_at(&dir)?;
                let made = if last && self.kind.is_file() {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
                    let file = rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR);
                    // On a full disk it stays empty, and is mounted on all the same.
                    file.map(|file| {
                        let _ = rustix::io::write(file, self.kind.content());
                    })
                } else {
                    let mode = if index >= self.owned_from { 0o700 } else { 0o755 };
                    rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(mode))
                };
                match made {
                    Ok(()) if !as_owner => {
                        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                        rustix::fs::chownat(&dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
                    }
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                if index == self.existing {
                    changed = Some([before, changed_at(&dir)?]);
                }
            }
            if !last {
                dir = open_dir(&dir, name)?;
            }
        }
        Ok(changed)
    }

    /// Removes what was made, as far as nothing was put into it and it is still what was made: whatever the
    /// container put in its place stays, and so does what this user may not touch.
    ///
    /// # Errors
    /// When it should go and cannot, or nobody can tell.
    pub fn remove(&self) -> io::Result<()> {
        match self.remove_all() {
            Err(error) if !is_final(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn remove_all(&self) -> io::Result<()> {
        let base = self.open_base()?;
        let _identity = if self.as_owner { FsIdentity::assume(self.owner.0, self.owner.1).ok() } else { None };
        let mut dirs = vec![base];
        for name in &self.below[..self.below.len().saturating_sub(1)] {
            match open_dir(&dirs[dirs.len() - 1], name) {
                Ok(dir) => dirs.push(dir),
                Err(error) if is_final(&error) => break,
                Err(error) => return Err(error),
            }
        }
        for index in (self.existing..dirs.len()).rev() {
            let name: &OsStr = self.below[index].as_ref();
            let file = index + 1 == self.below.len() && self.kind.is_file();
            // Nobody else has changed the directory since.
            let alone = |[_, by_us]: &[Time; 2]| changed_at(&dirs[index]).is_ok_and(|now| now == *by_us);
            let restore = self.changed.filter(|changed| index == self.existing && alone(changed));
            let removed = if file {
                remove_file(&dirs[index], name, self.kind.content())
            } else {
                rustix::fs::unlinkat(&dirs[index], name, AtFlags::REMOVEDIR).map_err(Into::into)
            };
            if let (Ok(()), Some([before, _])) = (&removed, restore) {
                let _ = set_changed_at(&dirs[index], before);
            }
            // A mountpoint that is gone does not keep its parents.
            removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// Its path on the host, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.base.join(self.below.iter().collect::<PathBuf>())
    }

    fn open_base(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = rustix::fs::open(&self.base, flags, Mode::empty())?;
        let about = rustix::fs::fstat(&base)?;
        match self.base_id {
            Some(id) if id != (about.st_dev, about.st_ino) => Err(io::Error::from(io::ErrorKind::NotFound)),
            _ => Ok(base),
        }
    }
}

/// Whether another attempt would end the same: it is not there, it is not ours any more, or we may not.
fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | DirectoryNotEmpty | AlreadyExists | PermissionDenied)
        || error.raw_os_error() == Some(libc::ELOOP)
}

fn open_dir(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// When something was last made or removed in a directory.
fn changed_at(dir: &OwnedFd) -> io::Result<Time> {
    let about = rustix::fs::fstat(dir)?;
    Ok((about.st_mtime, i64::try_from(about.st_mtime_nsec).unwrap_or(0)))
}

fn set_changed_at(dir: &OwnedFd, (seconds, nanoseconds): Time) -> io::Result<()> {
    let leave = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let times =
        Timestamps { last_access: leave, last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds } };
    Ok(rustix::fs::utimensat(dir, ".", &times, AtFlags::empty())?)
}

/// Removes a file that is empty or says what it was made with.
fn remove_file(dir: &OwnedFd, name: &OsStr, content: &[u8]) -> io::Result<()> {
    let about = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let regular = rustix::fs::FileType::from_raw_mode(about.st_mode) == rustix::fs::FileType::RegularFile;
    if !regular || !(about.st_size == 0 || says(dir, name, content)?) {
        return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty));
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

/// Whether that is all that the file says.
fn says(dir: &OwnedFd, name: &OsStr, content: &[u8]) -> io::Result<bool> {
    // What may have been put there meanwhile must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let mut text = [0_u8; 8];
    let length = rustix::io::read(file, &mut text)?;
    Ok(&text[..length] == content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base: &std::path::Path) -> Mountpoint {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Mountpoint {
            base: base.to_owned(),
            below: ["home", "settings.json"].map(str::to_owned).to_vec(),
            existing: 0,
            kind: Kind::Json,
            owned_from: 0,
            owner,
            root: owner,
            as_owner: false,
            base_id: None,
            key: None,
            changed: None,
            dispensable: None,
        }
    }

    #[test]
    fn a_mountpoint_for_settings_is_readable_as_json_and_goes_unless_somebody_wrote_there() {
        let dir = tempfile::tempdir().unwrap();
        let made = settings(dir.path());
        let path = dir.path().join("home/settings.json");
        for (now, stays) in [(None, false), (Some(""), false), (Some("{} "), true), (Some("{\"a\":1}"), true)] {
            made.make().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"{}");
            if let Some(now) = now {
                std::fs::write(&path, now).unwrap();
            }
            made.remove().unwrap();
            assert_eq!(path.exists(), stays, "{now:?}");
            let _ = std::fs::remove_dir_all(dir.path().join("home"));
        }
    }
}
