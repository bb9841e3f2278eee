//! What a login program draws: a token that is taken from it has the form of one and stood there; nothing makes the
//! emulator fail.
#![no_main]

use keyslip::fuzzing::drawn;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], u16, u16, &[u8])| {
    let (before, rows, columns, after) = parts;
    let Some(token) = drawn("sk-ant-oat01-", (20, 200), before, (rows.clamp(1, 400), columns.clamp(1, 400)), after)
    else {
        return;
    };
    assert!(token.starts_with(b"sk-ant-oat01-") && (20..=200).contains(&token.len()));
    assert!(token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
});
