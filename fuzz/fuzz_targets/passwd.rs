//! A line of an image's `/etc/passwd`: the user that is found has the name or number that was looked for.
#![no_main]

use keyslip::fuzzing::passwd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&str, &str)| {
    let (text, name) = parts;
    if let Some((uid, home)) = passwd(text, name) {
        let line = text.split('\n').find(|line| line.split(':').next() == Some(name)).expect("a line of that name");
        assert!(line.split(':').nth(2).is_some_and(|number| number.parse() == Ok(uid)) && line.contains(&home), "{line}");
    }
});
