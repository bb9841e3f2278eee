//! A configuration: accepted, or refused with a place that is in it.
#![no_main]

use keyslip::fuzzing::configuration;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(said) = configuration(text) {
        let mut parts = said.splitn(4, ':').skip(1);
        let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).expect("a line and a column");
        let (line, column) = (number(), number());
        assert!(line >= 1 && line <= text.split('\n').count() && column >= 1, "{said}");
    }
});
