//! Mounts into a container's mount namespace, from outside of it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, bail};
use keyslip::oci::NewMount;
use keyslip::sys;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

/// Makes every mount in `mounts` below `rootfs`, as the process `pid` sees it. What is mounted is
/// cloned here first; in the container's namespace only descriptors are used, and paths are resolved
/// below its root.
// Kept as a function of its own: benches/instructions counts up to it.
#[inline(never)]
pub fn mount_all(pid: i32, rootfs: &Path, mounts: &[NewMount]) -> anyhow::Result<()> {
    if pid <= 0 {
        bail!("the state names no process; this hook belongs to createRuntime or prestart");
    }
    let detached: Vec<(OwnedFd, &NewMount)> =
        mounts.iter().map(|mount| Ok((detached(mount)?, mount))).collect::<anyhow::Result<_>>()?;
    let ours = File::open("/proc/self/ns/mnt").context("cannot open this mount namespace")?;
    let theirs = File::open(format!("/proc/{pid}/ns/mnt")).context("cannot open the container's mount namespace")?;
    enter(theirs.as_fd()).context("cannot enter the container's mount namespace")?;
    let done = attach_all(rootfs, &detached);
    enter(ours.as_fd()).context("cannot come back from the container's mount namespace")?;
    done
}

fn enter(namespace: impl AsFd) -> rustix::io::Result<()> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(rustix::thread::LinkNameSpaceType::Mount))
}

/// A mount that is not attached anywhere yet, with its options set.
fn detached(mount: &NewMount) -> anyhow::Result<OwnedFd> {
    let failed = || format!("cannot prepare the mount for {}", mount.destination);
    let attributes = attributes(&mount.options);
    if mount.kind == "tmpfs" {
        let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).with_context(failed)?;
        for option in &mount.options {
            if let Some((key, value)) = option.split_once('=') {
                rustix::mount::fsconfig_set_string(context.as_fd(), key, value).with_context(failed)?;
            }
        }
        rustix::mount::fsconfig_create(context.as_fd()).with_context(failed)?;
        return rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).with_context(failed);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, mount.source.as_str(), flags)
        .map_err(too_old)
        .with_context(failed)?;
    sys::set_mount_attributes(&tree, attributes.bits().into()).with_context(failed)?;
    Ok(tree)
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

fn attach_all(rootfs: &Path, mounts: &[(OwnedFd, &NewMount)]) -> anyhow::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(rootfs, flags, Mode::empty()).with_context(|| {
        format!("cannot open the root file system {} in the container's namespace", rootfs.display())
    })?;
    for (tree, mount) in mounts {
        let target = target(&root, tree, mount).with_context(|| format!("cannot mount on {}", mount.destination))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(tree.as_fd(), "", target.as_fd(), "", flags)
            .map_err(too_old)
            .with_context(|| format!("cannot mount on {}", mount.destination))?;
    }
    Ok(())
}

/// The place of a mount, resolved as if the container's root were `/`. What is missing lies on a
/// tmpfs of the container, where nothing could be made before.
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

/// These calls came with Linux 5.2 and 5.12; an older kernel is told by name.
fn too_old(error: Errno) -> anyhow::Error {
    match error {
        Errno::NOSYS => {
            anyhow::anyhow!("this kernel lacks the mount calls that the hook needs (Linux 5.12); use the shim")
        }
        other => other.into(),
    }
}
