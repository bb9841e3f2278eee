//! Removing what is left of containers that are gone.

use std::fs;
use std::io;

use crate::ledger::{Error, Found, Ledger, Liveness, Record, YOUNG, clean_up, is_young, liveness};

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Containers whose things were removed.
    pub removed: usize,
    /// Containers that are there.
    pub alive: usize,
    /// Containers that are too young to judge, or of which nobody can say.
    pub left: usize,
    /// What could not be looked at or removed; another sweep tries again.
    pub problems: Vec<String>,
}

/// Removes what dead containers had, and directories that a killed process never finished. Nothing
/// younger than a minute is touched. `gone` hears of every container that had a record.
pub fn sweep(ledger: &Ledger, mut gone: impl FnMut(&Record)) -> Swept {
    let mut swept = Swept::default();
    let Found { found, mut problems } = ledger.sandboxes();
    for path in found {
        if is_young(&path, YOUNG) || ledger.is_held(&path) {
            swept.left += 1;
            continue;
        }
        match Record::read(&path) {
            Ok(record) => match liveness(ledger, &record) {
                Liveness::Dead => match clean_up(ledger, &record) {
                    Ok(()) => {
                        gone(&record);
                        swept.removed += 1;
                    }
                    Err(error) => problems.push(error),
                },
                Liveness::Alive => swept.alive += 1,
                Liveness::Unknown => swept.left += 1,
            },
            // The record is the first thing that is written and the last that is removed.
            Err(error) if error.is_missing() => match fs::remove_dir_all(&path) {
                Ok(()) => swept.removed += 1,
                // By somebody else, meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => problems.push(Error::Io { path, source }),
            },
            Err(error) => problems.push(error),
        }
    }
    problems.extend(ledger.remove_dangling());
    swept.problems = problems.iter().map(ToString::to_string).collect();
    ledger.remove_logins();
    swept
}
