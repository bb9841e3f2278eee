//! Installing and taking away, from the plan to the receipt.

use std::path::PathBuf;

use super::carry_out::{self, Hold, beside, make, missing_directories, stage, unmake};
use super::present::{self, Present};
use super::{
    Change, Engine, Error, Found, Host, Order, Plan, Receipt, cdi, check, containerd, docker, found, holders, podman,
    receipt,
};
use crate::clock::Instant;
use crate::config;
use crate::site::Whose;

/// What an order comes to, with nothing done yet.
#[derive(Debug)]
pub struct Prepared {
    /// What would be changed; without changes, everything is installed already.
    pub plan: Plan,
    found: Option<Found>,
    /// What is installed now and would be replaced.
    replaces: Option<Receipt>,
}

/// Makes the plan for an order. Nothing is changed.
///
/// # Errors
/// When it cannot be done; each is a sentence that says why and what to do.
pub fn prepare(order: &Order, host: &Host) -> Result<Prepared, Error> {
    if order.engine != Engine::Podman && host.site.whose != Whose::System {
        return Err(Error::NeedsRoot { what: format!("keyslip install {}", order.engine) });
    }
    let found = match found::daemon(order.engine) {
        Some(program) => {
            let engine = order.engine;
            Some(found::find(host, engine).ok_or(Error::NotInstalled { engine, program })?)
        }
        None => None,
    };
    if let (Some(found), true) = (&found, order.engine != Engine::Podman) {
        found.program.check()?;
    }
    let config = config::load(&host.site.config)?;
    let old = stored(host, order.engine)?;
    if let Some(old) = old.as_ref().filter(|old| !old.pending && old.mode != order.mode) {
        return Err(Error::OtherMode { engine: order.engine, mode: old.mode });
    }
    let present = Present::before(old.as_ref())?;
    let mut plan = match (order.engine, &found) {
        (Engine::Podman, Some(found)) => podman::plan(order, host, &present, &config, found)?,
        (Engine::Docker, Some(found)) => docker::plan(order, host, &present, found)?,
        (Engine::Containerd, Some(found)) => containerd::plan(order, host, &present, found)?,
        _ => cdi::plan(host, &present, &config)?,
    };
    if old.as_ref().is_some_and(|old| !old.pending) && plan.changes.iter().all(is_done) {
        plan.changes.clear();
    }
    Ok(Prepared { plan, found, replaces: old })
}

/// Whether all that a change would bring is there, whatever else was changed since.
fn is_done(change: &Change) -> bool {
    present::read(&change.path).ok().flatten().is_some_and(|now| change.ours.is_in(&now))
}

fn stored(host: &Host, engine: Engine) -> Result<Option<Receipt>, Error> {
    let path = receipt::path(&host.site, engine);
    receipt::read(&path).map_err(|source| Error::Receipt { path, source })
}

/// Carries out what was prepared.
///
/// # Errors
/// When a file cannot be written or the engine refuses the result; nothing has changed then, unless the error
/// says so.
pub fn install(prepared: &Prepared, host: &Host) -> Result<(), Error> {
    let Prepared { plan, found, replaces } = prepared;
    if plan.changes.is_empty() && replaces.as_ref().is_none_or(|old| !old.pending) {
        return Ok(());
    }
    let state = missing_directories([receipt::path(&host.site, plan.engine).as_path()].into_iter());
    let hold = carry_out::hold(host)?;
    if let Some(old) = replaces {
        take_away(old, host, &hold)?;
    }
    if plan.changes.is_empty() {
        return Ok(());
    }
    let mut made = missing_directories(plan.changes.iter().map(|change| change.path.as_path()));
    // The state directory was there from the beginning, or goes with the last receipt.
    made.splice(0..0, state.into_iter().chain(replaces.iter().flat_map(|old| old.made_for_state(host))));
    let receipt = Receipt {
        engine: plan.engine,
        mode: plan.mode,
        version: found.as_ref().map(|found| found.program.version.clone()),
        installed_at: Instant::now(),
        pending: true,
        changes: plan.changes.clone(),
        made,
    };
    let written = write_receipt(&receipt, host).and_then(|()| place(&receipt, found.as_ref(), host));
    match written {
        Ok(()) => {
            let done = write_receipt(&Receipt { pending: false, ..receipt.clone() }, host);
            done.or_else(|error| take_away(&receipt, host, &hold).and(Err(error)))
        }
        // The receipt is all that knows what is half done.
        Err(error @ Error::HalfDone { .. }) => Err(error),
        Err(error) => {
            unmake_for(&receipt, host);
            Err(error)
        }
    }
}

/// Makes directories, writes files, lets the engine read them, and moves them into place.
fn place(receipt: &Receipt, found: Option<&Found>, host: &Host) -> Result<(), Error> {
    make(&receipt.made)?;
    let staged = stage(&receipt.changes)?;
    if let Some(found) = found {
        for (change, new) in staged.ready() {
            check::accepted(found, receipt.mode, change, new, host)?;
        }
    }
    staged.commit()
}

fn write_receipt(receipt: &Receipt, host: &Host) -> Result<(), Error> {
    let path = receipt::path(&host.site, receipt.engine);
    receipt::write(&path, receipt).map_err(|source| Error::Write { path, source })
}

/// Removes the directories that were made, and the receipt: last of all, since it knows of them.
fn unmake_for(receipt: &Receipt, host: &Host) {
    let dir = receipt::directory(&host.site);
    let (state, engines): (Vec<_>, Vec<_>) = receipt.made.iter().cloned().partition(|made| dir.starts_with(made));
    unmake(&engines);
    let _ = carry_out::put(&receipt::path(&host.site, receipt.engine), None, 0);
    let _ = std::fs::remove_dir(dir);
    unmake(&state);
}

/// Removes what a process has left that was killed before it had a receipt, or after it.
pub fn tidy(host: &Host) {
    let dir = receipt::directory(&host.site);
    let Some(_hold) = dir.exists().then(|| carry_out::hold(host).ok()).flatten() else { return };
    for engine in Engine::ALL {
        let _ = std::fs::remove_file(beside(&receipt::path(&host.site, engine)));
    }
    let _ = std::fs::remove_dir(dir);
}

/// The engines that something was installed for, the last of [`Engine::ALL`] first: an interrupted
/// installation counts.
#[must_use]
pub fn installed(host: &Host) -> Vec<Engine> {
    let there = |engine: &Engine| receipt::path(&host.site, *engine).exists();
    Engine::ALL.into_iter().rev().filter(there).collect()
}

/// What taking an engine's installation away comes to. Nothing is changed.
///
/// # Errors
/// When nothing is installed, containers need it (unless `force`), or our part of a file cannot be told apart.
pub fn prepare_removal(engine: Engine, host: &Host, force: bool) -> Result<Plan, Error> {
    let receipt = stored(host, engine)?.ok_or(Error::NothingInstalled { engine })?;
    let holders = holders::holders(host, &receipt);
    if !force && !holders.names.is_empty() {
        let shown: Vec<&str> = holders.names.iter().take(5).map(String::as_str).collect();
        let more = holders.names.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Err(Error::Held { engine, what: holders.what, names: format!("{}{more}", shown.join(", ")) });
    }
    let mut plan = Plan::new(engine, receipt.mode);
    plan.changes = removal(&receipt)?;
    match engine {
        // A reload keeps runtimes that are not in the file any more (docker 20.10, 26.1).
        Engine::Docker => plan.next.push("systemctl restart docker".to_owned()),
        Engine::Containerd => plan.next.push("systemctl restart containerd".to_owned()),
        Engine::Podman | Engine::Cdi => {}
    }
    let living = holders::living(host, engine);
    if living > 0 {
        plan.notes.push(format!(
            "{living} containers that run hold credentials; they keep them until they end, then `keyslip sweep` removes the rest"
        ));
    }
    Ok(plan)
}

/// The changes that lead back, the last one first.
fn removal(receipt: &Receipt) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for change in receipt.changes.iter().rev() {
        let now = present::read(&change.path)?;
        let target = present::without(change)?;
        if now != target {
            let bytes = |text: Option<String>| text.map(String::into_bytes);
            let path = change.path.clone();
            changes.push(Change { path, before: bytes(now), after: bytes(target), ours: change.ours.clone() });
        }
    }
    Ok(changes)
}

/// Takes an installation away.
///
/// # Errors
/// As [`prepare_removal`], and when a file cannot be written.
pub fn uninstall(engine: Engine, host: &Host) -> Result<(), Error> {
    let receipt = stored(host, engine)?.ok_or(Error::NothingInstalled { engine })?;
    let hold = carry_out::hold(host)?;
    take_away(&receipt, host, &hold)
}

fn take_away(receipt: &Receipt, host: &Host, _hold: &Hold) -> Result<(), Error> {
    let changes = removal(receipt)?;
    stage(&changes)?.commit()?;
    // What a killed process has left beside them.
    for change in &receipt.changes {
        let _ = std::fs::remove_file(beside(&change.path));
    }
    unmake_for(receipt, host);
    Ok(())
}

impl Receipt {
    /// The directories of the state that it made, which a receipt in its place makes its own.
    fn made_for_state(&self, host: &Host) -> Vec<PathBuf> {
        let dir = receipt::directory(&host.site);
        self.made.iter().filter(|made| dir.starts_with(made)).cloned().collect()
    }
}
