//! Removing what a container had.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::alive::quick;
use super::{Error, Key, Ledger, Liveness, Record, SandboxId, gone};
use crate::clock::Instant;

/// Nothing younger is taken for left over, in seconds.
pub const YOUNG: i64 = 60;

/// Most containers that one start looks at.
const A_FEW: usize = 4;

/// Removes everything a container had: mountpoints that are still empty, its directory, its entry.
/// Safe to call again.
///
/// # Errors
/// When something is left. Then the record is left too, and a sweep finishes it.
pub fn clean_up(ledger: &Ledger, record: &Record) -> Result<(), Error> {
    let vacated = record.mountpoints.iter().rev().map(|mountpoint| ledger.vacate(mountpoint, &record.id));
    // One that stays does not keep the others, nor the secrets.
    let outside = vacated.fold(Ok(()), Result::and).and(ledger.remove_shares(&record.id));
    let removed = remove_sandbox(ledger, &record.id, outside);
    for claim in &record.claims {
        ledger.release(claim, &record.id);
    }
    let key = Key::new(&record.runtime, record.root.as_deref().map(str::as_ref), record.container.as_ref());
    ledger.leave(&key, &record.id);
    removed
}

/// Removes a container's directory. The record goes last, so that what is interrupted can be
/// finished: by now, or after what is outside of it.
fn remove_sandbox(ledger: &Ledger, id: &SandboxId, outside: Result<(), Error>) -> Result<(), Error> {
    let dir = ledger.sandbox(id);
    let mut removed = outside;
    for part in ["env", crate::launch::HOST_FILE, "secrets", "files", "bundle"] {
        let path = dir.join(part);
        let result = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        removed = removed.and(gone(result).map_err(Error::io(&path)));
    }
    removed?;
    gone(fs::remove_dir_all(&dir)).map_err(Error::io(&dir))?;
    // Fails while other containers share it.
    let _ = fs::remove_dir(ledger.shard(id));
    Ok(())
}

/// Looks at a few containers beside `id` and removes those that are certainly gone. The ids are
/// random, so over time every place is visited; no program is started. Returns their records.
#[must_use]
pub fn reap_some(ledger: &Ledger, id: &SandboxId) -> Vec<Record> {
    let Ok(entries) = fs::read_dir(ledger.shard(id)) else { return Vec::new() };
    let others = entries.flatten().take(A_FEW).filter(|entry| entry.file_name() != id.as_str());
    others.filter_map(|entry| reap(ledger, &entry.path())).collect()
}

/// Whether something in the directory `sandbox` was made or removed in the last `seconds`. A time that is as far ahead
/// or farther was written by a clock that was wrong, and must not keep it for years.
#[must_use]
pub fn is_young(sandbox: &Path, seconds: i64) -> bool {
    fs::metadata(sandbox).is_ok_and(|about| Instant::now().since(Instant(about.mtime())).saturating_abs() < seconds)
}

fn reap(ledger: &Ledger, sandbox: &Path) -> Option<Record> {
    if is_young(sandbox, YOUNG) || ledger.is_held(sandbox) {
        return None;
    }
    let record = Record::read(sandbox).ok().filter(|record| quick(record) == Liveness::Dead)?;
    clean_up(ledger, &record).ok()?;
    Some(record)
}
