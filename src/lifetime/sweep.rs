//! Removing what is left of containers that are gone.

use std::fs;

use crate::ledger::{Ledger, Liveness, Record, YOUNG, clean_up, is_young, liveness};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Containers whose things were removed.
    pub removed: usize,
    /// Containers that are there.
    pub alive: usize,
    /// Containers that are too young to judge, or of which nobody can say.
    pub left: usize,
}

/// Removes what dead containers had, and directories that a killed process never finished. Nothing
/// younger than a minute is touched. `gone` hears of every container that had a record.
pub fn sweep(ledger: &Ledger, mut gone: impl FnMut(&Record)) -> Swept {
    let mut swept = Swept::default();
    for path in ledger.sandboxes().collect::<Vec<_>>() {
        if is_young(&path, YOUNG) || ledger.is_held(&path) {
            swept.left += 1;
            continue;
        }
        match Record::read(&path) {
            Ok(record) => match liveness(ledger, &record) {
                Liveness::Dead => {
                    clean_up(ledger, &record);
                    gone(&record);
                    swept.removed += 1;
                }
                Liveness::Alive => swept.alive += 1,
                Liveness::Unknown => swept.left += 1,
            },
            // The record is the first thing that is written and the last that is removed.
            Err(_) if !path.join(Record::FILE).exists() => {
                let _ = fs::remove_dir_all(&path);
                swept.removed += 1;
            }
            Err(_) => swept.left += 1,
        }
    }
    ledger.remove_dangling();
    ledger.remove_logins();
    swept
}
