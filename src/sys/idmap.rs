//! Mounts that show files under another owner.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Makes the detached mount behind `mount` show what belongs to `from` as belonging to `to`, each a uid
/// and a gid, and everything else as nobody's (`MOUNT_ATTR_IDMAP`, Linux 5.12). What is written through
/// it by `to` belongs to `from`.
///
/// # Errors
/// What the kernel says: `EINVAL` for a file system that cannot do it.
pub fn map_owner(mount: impl AsFd, from: (u32, u32), to: (u32, u32)) -> io::Result<()> {
    let namespace = user_namespace(&format!("{} {} 1", from.0, to.0), &format!("{} {} 1", from.1, to.1))?;
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(namespace.as_raw_fd()).unwrap_or(u64::MAX),
    };
    super::mounts::set(mount, &attr)
}

/// A user namespace with these maps. It is made by a child that does nothing else and is gone when this
/// returns; the descriptor keeps the namespace.
fn user_namespace(uid_map: &str, gid_map: &str) -> io::Result<File> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: no preconditions.
    let parent = unsafe { libc::getpid() };
    // SAFETY: the child calls nothing but unshare, write, pause and _exit, which are safe after a fork.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        // SAFETY: as above; `theirs` is an open descriptor and the buffer a constant.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The parent may have been gone before it asked for that.
            if libc::getppid() == parent && libc::unshare(libc::CLONE_NEWUSER) == 0 {
                libc::write(theirs.as_raw_fd(), c"1".as_ptr().cast(), 1);
                libc::pause();
            }
            libc::_exit(1)
        }
    }
    drop(theirs);
    let made = rustix::io::read(&ours, &mut [0_u8; 1]).map_err(io::Error::from).and_then(|count| {
        if count == 0 {
            return Err(io::Error::other("no user namespace can be made here"));
        }
        fs::write(format!("/proc/{child}/uid_map"), uid_map)?;
        fs::write(format!("/proc/{child}/gid_map"), gid_map)?;
        File::open(format!("/proc/{child}/ns/user"))
    });
    // SAFETY: our own child, which has not been waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    made
}
