//! Process start for the static programs.
//!
//! The Rust runtime opens `/dev/null` into closed standard descriptors and ignores `SIGPIPE`
//! before `main`. Both would be inherited by the runtime below. The static programs therefore
//! define the C `main` themselves and leave the process as it was handed to them.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// The arguments of the process, exactly as the kernel handed them over.
#[derive(Clone, Debug)]
pub struct Args(Vec<&'static CStr>);

impl Args {
    /// All arguments, program name first.
    #[must_use]
    pub fn raw(&self) -> &[&'static CStr] {
        &self.0
    }

    /// Argument `index` as an operating-system string.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'static OsStr> {
        self.0.get(index).map(|arg| OsStr::from_bytes(arg.to_bytes()))
    }
}

/// Turns the C arguments into [`Args`] and calls `run`; its result is the exit code.
///
/// Called by the `main` that [`crate::entry!`] defines, and by nothing else.
///
/// # Safety
/// `argv` must be the argument vector of the process: `argc` pointers to strings that live as
/// long as the process.
pub unsafe fn start(argc: c_int, argv: *const *const c_char, run: fn(Args) -> i32) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let args = (0..count)
        // SAFETY: the caller promises `argc` valid, NUL-terminated, never freed strings.
        .map(|index| unsafe { CStr::from_ptr(*argv.add(index)) })
        .collect();
    run(Args(args))
}

/// Defines the C `main` of a static program in terms of a safe `fn(Args) -> i32`.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        /// The process starts here, without the set-up of the Rust runtime.
        #[unsafe(no_mangle)]
        ///
        /// # Safety
        /// Called by the C runtime alone, with the arguments of the process.
        pub unsafe extern "C" fn main(
            argc: ::std::ffi::c_int,
            argv: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: these are the arguments of the process, as the C runtime passes them.
            unsafe { $crate::sys::start(argc, argv, $run) }
        }
    };
}

/// The path this program was executed by, links unresolved, as the kernel recorded it
/// (`AT_EXECFN`); unlike `argv[0]` the caller cannot choose it freely.
#[must_use]
pub fn execfn() -> Option<&'static OsStr> {
    // SAFETY: `getauxval` has no preconditions.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if address == 0 {
        return None;
    }
    // SAFETY: for AT_EXECFN the kernel gives the address of a NUL-terminated string on the
    // initial stack, which lives as long as the process.
    let path = unsafe { CStr::from_ptr(address as *const c_char) };
    Some(OsStr::from_bytes(path.to_bytes()))
}
