//! Running the real runtime as a child while staying out of the way.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;

use super::concealed::with_given_limits;
use super::exec::{environment, pointers};

/// How a supervised program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Ended {
    /// The exit code a shell would show.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// Signals that somebody may send to the runtime; they are handed on to the child.
const FORWARDED: [c_int; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Runs `program` with `argv`, this environment, these descriptors and this signal mask, hands
/// signals on to it, and waits for it to end.
///
/// # Errors
/// When the program cannot be started.
pub fn supervise(program: &CStr, argv: &[&CStr]) -> io::Result<Ended> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are initialised by the calls before they are read; a child needs SIGCHLD
    // at its default, or its end would be reaped by the kernel.
    let (set, before) = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in FORWARDED {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        (set.assume_init(), before.assume_init())
    };
    let child = with_given_limits(|| spawn(program, argv, &before));
    let ended = child.map(|child| wait(child, &set));
    // SAFETY: `before` is the mask this process had.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    ended
}

/// What the child has to know. It shares this memory until its `exec`.
struct Start {
    program: *const c_char,
    argv: *const *const c_char,
    mask: *const libc::sigset_t,
    /// Why it could not execute the program.
    error: c_int,
}

/// How much of a stack the child has.
const STACK: usize = 16 * 1024;

/// Starts the child with the signal mask of the caller. It shares the address space until the `exec`, so nothing is
/// copied. `posix_spawn` does the same, and asks for and sets what is to be done about each of the 64 signals, which nobody
/// here has changed; see `docs/decisions/0021-starting-the-runtime.md`.
fn spawn(program: &CStr, argv: &[&CStr], mask: &libc::sigset_t) -> io::Result<libc::pid_t> {
    let argv = pointers(argv);
    let mut start = Start { program: program.as_ptr(), argv: argv.as_ptr(), mask, error: 0 };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    // SAFETY: the child runs on a stack of its own, which grows down from the end of this allocation; its alignment is
    // that of a u128. This thread, the only one, waits until the child has executed or ended (CLONE_VFORK), so everything
    // that `start` points to outlives its use.
    let child = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(execute, top.cast(), flags, (&raw mut start).cast())
    };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `start` is ours; the child has written to it, which the compiler cannot see.
    let error = unsafe { (&raw const start.error).read_volatile() };
    if error != 0 {
        // SAFETY: our child, which has ended.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok(child)
}

/// The child of `spawn`.
extern "C" fn execute(start: *mut c_void) -> c_int {
    // SAFETY: `start` is what `spawn` has given. Only system calls are made, on a stack of our own; no handler of a
    // signal exists that could run in the shared memory.
    unsafe {
        let start = start.cast::<Start>();
        libc::sigprocmask(libc::SIG_SETMASK, (*start).mask, std::ptr::null_mut());
        libc::execve((*start).program, (*start).argv, environment());
        (*start).error = *libc::__errno_location();
        libc::_exit(127)
    }
}

/// Waits for `child`, handing on the signals in `set` that arrive meanwhile.
fn wait(child: libc::pid_t, set: &libc::sigset_t) -> Ended {
    loop {
        let mut about = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: `set` is initialised, `about` is ours.
        let signal = unsafe { libc::sigwaitinfo(set, about.as_mut_ptr()) };
        if signal > 0 && signal != libc::SIGCHLD {
            // SAFETY: `sigwaitinfo` filled it in. A terminal (SI_KERNEL) signals the whole
            // process group, the child included; only what was sent to us alone is handed on.
            let from_terminal = unsafe { about.assume_init() }.si_code == libc::SI_KERNEL;
            if !from_terminal {
                // SAFETY: the child has not been waited for, so the number is still its own.
                unsafe { libc::kill(child, signal) };
            }
            continue;
        }
        let mut status = 0;
        let waited = loop {
            // SAFETY: `child` is ours, `status` is a valid place.
            let waited = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
            // The signal for its end has been taken; no other one would come.
            if waited != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break waited;
            }
        };
        if waited == child {
            if libc::WIFEXITED(status) {
                return Ended::Exited(libc::WEXITSTATUS(status));
            }
            if libc::WIFSIGNALED(status) {
                return Ended::Killed(libc::WTERMSIG(status));
            }
        } else if waited == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) {
            return Ended::Exited(1);
        }
    }
}
