//! The container's file tree before it exists: the root file system with the mounts of the
//! specification on top, walked the way the container will walk it.
//!
//! Every step is one `openat(O_PATH | O_NOFOLLOW)` below a descriptor; links are read and followed
//! by hand, absolute ones from the container's root, `..` never above it. So neither the image nor
//! a volume can lead the walk to the host, and a destination is compared where it will really be
//! (`/var/run/secrets` in most images is `/run/secrets`).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::oci::Spec;

/// Most links followed in one walk, as in the kernel.
const MOST_LINKS: usize = 40;

/// Why a path of the container leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root file system cannot be opened.
    #[error("the root file system {path}: {source}")]
    Rootfs {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: Errno,
    },
    /// Too many links.
    #[error("{0} in the container goes in circles through symbolic links")]
    Loop(PathBuf),
    /// Something on the way is no directory.
    #[error("{path} in the container is no directory, but {wanted} would have to lie below it")]
    NotADirectory {
        /// What is in the way.
        path: PathBuf,
        /// What was wanted.
        wanted: PathBuf,
    },
    /// The system refused.
    #[error("{path} in the container: {source}")]
    Io {
        /// What was looked at.
        path: PathBuf,
        /// Why.
        source: Errno,
    },
}

/// What a place is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The root file system.
    Rootfs,
    /// A bind mount of the host: a volume.
    Volume {
        /// Its source.
        source: PathBuf,
        /// Mounted read-only.
        read_only: bool,
    },
    /// A tmpfs that the runtime will mount, fresh for this container.
    Tmpfs,
    /// A file system of the kernel (`proc`, `sysfs`, …).
    Kernel,
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A device, a FIFO, a socket.
    Other,
}

/// A path of the container after all links.
#[derive(Clone, Debug)]
pub struct Place {
    /// The path, absolute and free of links.
    pub path: PathBuf,
    /// What it is part of.
    pub base: Base,
    /// Its names below the base.
    pub below: Vec<OsString>,
    /// How many of these exist.
    pub existing: usize,
    /// What is there.
    pub found: Found,
    /// Opened, if it is there and its file system is.
    pub handle: Option<Rc<OwnedFd>>,
}

/// One directory on the way of a walk.
#[derive(Clone)]
struct Step {
    name: OsString,
    base: Base,
    /// How many steps belong to an outer base.
    base_depth: usize,
    handle: Option<Rc<OwnedFd>>,
    found: Found,
}

struct MountAt {
    path: PathBuf,
    base: Base,
    handle: Option<Rc<OwnedFd>>,
    found: Found,
}

/// The tree.
pub struct Tree {
    root: Rc<OwnedFd>,
    mounts: Vec<MountAt>,
}

impl Tree {
    /// Opens the root file system of `spec` and lays its mounts over it, except those at the
    /// positions in `without`; relative paths are below `bundle`.
    ///
    /// # Errors
    /// When the root file system cannot be opened. A mount whose destination leads nowhere is left
    /// to the runtime to refuse.
    pub fn open(spec: &Spec<'_>, bundle: &Path, without: &[usize]) -> Result<Self, Error> {
        let path = spec.rootfs(bundle);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(|source| Error::Rootfs { path, source })?;
        let mut tree = Self { root: Rc::new(root), mounts: Vec::new() };
        for (index, mount) in spec.mounts.iter().enumerate() {
            if without.contains(&index) {
                continue;
            }
            let Ok(place) = tree.walk(Path::new(mount.destination.as_ref())) else { continue };
            let (base, handle, found) = match (mount.is_bind(), mount.source.as_deref(), mount.kind.as_deref()) {
                (true, Some(source), _) => {
                    let source = bundle.join(source);
                    let opened = rustix::fs::open(&source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
                    let found = opened.as_ref().map_or(Found::Missing, kind_of);
                    (Base::Volume { source, read_only: mount.is_read_only() }, opened.map(Rc::new), found)
                }
                (_, _, Some("tmpfs")) => {
                    // crun and runc copy the image's directory into such a tmpfs.
                    let copied = mount.options.iter().any(|option| option == "tmpcopyup");
                    (Base::Tmpfs, place.handle.filter(|_| copied), Found::Directory)
                }
                _ => (Base::Kernel, None, Found::Directory),
            };
            tree.mounts.push(MountAt { path: place.path, base, handle, found });
        }
        Ok(tree)
    }

    /// Where the container will have mounts, links resolved.
    pub fn mountpoints(&self) -> impl Iterator<Item = &Path> {
        self.mounts.iter().map(|mount| mount.path.as_path())
    }

    /// Follows `path` as a process in the container would.
    ///
    /// # Errors
    /// When links go in circles or something on the way is no directory.
    pub fn walk(&self, path: &Path) -> Result<Place, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut todo: VecDeque<OsString> = names(path.as_os_str());
        let mut links = 0;
        let mut steps = vec![self.root_step()];
        while let Some(name) = todo.pop_front() {
            let here = steps.last().expect("the root is never left");
            if name == ".." {
                if steps.len() > 1 {
                    steps.pop();
                }
                continue;
            }
            let target = join(&steps, &name);
            if here.found != Found::Directory && here.found != Found::Missing {
                return Err(Error::NotADirectory { path: join(&steps, OsStr::new("")), wanted: path.to_owned() });
            }
            // Both are made by `join`, so equal paths are equal texts.
            if let Some(mount) = self.mounts.iter().rev().find(|mount| mount.path.as_os_str() == target.as_os_str()) {
                let (base, handle, found) = (mount.base.clone(), mount.handle.clone(), mount.found);
                steps.push(Step { name, base, base_depth: steps.len(), handle, found });
                continue;
            }
            let (handle, found) = match &here.handle {
                Some(dir) if here.found == Found::Directory => look(dir, &name).map_err(io)?,
                _ => (None, Found::Missing),
            };
            if let (Some(link), Found::Other) = (&handle, found)
                && let Some(goal) = link_target(link).map_err(io)?
            {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Error::Loop(path.to_owned()));
                }
                if goal.as_bytes().first() == Some(&b'/') {
                    steps.truncate(1);
                }
                for name in names(&goal).into_iter().rev() {
                    todo.push_front(name);
                }
                continue;
            }
            let (base, base_depth) = (here.base.clone(), here.base_depth);
            steps.push(Step { name, base, base_depth, handle: handle.map(Rc::new), found });
        }
        Ok(place(&steps))
    }

    fn root_step(&self) -> Step {
        let handle = Some(Rc::clone(&self.root));
        match self.mounts.iter().rev().find(|mount| mount.path == Path::new("/")) {
            Some(mount) => Step {
                name: OsString::new(),
                base: mount.base.clone(),
                base_depth: 0,
                handle: mount.handle.clone(),
                found: mount.found,
            },
            None => Step { name: OsString::new(), base: Base::Rootfs, base_depth: 0, handle, found: Found::Directory },
        }
    }
}

fn place(steps: &[Step]) -> Place {
    let last = steps.last().expect("the root is never left");
    let below: Vec<OsString> = steps[last.base_depth + 1..].iter().map(|step| step.name.clone()).collect();
    let missing = steps.iter().rev().take_while(|step| step.found == Found::Missing).count();
    Place {
        path: join(&steps[..steps.len() - 1], &last.name),
        base: last.base.clone(),
        existing: below.len().saturating_sub(missing),
        below,
        found: last.found,
        handle: last.handle.clone(),
    }
}

/// The path of `name` in the directory that `steps` lead to.
fn join(steps: &[Step], name: &OsStr) -> PathBuf {
    let mut path = OsString::new();
    for part in steps.iter().map(|step| step.name.as_os_str()).chain([name]).filter(|part| !part.is_empty()) {
        path.push("/");
        path.push(part);
    }
    if path.is_empty() {
        path.push("/");
    }
    path.into()
}

fn names(path: &OsStr) -> VecDeque<OsString> {
    let parts = path.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.map(|part| OsString::from_vec(part.to_vec())).collect()
}

/// Opens `name` in `dir`, not following it.
fn look(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<(Option<OwnedFd>, Found)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(handle) => {
            let found = kind_of(&handle);
            Ok((Some(handle), found))
        }
        Err(Errno::NOENT) => Ok((None, Found::Missing)),
        Err(error) => Err(error),
    }
}

/// Where the link behind `handle` points, if it is one.
fn link_target(handle: &OwnedFd) -> rustix::io::Result<Option<OsString>> {
    let about = rustix::fs::fstat(handle)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(handle, c"", Vec::new())?;
    Ok(Some(OsString::from_vec(target.into_bytes())))
}

fn kind_of(handle: impl AsFd) -> Found {
    match rustix::fs::statat(handle, c"", AtFlags::EMPTY_PATH).map(|about| FileType::from_raw_mode(about.st_mode)) {
        Ok(FileType::Directory) => Found::Directory,
        Ok(FileType::RegularFile) => Found::File,
        _ => Found::Other,
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
