//! The only module that holds unsafe code, and the only one that talks to the kernel about
//! processes, memory files and identities. Everything it offers is safe to call.

#![allow(unsafe_code)]

mod concealed;
mod entry;
mod exec;
mod helper;
mod identity;
mod idmap;
mod memfd;
mod mounts;
mod signals;
mod supervise;
#[cfg(feature = "login")]
mod terminal;

pub use concealed::{Need, conceal, gain_nothing, keep_only};
pub use entry::{Args, execfn, start};
pub use exec::{exec, exec_with};
pub use helper::{Helper, start_helper};
pub use identity::{FsIdentity, as_user};
pub use idmap::map_owner;
pub use memfd::{memory_file, secure_stdio};
pub use mounts::{own_directories, set_mount_attributes};
pub use signals::Uninterrupted;
pub use supervise::{Ended, supervise};
#[cfg(feature = "login")]
pub use terminal::Signals;

use std::io;
use std::path::Path;

/// Lets a write to a closed pipe end this process, as it does outside of Rust.
pub fn end_on_closed_pipe() {
    // SAFETY: sets a disposition to its default; no handler runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Lets programs that this one starts be waited for, whatever it was started with.
pub fn wait_for_children() {
    // SAFETY: sets a disposition to its default; no handler runs.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Forgets the environment that this program was started with, for itself and for whatever it starts.
pub fn forget_environment() {
    // SAFETY: this program has one thread, and nothing borrows from its environment.
    unsafe { libc::clearenv() };
}

/// `tmpfs` in `statfs(2)`'s `f_type`; the only file system Keyslip writes a secret to.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// `ramfs`, which is never swapped out either.
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// Whether `path` lies on a file system that lives in memory.
///
/// # Errors
/// What `statfs` says.
pub fn is_memory_backed(path: &Path) -> io::Result<bool> {
    let kind = rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff;
    Ok(kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}
