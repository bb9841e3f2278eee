//! `poststop`: what the container had is removed.

use keyslip::audit::{Entry, Event};
use keyslip::ledger::{self, Ledger, Record, SandboxId};
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
    if record.container == state.id {
        ledger.leave(&create_runtime::key(&state), &id);
        ledger::clean_up(&ledger, &record);
        let _ = Entry::of(Event::Cleaned, &record).write(&hook.site.state, &record.audit);
    }
    Ok(())
}
