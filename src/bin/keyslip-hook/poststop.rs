//! `poststop`: what the container had is removed.

use std::time::Duration;

use keyslip::audit::{Entry, Event};
use keyslip::ledger::{self, Ledger, Process, Record, SandboxId};
use keyslip::request;

use crate::{Hook, create_runtime};

pub fn run(hook: &Hook) -> anyhow::Result<()> {
    let state = crate::state()?;
    let ledger = Ledger::at(&hook.site.runtime);
    let named = state.annotations.get(request::SANDBOX).and_then(|id| SandboxId::try_from(id.clone()).ok());
    // The annotation may be the container's own words; what was entered under its id is ours.
    let Some(id) = ledger.find(&create_runtime::key(&state)).or(named) else { return Ok(()) };
    let Ok(record) = Record::read(&ledger.sandbox(&id)) else { return Ok(()) };
    // Another container's name in the annotation is nobody's permission to remove what it has.
    if record.container == state.id && !lives_on(&record) {
        ledger.leave(&create_runtime::key(&state), &id);
        let _ = ledger::clean_up(&ledger, &record);
        let _ = Entry::of(Event::Cleaned, &record).write(&hook.site.state, &record.audit);
    }
    Ok(())
}

/// Whether this is the end of another container, one of the same bundle and id under another root of the runtime. The
/// first process of one that could not be made may have been killed just now.
fn lives_on(record: &Record) -> bool {
    let lives = || record.process.is_some_and(Process::is_alive);
    (0..20).all(|_| {
        lives() && {
            std::thread::sleep(Duration::from_millis(10));
            lives()
        }
    })
}
