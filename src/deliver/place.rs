//! Deciding how something gets to a path of the container.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;

use super::Error;
use super::mountpoint::Kind;
use super::owner::Owner;
use super::tree::{Base, Found, Place, Tree};
use crate::ledger::Key;
use crate::oci::{IdMap, NewMount, Spec};

/// A place that something is mounted on, and who owns what has to be made for it.
#[derive(Debug)]
pub(super) struct Target {
    pub place: Place,
    pub kind: Kind,
    pub rootfs: PathBuf,
    pub owner: (u32, u32),
    pub root: (u32, u32),
    pub owned_from: usize,
}

/// What all targets of one container share.
pub(super) struct Surroundings<'a> {
    pub tree: &'a Tree,
    pub rootfs: PathBuf,
    pub owner: &'a Owner,
    pub root: (u32, u32),
    /// The home directory after links.
    pub home: PathBuf,
}

impl<'a> Surroundings<'a> {
    pub fn new(spec: &Spec<'_>, bundle: &Path, tree: &'a Tree, owner: &'a Owner) -> Result<Self, Error> {
        let map = |ranges: &[IdMap], what| IdMap::map(ranges, 0).ok_or(Error::Unmapped { what, id: 0 });
        // A namespace without a root of its own has the user own everything.
        let root = (map(&spec.uids, "uid").unwrap_or(owner.host_uid), map(&spec.gids, "gid").unwrap_or(owner.host_gid));
        let home = tree.walk(&owner.home)?.path;
        Ok(Self { tree, rootfs: spec.rootfs(bundle), owner, root, home })
    }

    /// The target at `path`, checked: `what` names it in errors.
    pub fn target(&self, path: &Path, kind: Kind, what: &str) -> Result<Target, Error> {
        let place = self.tree.walk(path)?;
        if self.tree.mountpoints().any(|mount| mount == place.path) {
            return Err(Error::Taken { path: place.path, what: what.to_owned() });
        }
        let unusable = |reason: &str| Error::Unusable {
            path: place.path.clone(),
            reason: reason.to_owned(),
            what: what.to_owned(),
        };
        match (place.found, kind) {
            (Found::Directory, Kind::File | Kind::Json) => return Err(unusable("is a directory")),
            (Found::File | Found::Other, Kind::Directory) => return Err(unusable("is no directory")),
            _ => {}
        }
        match &place.base {
            Base::Kernel => return Err(unusable("lies in a file system of the kernel")),
            Base::Volume { read_only: true, .. } if place.existing < place.below.len() => {
                return Err(unusable("does not exist, and the volume around it is mounted read-only"));
            }
            _ => {}
        }
        // Everything at and below the home directory belongs to the user; what is above, to root.
        let above_home = self.home.components().count().saturating_sub(1);
        let base_depth = place.path.components().count() - 1 - place.below.len();
        let below_home = place.path.starts_with(&self.home);
        let owned_from = if below_home { above_home.max(1).saturating_sub(base_depth + 1) } else { place.below.len() };
        let owner = (self.owner.host_uid, self.owner.host_gid);
        Ok(Target { place, kind, rootfs: self.rootfs.clone(), owner, root: self.root, owned_from })
    }
}

impl Target {
    /// The mount of `source` on it, and what has to be mounted first: on a tmpfs of the container,
    /// directories above are made by the runtime, as root; one for the user covers each of them.
    pub fn mounts(&self, source: &Path, writable: bool, owner: &Owner) -> Vec<NewMount> {
        let mut mounts = Vec::new();
        let missing = self.place.below.len() - self.place.existing;
        let depth = if self.place.base == Base::Tmpfs { missing } else { 0 };
        for up in (1..depth).rev().filter_map(|levels| self.place.path.ancestors().nth(levels)) {
            mounts.push(NewMount {
                destination: text(up),
                source: "tmpfs".to_owned(),
                kind: "tmpfs",
                options: ["nosuid", "nodev", "mode=0700"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([format!("uid={}", owner.uid), format!("gid={}", owner.gid)])
                    .collect(),
            });
        }
        let access = if writable { "rw" } else { "ro" };
        mounts.push(NewMount {
            destination: text(&self.place.path),
            source: text(source),
            kind: "bind",
            options: ["bind", access, "nosuid", "nodev", "noexec", "rprivate"].map(str::to_owned).to_vec(),
        });
        mounts
    }

    /// For a file in a volume, what nobody else may hold at the same time: a rename by another
    /// container that shares the volume would detach our mount, and the agent would then read
    /// whatever was put there.
    pub fn claim(&self) -> Option<Key> {
        let Base::Volume { source, .. } = &self.place.base else { return None };
        let about = rustix::fs::stat(source).ok()?;
        let below: PathBuf = self.place.below.iter().collect();
        Some(Key::of(&[
            about.st_dev.to_string().as_bytes(),
            about.st_ino.to_string().as_bytes(),
            below.as_os_str().as_encoded_bytes(),
        ]))
    }

    /// Whether a file with something in it is there already, in a volume: somebody's own login.
    pub fn holds_somebodys_file(&self) -> bool {
        matches!(self.place.base, Base::Volume { .. })
            && self.place.found == Found::File
            && self.place.handle.as_ref().is_some_and(|handle| {
                rustix::fs::statat(handle.as_fd(), c"", AtFlags::EMPTY_PATH).is_ok_and(|about| about.st_size > 0)
            })
    }
}

/// A path of the container as text. The walk began with text and followed links; a link that is no
/// UTF-8 cannot be named in `config.json` and the runtime will say so.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
