//! Not being ended half-way.

use std::ffi::c_int;
use std::mem::MaybeUninit;

/// What a person, a terminal or a service manager sends to end a program.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Holds back the signals that would end this program; those that came meanwhile arrive when it is
/// dropped. Threads that are started meanwhile hold them back for ever, threads that were there
/// before do not: start them later.
pub struct Uninterrupted(libc::sigset_t);

impl Uninterrupted {
    /// From now on.
    #[must_use]
    pub fn begin() -> Self {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the first call initialises `set`, the last one `before`, and it cannot fail with
        // these arguments.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in ENDING {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        // SAFETY: the mask that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}
