//! A runtime's command line: whatever it is, it can be read, and other arguments are as they were where one is
//! replaced.
#![no_main]

use std::ffi::{CStr, CString};
use std::path::Path;

use keyslip::oci::{Call, Command};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (runtime, rest) = match bytes.split_first() {
        Some((first, rest)) => (["crun", "runc", "runsc", "youki"][usize::from(first % 4)], rest),
        None => return,
    };
    let argv: Vec<CString> = [runtime.as_bytes()]
        .into_iter()
        .chain(rest.split(|byte| *byte == b'\n'))
        .map(|arg| CString::new(arg.iter().map(|byte| (*byte).max(1)).collect::<Vec<u8>>()).unwrap())
        .collect();
    let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
    let call = Call::parse(runtime, &argv);
    assert_eq!(call.argv(), argv);
    let _ = (call.root(), call.log(), call.pid_file(), call.process(), call.global(), call.rest());
    // Nobody replaces anything on a command line that is handed on.
    if call.command == Command::Other {
        return;
    }
    let other = call.with_bundle(Path::new("/private"));
    let other: Vec<&CStr> = other.iter().map(CString::as_c_str).collect();
    let read = Call::parse(runtime, &other);
    assert_eq!((read.command, read.container(), read.root()), (call.command, call.container(), call.root()));
    if call.command == Command::Create {
        assert_eq!(read.bundle(), Path::new("/private"), "{other:?}");
    }
});
