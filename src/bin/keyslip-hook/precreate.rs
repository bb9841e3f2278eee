//! `precreate`: podman hands over the specification before it writes it down, and shows it in
//! `inspect`. So no value may be in it: variables go by the launcher.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use keyslip::audit::{self, Entry, Event};
use keyslip::config;
use keyslip::deliver::{self, EnvWay};
use keyslip::journal::{Journal, sentence};
use keyslip::ledger::{self, Ledger, Record};
use keyslip::oci::{self, Spec};
use keyslip::pipeline::{self, Input};
use zeroize::Zeroizing;

use crate::Hook;

pub fn run(hook: &Hook) -> anyhow::Result<()> {
    let text = crate::standard_input()?;
    let mut settings = audit::Settings::default();
    let result = changed(hook, &text, &mut settings).and_then(|changed| hand_over(hook, &text, changed.as_ref()));
    if let Err(error) = &result {
        let event = error.downcast_ref().map_or(Event::Failed, pipeline::Error::event);
        hook.note(event, "", Some(&sentence(error.chain())), &settings);
    }
    result
}

/// What is prepared for the container, and the specification that asks for it.
struct Changed {
    spec: Zeroizing<Vec<u8>>,
    record: Record,
}

/// Gives the engine the specification. A container whose specification does not get there has nothing prepared for it.
fn hand_over(hook: &Hook, text: &str, changed: Option<&Changed>) -> anyhow::Result<()> {
    let out = changed.map_or(text.as_bytes(), |changed| changed.spec.as_slice());
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(out).and_then(|()| stdout.flush());
    if let (Err(_), Some(changed)) = (&written, changed) {
        let _ = ledger::clean_up(&Ledger::at(&hook.site.runtime), &changed.record);
    }
    written.context("cannot write the specification to standard output")
}

/// The changed specification, if anything changes. Leaves what the configuration says of the audit log in `settings`.
fn changed(hook: &Hook, text: &str, settings: &mut audit::Settings) -> anyhow::Result<Option<Changed>> {
    if !oci::mentions_us(text) {
        return Ok(None);
    }
    let spec = Spec::parse(text, Path::new("the specification on standard input"))?;
    let config = config::load(&hook.site.config)?;
    settings.clone_from(&config.audit);
    let in_spec = config.env_in_spec;
    let input = Input {
        site: &hook.site,
        config: &config,
        engine: &hook.engine,
        runtime: Path::new(""),
        root: None,
        // Not known yet, and not to be guessed: a bind mount's source can say anything.
        container: "".as_ref(),
        bundle: Path::new("/"),
        spec: &spec,
        env: if in_spec { EnvWay::Spec } else { EnvWay::Launcher(&hook.launcher) },
        restored: false,
        devices: &[],
        dry_run: false,
    };
    let mut journal = Journal::default();
    let prepared = pipeline::prepare(&input, &mut journal)?;
    let Some(mut prepared) = prepared else {
        if journal.ignored {
            hook.note(Event::Ignored, "", journal.warnings.first().map(String::as_str), settings);
        }
        return Ok(None);
    };
    if in_spec && !prepared.plan.change.env.is_empty() {
        let warning = "env = \"spec\": podman writes the variables to its disk and shows them in inspect";
        prepared.record.warnings.push(warning.to_owned());
    }
    let ledger = Ledger::at(&hook.site.runtime);
    ledger.make()?;
    deliver::carry_out(&mut prepared.plan, &ledger, &mut prepared.record)?;
    // What is delivered has no container yet; nobody else knows its name.
    if let Err(error) = Entry::of(Event::Delivered, &prepared.record).write(&hook.site.state, settings) {
        let _ = ledger::clean_up(&ledger, &prepared.record);
        return Err(error.into());
    }
    audit::gone(&ledger::reap_some(&ledger, &prepared.record.id), &hook.site.state);
    Ok(Some(Changed { spec: prepared.plan.change.apply(&spec, None), record: prepared.record }))
}
