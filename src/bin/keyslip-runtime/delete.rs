//! `delete`: comes once, twice or never, also after a failed create.

use keyslip::ledger::{self, Event, Key, Ledger, Liveness, Record};
use keyslip::site::{self, Site};
use keyslip::sys::Ended;
use std::path::Path;

use crate::Shim;

pub fn run(shim: &Shim<'_>) -> anyhow::Result<i32> {
    let Some(container) = shim.call.container() else { return shim.pass() };
    let ledger = Ledger::at(&site::runtime_dir()?);
    let key = Key::new(&shim.installed.real, shim.call.root(), container);
    let Some(id) = ledger.find(&key) else { return shim.pass() };
    let record = Record::read(&ledger.sandbox(&id));
    let ended = shim.supervise(shim.call.argv())?;
    let Ok(record) = record else {
        ledger.leave(&key, &id);
        return Ok(ended.code());
    };
    // A refusal means that it still runs, or that it is gone already.
    if ended == Ended::Exited(0) || ledger::liveness(&record) == Liveness::Dead {
        ledger::clean_up(&ledger, &record);
        if let Ok(site) = Site::here(std::env::var_os("HOME").as_ref().map(Path::new)) {
            ledger::audit(&site.state, Event::Cleaned, &record.engine, &record.container, Some(&record), None);
        }
    }
    Ok(ended.code())
}
