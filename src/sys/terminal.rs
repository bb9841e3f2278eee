//! Signals as bytes in a pipe, for a loop that waits in `poll`.

use std::ffi::c_int;
use std::io::{self, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

/// What [`Signals`] tells of. One of the first four that is ignored, as after `nohup`, stays so.
const TOLD: [c_int; 6] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGWINCH, libc::SIGCONT];
const MAY_BE_IGNORED: usize = 4;

/// The pipe's writing end while there is one, else -1.
static WRITER: AtomicI32 = AtomicI32::new(-1);

extern "C" fn tell(signal: c_int) {
    // SAFETY: the location of this thread's errno is valid; what is interrupted finds its value again.
    let errno = unsafe { *libc::__errno_location() };
    let byte = signal as u8;
    // SAFETY: `write` may be called in a handler; one byte of ours. A full pipe is no loss: whoever reads
    // it is told already.
    unsafe { libc::write(WRITER.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Signals that would end this process, resize its terminal or continue it come as data while this
/// lives, whichever thread the kernel picks. Writing to a closed pipe is an error instead of the end,
/// and a child's end can be waited for. Programs started meanwhile are not affected: handlers do not
/// survive `exec`, and the standard library resets SIGPIPE.
#[derive(Debug)]
pub struct Signals {
    reader: PipeReader,
    _writer: PipeWriter,
    before: Vec<(c_int, Action)>,
}

struct Action(libc::sigaction);

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Action")
    }
}

impl Signals {
    /// Starts.
    ///
    /// # Errors
    /// `EBUSY` when another one lives; what `pipe2` and `sigaction` say.
    pub fn catch() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        fcntl_setfl(&writer, OFlags::NONBLOCK)?;
        WRITER
            .compare_exchange(-1, writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| io::Error::from(Errno::BUSY))?;
        let mut signals = Self { reader, _writer: writer, before: Vec::with_capacity(TOLD.len() + 2) };
        for (place, signal) in TOLD.into_iter().enumerate() {
            if place >= MAY_BE_IGNORED || action(signal, None)?.0.sa_sigaction != libc::SIG_IGN {
                signals.set(signal, tell as *const () as usize)?;
            }
        }
        signals.set(libc::SIGPIPE, libc::SIG_IGN)?;
        signals.set(libc::SIGCHLD, libc::SIG_DFL)?;
        Ok(signals)
    }

    fn set(&mut self, signal: c_int, to: libc::sighandler_t) -> io::Result<()> {
        // SAFETY: all zeros are an action without flags and with an empty mask.
        let mut wanted: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        wanted.sa_sigaction = to;
        wanted.sa_flags = libc::SA_RESTART;
        let before = action(signal, Some(&wanted))?;
        self.before.push((signal, before));
        Ok(())
    }

    /// What to wait for: readable when a signal has come.
    #[must_use]
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// The next signal that has come.
    #[must_use]
    pub fn take(&self) -> Option<i32> {
        let mut byte = [0_u8; 1];
        match rustix::io::read(&self.reader, &mut byte) {
            Ok(1) => Some(i32::from(byte[0])),
            _ => None,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            let _ = action(*signal, Some(&before.0));
        }
        WRITER.store(-1, Ordering::SeqCst);
    }
}

/// Sets what `signal` does; what it did before.
fn action(signal: c_int, to: Option<&libc::sigaction>) -> io::Result<Action> {
    // SAFETY: all zeros are a valid action.
    let mut before: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let to = to.map_or(null_mut(), |to| std::ptr::from_ref(to).cast_mut());
    // SAFETY: `to` is null or an action whose handler is `tell`, which does only what a handler may,
    // or one that was in force before; `before` is ours.
    let done = unsafe { libc::sigaction(signal, to, &raw mut before) };
    if done == 0 { Ok(Action(before)) } else { Err(io::Error::last_os_error()) }
}
