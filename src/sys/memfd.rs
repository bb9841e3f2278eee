//! Files that exist only in memory, for what must reach the runtime and nobody else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

/// Engines pass their own descriptors upwards from 3 (`--preserve-fds N`); ours stay clear of them.
const LOWEST: i32 = 512;

/// A sealed memory file with `content`, on a descriptor of at least 512 where the limit on open
/// files allows it, inherited by the program executed next (`/proc/self/fd/N`). It comes after the `preserved`
/// descriptors that this program hands on to a container, whether they are open or not.
///
/// # Errors
/// What `memfd_create`, `write` or `fcntl` say.
pub fn memory_file(name: &str, content: &[u8], preserved: u32) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
        // Kernels before 6.3 do not know NOEXEC_SEAL.
        .or_else(|_| rustix::fs::memfd_create(name, flags))
        .map_err(|error| io::Error::other(format!("memfd_create: {}", io::Error::from(error))))?;
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(&file, rest) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK)?;
    above(&file, 3_i32.saturating_add_unsigned(preserved))
}

/// A copy of `file`, without close-on-exec, as high as the limit on open files allows, but not below `floor`.
fn above(file: impl AsFd, floor: i32) -> io::Result<OwnedFd> {
    let mut lowest = LOWEST.max(floor);
    loop {
        match rustix::io::fcntl_dupfd_cloexec(&file, lowest) {
            Ok(copy) => {
                rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty())?;
                return Ok(copy);
            }
            // EINVAL, EMFILE: the limit is lower than that.
            Err(_) if lowest > floor => lowest = (lowest / 2).max(floor),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fills closed standard descriptors with `/dev/null`, closed again on exec, so that no file this
/// program opens can take the place of standard error and receive its messages.
pub fn secure_stdio() {
    for number in 0..3 {
        // SAFETY: asks about a number; no descriptor is used as a file.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
            // SAFETY: a constant string; the lowest free number is `number`, and it stays open.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        }
    }
}
