//! Mount calls that rustix does not have.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sets attributes (`MOUNT_ATTR_*`) of the detached mount behind `mount`; those not named stay
/// (`mount_setattr(2)`, Linux 5.12).
///
/// # Errors
/// What the kernel says; `ENOSYS` before 5.12.
pub fn set_mount_attributes(mount: impl AsFd, attributes: u64) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    set(mount, &attr)
}

/// `mount_setattr` on the mount behind a descriptor.
pub(super) fn set(mount: impl AsFd, attr: &libc::mount_attr) -> io::Result<()> {
    // SAFETY: an open descriptor, an empty NUL-terminated path, and a structure of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attr),
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
