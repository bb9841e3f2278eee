//! What the tests of security have tried and what held, for the summary of `make test-security`: a file for each test, with
//! what was counted and two numbers. A test that runs twice is counted once.

use std::fs;
use std::path::Path;

/// What is counted.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each test program counts its own")]
pub enum Counted {
    /// Images, specifications, annotations and files made to do harm.
    Hostile,
    /// Errors injected into our own programs.
    Faults,
    /// Sandboxes alive at once.
    Alive,
    /// Places searched for credentials, and those free of them.
    Searched,
}

impl Counted {
    fn name(self) -> &'static str {
        match self {
            Self::Hostile => "hostile",
            Self::Faults => "faults",
            Self::Alive => "alive",
            Self::Searched => "searched",
        }
    }
}

/// Writes down that a test tried so many, and that so many held. `test` is its name; a file's name is made of it.
pub fn tally(counted: Counted, test: &str, tried: usize, held: usize) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("security");
    fs::create_dir_all(&dir).expect("a directory for tallies");
    fs::write(dir.join(format!("{}-{test}", counted.name())), format!("{tried} {held}\n")).expect("a tally");
}
