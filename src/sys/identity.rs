//! Touching files as somebody else.

use std::io;

use super::concealed::stay_concealed;

/// Undoes [`FsIdentity::assume`] when dropped.
#[derive(Debug)]
pub struct FsIdentity {
    uid: u32,
    gid: u32,
    groups: Vec<libc::gid_t>,
}

impl FsIdentity {
    /// Makes every file operation of this thread, until the guard is dropped, that of `uid` and
    /// `gid`. The kernel drops the file capabilities with the file-system uid, so root becomes an
    /// ordinary user for `open`, `mkdir` and the like (`setfsuid(2)`).
    ///
    /// # Errors
    /// `EPERM` when this process may not take that identity.
    pub fn assume(uid: u32, gid: u32) -> io::Result<Self> {
        let groups: Vec<libc::gid_t> = rustix::process::getgroups()?.iter().map(|group| group.as_raw()).collect();
        // SAFETY: zero groups, so the pointer is not read. Where this is refused, in a user's own
        // namespace, the groups are that user's and give nothing that is not theirs.
        unsafe { libc::setgroups(0, std::ptr::null()) };
        // SAFETY: both calls take integers and return the previous id.
        let previous = unsafe { Self { gid: libc::setfsgid(gid) as u32, uid: libc::setfsuid(uid) as u32, groups } };
        // These calls do not report failure; asking with an invalid id reads the current one.
        // SAFETY: as above.
        let now = unsafe { (libc::setfsuid(u32::MAX) as u32, libc::setfsgid(u32::MAX) as u32) };
        stay_concealed();
        if now == (uid, gid) { Ok(previous) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
    }
}

impl Drop for FsIdentity {
    fn drop(&mut self) {
        // SAFETY: integers in, integers out; the groups are an array of its length.
        unsafe {
            libc::setfsuid(self.uid);
            libc::setfsgid(self.gid);
            libc::setgroups(self.groups.len(), self.groups.as_ptr());
        }
        stay_concealed();
    }
}

/// Runs `work` as the user `uid`, `gid`, with no supplementary groups, and comes back. Used to
/// read a user's store as that user: a link of theirs leads where they may go, not where root may.
///
/// # Errors
/// When the identity cannot be taken. A failure to come back ends the process: going on with
/// the wrong identity would be worse.
pub fn as_user<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> io::Result<T> {
    let groups = rustix::process::getgroups()?;
    // SAFETY: zero groups, so the pointer is not read. glibc has every thread of the process change.
    let left = unsafe { libc::setgroups(0, std::ptr::null()) };
    if left != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: integers only.
    let moved = unsafe { libc::setegid(gid) == 0 && libc::seteuid(uid) == 0 };
    let failure = io::Error::last_os_error();
    stay_concealed();
    let result = moved.then(work);
    let raw: Vec<libc::gid_t> = groups.iter().map(|group| group.as_raw()).collect();
    // SAFETY: the saved ids of this process are 0, so it may return to them; `raw` is a valid
    // array of its length.
    let back =
        unsafe { libc::seteuid(0) == 0 && libc::setegid(0) == 0 && libc::setgroups(raw.len(), raw.as_ptr()) == 0 };
    if !back {
        std::process::abort();
    }
    stay_concealed();
    result.ok_or(failure)
}
