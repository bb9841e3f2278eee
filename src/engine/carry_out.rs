//! Carrying a plan out: all of it, or nothing.
//!
//! Every new file is written beside the one it replaces, the engine reads it there, and only when all are
//! accepted are they moved into place. What was moved is moved back at the first error. A process that
//! is killed leaves the receipt, from which the next one undoes what was done.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, XattrFlags, flock, getxattr, listxattr, setxattr};

use super::{Change, Error, Host, receipt};

/// The mode of a new file that an engine reads.
const PUBLIC: u32 = 0o644;

/// What keeps two installations from happening at once.
pub(super) struct Hold(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Waits for nobody: whoever installs is told that somebody else does.
pub(super) fn hold(host: &Host) -> Result<Hold, Error> {
    let dir = receipt::directory(&host.site);
    let failed = |source| Error::Write { path: dir.clone(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
    let file = File::open(&dir).map_err(failed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::Busy)?;
    Ok(Hold(file))
}

/// Files that stand ready beside those they replace.
pub(super) struct Staged<'a> {
    changes: Vec<(&'a Change, Option<PathBuf>)>,
}

/// Writes every new file beside its place.
pub(super) fn stage<'a>(changes: &'a [Change]) -> Result<Staged<'a>, Error> {
    let mut staged = Staged { changes: Vec::new() };
    for change in changes {
        let new = change.after.as_ref().map(|after| {
            let new = beside(&change.path);
            write(&new, after, &change.path, PUBLIC).map(|()| new)
        });
        // What was begun is remembered, so that it goes away with the rest.
        let failed = |source| Error::Write { path: change.path.clone(), source };
        staged.changes.push((change, new.transpose().map_err(failed)?));
    }
    Ok(staged)
}

impl Staged<'_> {
    /// The changes, with the files that stand ready.
    pub fn ready(&self) -> impl Iterator<Item = (&Change, &Path)> {
        self.changes.iter().filter_map(|(change, new)| Some((*change, new.as_deref()?)))
    }

    /// Moves everything into place, or back.
    pub fn commit(&self) -> Result<(), Error> {
        for (index, (change, new)) in self.changes.iter().enumerate() {
            if fs::read(&change.path).ok() != change.before {
                self.undo(index, io::ErrorKind::Other.into(), &change.path)?;
                return Err(Error::Raced { path: change.path.clone() });
            }
            let moved = match new {
                Some(new) => fs::rename(new, &change.path),
                None => fs::remove_file(&change.path),
            };
            if let Err(source) = moved.and_then(|()| sync_directory(&change.path)) {
                self.undo(index, io::Error::from(source.kind()), &change.path)?;
                return Err(Error::Write { path: change.path.clone(), source });
            }
        }
        Ok(())
    }

    /// Puts back what was done before the change at `failed`, the last first.
    fn undo(&self, failed: usize, source: io::Error, path: &Path) -> Result<(), Error> {
        for (change, _) in self.changes[..failed].iter().rev() {
            if let Err(undo) = put(&change.path, change.before.as_deref(), PUBLIC) {
                return Err(Error::HalfDone { path: path.to_owned(), source, undo });
            }
        }
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        for (change, _) in &self.changes {
            let _ = fs::remove_file(beside(&change.path));
        }
    }
}

/// Makes a file have these bytes, or not be there. A new one has the mode.
pub(super) fn put(path: &Path, bytes: Option<&[u8]>, mode: u32) -> io::Result<()> {
    match bytes {
        Some(bytes) => {
            let new = beside(path);
            write(&new, bytes, path, mode).and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
                let _ = fs::remove_file(&new);
            })?;
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    sync_directory(path)
}

/// The name of a new file: one that no engine takes for a drop-in, and always the same one, so that what a
/// killed process has left is replaced by the next.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.keyslip-new"))
}

/// Writes a new file, on the disk when this returns, with owner, mode and attributes of `like` where that is.
fn write(new: &Path, bytes: &[u8], like: &Path, mode: u32) -> io::Result<()> {
    let _ = fs::remove_file(new);
    let about = fs::metadata(like).ok();
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(new)?;
    let written = file.write_all(bytes).and_then(|()| {
        if let Some(about) = &about {
            std::os::unix::fs::fchown(&file, Some(about.uid()), Some(about.gid()))?;
            copy_attributes(like, new);
        }
        let mode = about.as_ref().map_or(mode, |about| about.mode() & 0o7777);
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    });
    if written.is_err() {
        let _ = fs::remove_file(new);
    }
    written
}

/// SELinux labels and access lists, as far as the file system has them.
fn copy_attributes(from: &Path, to: &Path) {
    let mut names = vec![0_u8; 4096];
    let Ok(length) = listxattr(from, &mut names[..]) else { return };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 65536];
        if let Ok(length) = getxattr(from, name, &mut value[..]) {
            let _ = setxattr(to, name, &value[..length], XattrFlags::empty());
        }
    }
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// The directories that are not there yet, outer ones first.
pub(super) fn missing_directories<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for path in paths {
        let mut above: Vec<&Path> = path.ancestors().skip(1).take_while(|dir| !dir.exists()).collect();
        above.reverse();
        for dir in above {
            if !missing.iter().any(|known| known == dir) {
                missing.push(dir.to_owned());
            }
        }
    }
    missing
}

/// Makes directories that everybody can read, as those of engines are.
pub(super) fn make(dirs: &[PathBuf]) -> Result<(), Error> {
    for dir in dirs {
        let made = fs::DirBuilder::new().mode(0o755).create(dir);
        if let Err(source) = made.or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) }) {
            return Err(Error::Write { path: dir.clone(), source });
        }
    }
    Ok(())
}

/// Removes directories that are empty, inner ones first.
pub(super) fn unmake(dirs: &[PathBuf]) {
    for dir in dirs.iter().rev() {
        let _ = fs::remove_dir(dir);
    }
}
