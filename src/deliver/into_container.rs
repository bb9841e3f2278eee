//! Mounts into a container's mount namespace, from outside of it: at its start by a hook, and later
//! for a file that cannot be changed in place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use rustix::thread::LinkNameSpaceType;

use super::Error;
use crate::oci::NewMount;
use crate::sys;

/// `MOVE_MOUNT_BENEATH`, Linux 6.5: below the mount that is there, which then can be taken off.
const BENEATH: MoveMountFlags = MoveMountFlags::from_bits_retain(0x200);

/// Makes every mount in `mounts` below `rootfs`, as the process `pid` sees it before it has changed its
/// root. What is mounted is cloned here first; in the container's namespace only descriptors are
/// used, and paths are resolved below its root.
///
/// # Errors
/// When the kernel lacks a call, the process is gone, or a place cannot be mounted on. Mounts that
/// were made before stay: the container is not started then.
// Kept as a function of its own: benches/instructions counts up to it.
#[inline(never)]
pub fn mount_all(pid: i32, rootfs: &Path, mounts: &[NewMount]) -> Result<(), Error> {
    let detached: Vec<(OwnedFd, &NewMount)> =
        mounts.iter().map(|mount| Ok((detached(mount)?, mount))).collect::<Result<_, Error>>()?;
    inside(pid, || {
        let root = open_root(rootfs)?;
        for (tree, mount) in &detached {
            let target = target(&root, tree, mount).map_err(on(&mount.destination))?;
            attach(tree, &target, MoveMountFlags::empty()).map_err(on(&mount.destination))?;
        }
        Ok(())
    })
}

/// Puts `mount` in place of the mount at its destination, in the running container of `pid`. Who opens
/// the path finds the old one or the new one.
///
/// # Errors
/// As for [`mount_all`]; the old mount stays then.
pub fn swap(pid: i32, mount: &NewMount) -> Result<(), Error> {
    let tree = detached(mount)?;
    inside(pid, || {
        let root = open_root(Path::new("/"))?;
        let target = resolve(&root, &mount.destination).map_err(on(&mount.destination))?;
        match attach(&tree, &target, BENEATH) {
            // The old one is on top until this.
            Ok(()) => rustix::mount::unmount(mount.destination.as_str(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
                .map_err(on(&mount.destination)),
            // Before 6.5: on top of the old one, which nobody reaches by its path any more.
            Err(Errno::INVAL) => attach(&tree, &target, MoveMountFlags::empty()).map_err(on(&mount.destination)),
            Err(error) => Err(on(&mount.destination)(error)),
        }
    })
}

/// Does `work` in the mount namespace of `pid` and comes back.
fn inside<T>(pid: i32, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if pid <= 0 {
        return Err(Error::NoProcess);
    }
    let open = |path: String| File::open(&path).map_err(|source| Error::Io { path: path.into(), source });
    let (ours, theirs) = (open("/proc/self/ns/mnt".to_owned())?, open(format!("/proc/{pid}/ns/mnt"))?);
    let number = |file: &File| rustix::fs::fstat(file).map(|about| about.st_ino);
    if number(&ours) == number(&theirs) {
        return Err(Error::NoProcess);
    }
    enter(&theirs).map_err(on("the container's mount namespace"))?;
    let done = work();
    // Going on in the wrong namespace would be worse than ending here.
    if enter(&ours).is_err() {
        std::process::abort();
    }
    done
}

fn enter(namespace: &File) -> rustix::io::Result<()> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
}

fn open_root(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(on(&path.to_string_lossy()))
}

/// A mount that is not attached anywhere yet, with its options set.
fn detached(mount: &NewMount) -> Result<OwnedFd, Error> {
    let attributes = attributes(&mount.options);
    let failed = on(&mount.destination);
    if mount.kind == "tmpfs" {
        return tmpfs(&mount.options, attributes).map_err(failed);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, mount.source.as_str(), flags).map_err(failed)?;
    sys::set_mount_attributes(&tree, attributes.bits().into())
        .map_err(|source| on(&mount.destination)(Errno::from_io_error(&source).unwrap_or(Errno::IO)))?;
    Ok(tree)
}

fn tmpfs(options: &[String], attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in options {
        if let Some((key, value)) = option.split_once('=') {
            rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?;
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn attributes(options: &[String]) -> MountAttrFlags {
    let each = options.iter().map(|option| match option.as_str() {
        "ro" => MountAttrFlags::MOUNT_ATTR_RDONLY,
        "nosuid" => MountAttrFlags::MOUNT_ATTR_NOSUID,
        "nodev" => MountAttrFlags::MOUNT_ATTR_NODEV,
        "noexec" => MountAttrFlags::MOUNT_ATTR_NOEXEC,
        _ => MountAttrFlags::empty(),
    });
    each.fold(MountAttrFlags::empty(), |all, one| all | one)
}

fn attach(tree: &OwnedFd, target: &OwnedFd, how: MoveMountFlags) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH | how;
    rustix::mount::move_mount(tree.as_fd(), "", target.as_fd(), "", flags)
}

/// The place of a mount, resolved as if the container's root were `/`. What is missing lies on a tmpfs
/// of the container, where nothing could be made before.
fn target(root: &OwnedFd, tree: &OwnedFd, mount: &NewMount) -> rustix::io::Result<OwnedFd> {
    match resolve(root, &mount.destination) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let path = Path::new(&mount.destination);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let dir = match resolve(root, &parent.to_string_lossy()) {
        Err(Errno::NOENT) => {
            let above = resolve(root, &parent.parent().unwrap_or(Path::new("/")).to_string_lossy())?;
            rustix::fs::mkdirat(&above, parent.file_name().ok_or(Errno::INVAL)?, Mode::from_raw_mode(0o755))?;
            resolve(root, &parent.to_string_lossy())?
        }
        other => other?,
    };
    if FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) == FileType::Directory {
        rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR)?;
    }
    resolve(root, &mount.destination)
}

fn resolve(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), how)
}

/// Names the place in an error, and tells an old kernel by name.
fn on(place: &str) -> impl Fn(Errno) -> Error + use<> {
    let place = place.to_owned();
    move |error| match error {
        Errno::NOSYS => Error::OldKernel,
        other => Error::Mount { place: place.clone(), source: io::Error::from(other) },
    }
}
