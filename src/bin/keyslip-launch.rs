//! The launcher: mounted read-only into a container, in front of its command. It adds the variables
//! of one file to the environment and becomes the command. No configuration, no trace.

#![no_main]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keyslip::launch::{self, Failure};
use keyslip::probe;
use keyslip::sys::{self, Args};

keyslip::entry!(start);

fn start(args: Args) -> i32 {
    // A copy under this name is all that the image of `keyslip doctor --probe` holds.
    if sys::execfn().is_some_and(|path| Path::new(path).file_name() == Some(OsStr::new(probe::NAME))) {
        return probe::run(args.get(1).and_then(OsStr::to_str));
    }
    // In front of a command the file is always there: somebody is looking.
    if args.get(1).is_some_and(|arg| arg == "--version") && !Path::new(launch::ENVIRONMENT).exists() {
        println!("keyslip-launch {}", env!("CARGO_PKG_VERSION"));
        return 0;
    }
    let failure = run(&args);
    // `eprintln` panics when standard error is a file on a full disk.
    let _ = writeln!(std::io::stderr(), "{}", failure.message);
    failure.code
}

/// Becomes the command; returns only what went wrong.
fn run(args: &Args) -> Failure {
    let Some(command) = args.get(1) else {
        return Failure {
            code: 127,
            message: "keyslip-launch is put in front of a container's command by keyslip-hook".to_owned(),
        };
    };
    sys::conceal();
    let file = match fs::read(launch::ENVIRONMENT) {
        Ok(file) => file,
        Err(error) => {
            let message =
                format!("keyslip: cannot read {}: {error}; was the container's user changed?", launch::ENVIRONMENT);
            return Failure { code: 126, message };
        }
    };
    let now: Vec<OsString> = std::env::vars_os()
        .map(|(name, value)| OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect();
    let path = std::env::var_os("PATH");
    let program = match launch::find(command, path.as_deref(), is_program) {
        Ok(program) => program,
        Err(failure) => return failure,
    };
    let c_string = |text: &OsStr| CString::new(text.as_bytes()).expect("neither arguments nor variables hold a NUL");
    let env: Vec<CString> = launch::environment(&now, &file).iter().map(|entry| c_string(entry)).collect();
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    launch::failed(command, &sys::exec_with(&c_string(program.as_os_str()), &args.raw()[1..], &env))
}

/// Whether a file is there and has an executable bit.
fn is_program(path: &Path) -> std::io::Result<bool> {
    let about = fs::metadata(path)?;
    Ok(about.is_file() && about.permissions().mode() & 0o111 != 0)
}
