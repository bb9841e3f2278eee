//! A file of the store: what it says is written again as it was read, and no message quotes it.
#![no_main]

use keyslip::fuzzing::stored_login;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match stored_login(bytes) {
        Ok(written) => assert_eq!(stored_login(&written).expect("it can be read again"), written),
        Err(said) => assert!(said.starts_with("line ") || said.starts_with("it must have"), "{said}"),
    }
});
