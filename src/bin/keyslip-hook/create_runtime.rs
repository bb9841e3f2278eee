//! `createRuntime` and `prestart`. After `precreate` it only learns the container's id; without it
//! the files are delivered here, by mounts into the namespace that the runtime has just made.
//!
//! A container with several CDI devices has a hook for each of them. The first call delivers for all: one
//! delivery knows of every file and finds what two of them would contend for, and there is one thing to
//! clean up.

use std::path::Path;

use anyhow::Context;
use keyslip::audit::{self, Entry, Event};
use keyslip::deliver::{self, EnvWay};
use keyslip::journal::{Journal, sentence};
use keyslip::ledger::{self, Key, Ledger, Phase, Process, Record, SandboxId};
use keyslip::names::AgentRef;
use keyslip::oci::{self, Spec, State};
use keyslip::pipeline::{self, Input, Prepared};
use keyslip::{config, request};

use crate::Hook;

/// The runtime's name in keys of containers that a hook delivered to: it stands for the bundle.
pub const HOOK: &str = "hook";

pub fn run(hook: &Hook) -> anyhow::Result<()> {
    let state = crate::state()?;
    let ledger = Ledger::at(&hook.site.runtime);
    let mut settings = audit::Settings::default();
    let result = match prepared_before(&ledger, &state) {
        Some(record) if holds(&record, &names(&hook.devices)) => return bind(&ledger, record, &state),
        Some(record) => Err(two_ways(&record, &names(&hook.devices))),
        None => deliver_now(hook, &ledger, &state, &mut settings),
    };
    if let Err(error) = &result {
        let event = error.downcast_ref().map_or(Event::Failed, pipeline::Error::event);
        hook.note(event, &state.id, Some(&sentence(error.chain())), &settings);
    }
    result
}

/// The record that an earlier stage made for this container: named by the annotation, and either
/// not bound to a container yet or bound to this one. The name is random, so that nobody can take
/// somebody else's.
fn prepared_before(ledger: &Ledger, state: &State) -> Option<Record> {
    let id = SandboxId::try_from(state.annotations.get(request::SANDBOX)?.clone()).ok()?;
    let record = Record::read(&ledger.sandbox(&id)).ok()?;
    (record.container.is_empty() || record.container == state.id).then_some(record)
}

fn bind(ledger: &Ledger, mut record: Record, state: &State) -> anyhow::Result<()> {
    record.container.clone_from(&state.id);
    record.process = record.process.or_else(|| Process::find(state.pid));
    record.phase = Phase::Live;
    let key = key(state);
    ledger.enter(&key, &record.id, true)?;
    record.write(&ledger.sandbox(&record.id))?;
    Ok(())
}

/// How a container that came through a hook is found.
pub fn key(state: &State) -> Key {
    Key::new(Path::new(HOOK), Some(state.bundle.as_os_str()), state.id.as_ref())
}

/// What an earlier hook of this very start has delivered. What is left of an earlier start of the container
/// is removed.
///
/// # Errors
/// When a container of this bundle and id lives, which can be under another root of the runtime.
fn delivered_before(ledger: &Ledger, state: &State) -> anyhow::Result<Option<Record>> {
    let record = ledger.find(&key(state)).and_then(|id| Record::read(&ledger.sandbox(&id)).ok());
    let Some(record) = record else { return Ok(None) };
    if record.process.is_some() && record.process == Process::find(state.pid) {
        return Ok(Some(record));
    }
    anyhow::ensure!(
        !record.process.is_some_and(Process::is_alive),
        "another container of the bundle {} and the id {} has credentials and still runs; use another id",
        state.bundle.display(),
        state.id
    );
    let _ = ledger::clean_up(ledger, &record);
    Ok(None)
}

/// Agents as they are asked for.
fn names(agents: &[AgentRef]) -> Vec<String> {
    agents.iter().map(AgentRef::to_string).collect()
}

/// Everything that a record is for.
fn contents(record: &Record) -> Vec<String> {
    let secrets = record.secrets.iter().map(|secret| format!("secret {}", secret.name));
    record.agents.iter().map(|agent| agent.asked().to_string()).chain(secrets).collect()
}

/// Whether everything in `wanted` is delivered by `record`.
fn holds(record: &Record, wanted: &[String]) -> bool {
    let held = contents(record);
    wanted.iter().all(|wanted| held.contains(wanted))
}

/// Two deliveries would hide each other's files.
fn two_ways(record: &Record, wanted: &[String]) -> anyhow::Error {
    anyhow::anyhow!(
        "container {} asks for {} by {}, and otherwise for {}; ask for everything in one way",
        record.container,
        contents(record).join(", "),
        record.form,
        wanted.join(", "),
    )
}

/// The devices of this call, and of the calls for this container that differ from it in their devices
/// alone.
fn devices_of_all_calls(hook: &Hook, text: &str, path: &Path) -> anyhow::Result<Vec<AgentRef>> {
    let mut all = hook.devices.clone();
    if all.is_empty() {
        return Ok(all);
    }
    for args in oci::hook_arguments(text, &hook.args[1], path)? {
        let args: Vec<String> = args.into_iter().map(|arg| arg.0.into_owned()).collect();
        if without_devices(&args) == without_devices(&hook.args) {
            all.extend(crate::devices(&args)?);
        }
    }
    Ok(all)
}

/// The stage and the options that are no devices.
fn without_devices(args: &[String]) -> Vec<&[String]> {
    let (stage, options) = args.get(1..).unwrap_or_default().split_at(1.min(args.len().saturating_sub(1)));
    let options = options.chunks(2).filter(|option| option[0] != crate::DEVICE);
    [stage].into_iter().chain(options).collect()
}

/// Leaves what the configuration says of the audit log in `settings`.
fn deliver_now(hook: &Hook, ledger: &Ledger, state: &State, settings: &mut audit::Settings) -> anyhow::Result<()> {
    let path = state.bundle.join("config.json");
    let text = oci::read(&path)?;
    if hook.devices.is_empty() && !oci::mentions_us(&text) {
        return Ok(());
    }
    let before = delivered_before(ledger, state)?;
    if before.as_ref().is_some_and(|record| !hook.devices.is_empty() && holds(record, &names(&hook.devices))) {
        return Ok(());
    }
    let devices = devices_of_all_calls(hook, &text, &path)?;
    let spec = Spec::parse(&text, &path)?;
    let config = config::load(&hook.site.config)?;
    settings.clone_from(&config.audit);
    let input = Input {
        site: &hook.site,
        config: &config,
        engine: &hook.engine,
        runtime: Path::new(HOOK),
        root: Some(state.bundle.as_os_str()),
        container: state.id.as_ref(),
        bundle: &state.bundle,
        spec: &spec,
        env: EnvWay::TooLate,
        restored: false,
        devices: &devices,
        dry_run: false,
    };
    let mut journal = Journal::default();
    let Some(prepared) = pipeline::prepare(&input, &mut journal)? else {
        if journal.ignored {
            hook.note(Event::Ignored, &state.id, journal.warnings.first().map(String::as_str), settings);
        }
        return Ok(());
    };
    if let Some(before) = before {
        let asked = contents(&prepared.record);
        if holds(&before, &asked) {
            return Ok(());
        }
        // It does not start, and not every runtime calls poststop then.
        let _ = ledger::clean_up(ledger, &before);
        let _ = Entry::of(Event::Cleaned, &before).because("it does not start").write(&hook.site.state, &before.audit);
        return Err(two_ways(&before, &asked));
    }
    mount(hook, ledger, state, &spec, prepared)
}

/// Carries out what was prepared, and mounts it in the container.
fn mount(hook: &Hook, ledger: &Ledger, state: &State, spec: &Spec<'_>, mut prepared: Prepared) -> anyhow::Result<()> {
    // In the record from the first: by the process it is seen that a container is gone whose hook was
    // killed on the way.
    prepared.record.process = Process::find(state.pid);
    ledger.make()?;
    deliver::carry_out(&mut prepared.plan, ledger, &mut prepared.record)?;
    let mut record = prepared.record;
    record.phase = Phase::Live;
    let rootfs = spec.rootfs(&state.bundle);
    // Before the container gets it: there may be no delivery without a line about it.
    if let Err(error) = Entry::of(Event::Delivered, &record).write(&hook.site.state, &record.audit) {
        let _ = ledger::clean_up(ledger, &record);
        return Err(error.into());
    }
    let done = deliver::into_container::mount_all(state.pid, &rootfs, &prepared.plan.change.mounts)
        .with_context(|| format!("container {}", state.id))
        .and_then(|()| Ok(record.write(&prepared.plan.dir)?))
        .and_then(|()| Ok(ledger.enter(&key(state), &record.id, true)?));
    if done.is_err() {
        let _ = ledger::clean_up(ledger, &record);
    }
    done?;
    audit::gone(&ledger::reap_some(ledger, &record.id), &hook.site.state);
    Ok(())
}
