//! A line of an image's `/etc/passwd`: the user that is found has the name or number that was looked for.
#![no_main]

use keyslip::fuzzing::passwd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&str, &str)| {
    let (text, name) = parts;
    if let Some((uid, home)) = passwd(text, name) {
        let is_it = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            fields[0] == name
                && fields.get(2).is_some_and(|number| number.parse() == Ok(uid))
                && fields.get(5) == Some(&home.as_str())
        };
        assert!(text.split('\n').any(is_it), "{uid} {home}");
    }
});
