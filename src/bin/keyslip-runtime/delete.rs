//! `delete`: comes once, twice or never, also after a failed create. A checkpoint may be the end as well.

use keyslip::audit::{Entry, Event};
use keyslip::ledger::{self, Ledger, Liveness, Record};
use keyslip::site::Site;
use keyslip::sys::{self, Ended, Need};
use std::path::Path;

use crate::Shim;

pub fn run(shim: &Shim<'_>) -> anyhow::Result<i32> {
    if shim.call.container().is_none() {
        return shim.pass();
    }
    if shim.call.verb_options().any(|(name, _)| name == b"regex" || name == b"r") {
        return several(shim);
    }
    let (ledger, key, _) = shim.place()?;
    let Some(id) = ledger.find(&key) else { return shim.pass() };
    let record = Record::read(&ledger.sandbox(&id));
    sys::keep_only(Need::CleanUp);
    let ended = shim.supervise(shim.call.argv())?;
    let Ok(record) = record else {
        ledger.leave(&key, &id);
        return Ok(ended.code());
    };
    // A refusal means that it still runs, or that it is gone already.
    if ended == Ended::Exited(0) || ledger::liveness(&ledger, &record) == Liveness::Dead {
        clean_up(&ledger, &record);
    }
    Ok(ended.code())
}

/// `checkpoint`: runc removes a container that it has checkpointed and not left running; no `delete` comes.
pub fn after_checkpoint(shim: &Shim<'_>) -> anyhow::Result<i32> {
    let (ledger, key, _) = shim.place()?;
    let record = ledger.find(&key).and_then(|id| Record::read(&ledger.sandbox(&id)).ok());
    let Some(record) = record else { return shim.pass() };
    sys::keep_only(Need::CleanUp);
    let ended = shim.supervise(shim.call.argv())?;
    if ended == Ended::Exited(0) && ledger::liveness(&ledger, &record) == Liveness::Dead {
        clean_up(&ledger, &record);
    }
    Ok(ended.code())
}

fn clean_up(ledger: &Ledger, record: &Record) {
    let _ = ledger::clean_up(ledger, record);
    if let Ok(site) = Site::here(std::env::var_os("HOME").as_ref().map(Path::new)) {
        let _ = Entry::of(Event::Cleaned, record).write(&site.state, &record.audit);
    }
}

/// crun's `delete --regex`: whoever is gone afterwards is cleaned up after.
fn several(shim: &Shim<'_>) -> anyhow::Result<i32> {
    let (ledger, ..) = shim.place()?;
    sys::keep_only(Need::CleanUp);
    let ended = shim.supervise(shim.call.argv())?;
    for record in ledger.records().found {
        if record.runtime == shim.installed.real && ledger::liveness(&ledger, &record) == Liveness::Dead {
            clean_up(&ledger, &record);
        }
    }
    Ok(ended.code())
}
