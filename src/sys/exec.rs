//! Replacing the process by another program, with nothing changed but what is said.

use std::ffi::{CStr, c_char};
use std::io;

use super::concealed::with_given_limits;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The C view of an argument vector: pointers, then a null.
pub(super) fn pointers(argv: &[&CStr]) -> Vec<*const c_char> {
    argv.iter().map(|arg| arg.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// The environment this process was started with.
pub(super) fn environment() -> *const *const c_char {
    // SAFETY: reading the pointer is sound; nothing in this crate changes the environment.
    unsafe { environ }
}

/// Replaces this process by `program` with `argv` and the environment it has now.
/// `std::process::Command` is not used: it resets the signal mask and `SIGPIPE`.
///
/// Returns only when it failed, with the reason.
#[must_use]
pub fn exec(program: &CStr, argv: &[&CStr]) -> io::Error {
    let argv = pointers(argv);
    with_given_limits(|| {
        // SAFETY: `program` and every entry are NUL-terminated and outlive the call; both vectors
        // end with a null pointer.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment()) };
        io::Error::last_os_error()
    })
}

/// Replaces this process by `program` with `argv` and `env` and nothing else.
///
/// Returns only when it failed, with the reason.
#[must_use]
pub fn exec_with(program: &CStr, argv: &[&CStr], env: &[&CStr]) -> io::Error {
    let (argv, env) = (pointers(argv), pointers(env));
    with_given_limits(|| {
        // SAFETY: every string is NUL-terminated and outlives the call; both vectors end with null.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        io::Error::last_os_error()
    })
}
