//! `create`, `run` and `restore`: the stages, then the real runtime with the changed specification.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use keyslip::audit::{self, Entry, Event};
use keyslip::deliver::EnvWay;
use keyslip::journal::{Journal, sentence};
use keyslip::ledger::{self, Key, Ledger, Liveness, Phase, Process, Record, SandboxId};
use keyslip::oci::{self, Call, Command, Spec};
use keyslip::pipeline::{self, Input, Prepared};
use keyslip::site::Site;
use keyslip::sys::Need;
use keyslip::{config, deliver, request, sys};

use crate::{Shim, report};

pub fn run(shim: &Shim<'_>) -> anyhow::Result<i32> {
    let bundle = std::path::absolute(shim.call.bundle())?;
    let path = shim.call.config().map_or_else(|| bundle.join("config.json"), Path::to_owned);
    let (ledger, key, root) = shim.place()?;
    if !is_free(&ledger, &key) {
        // The runtime refuses a name that is in use.
        return shim.pass();
    }
    let text = match oci::read(&path) {
        Ok(text) => text,
        // The runtime may be able to read it, and start the container without what it asks for.
        Err(error) if error.is_of_the_moment() => return Err(error.into()),
        // What cannot be read asks for nothing; the runtime says what is wrong with it.
        Err(_) => return shim.pass(),
    };
    if !oci::mentions_us(&text) && !request::is_staged(&bundle, &text) {
        return pass_on(shim, &path, &text);
    }
    sys::secure_stdio();
    sys::conceal();
    sys::keep_only(Need::Deliver);
    let site = Site::here(std::env::var_os("HOME").as_ref().map(Path::new))?;
    let mut settings = audit::Settings::default();
    let result = start(shim, &site, &root, &bundle, &path, &text, &mut settings);
    if let Err(error) = &result {
        let event = error.downcast_ref().map_or(Event::Failed, pipeline::Error::event);
        let (container, reason) = (name(shim.call.container()), sentence(error.chain()));
        let entry = Entry::new(event, &shim.installed.engine, &container).because(&reason);
        let _ = entry.write(&site.state, &settings);
    }
    result
}

/// Leaves what the configuration says of the audit log in `settings`, whatever comes after it.
fn start(
    shim: &Shim<'_>,
    site: &Site,
    root: &Path,
    bundle: &Path,
    path: &Path,
    text: &str,
    settings: &mut audit::Settings,
) -> anyhow::Result<i32> {
    let spec = Spec::parse(text, path)?;
    if is_prepared(&Ledger::at(&site.runtime), &spec) {
        return pass_on(shim, path, text);
    }
    let config = config::load(&site.config)?;
    settings.clone_from(&config.audit);
    let input = Input {
        site,
        config: &config,
        engine: &shim.installed.engine,
        runtime: &shim.installed.real,
        root: Some(root.as_os_str()),
        container: shim.call.container().ok_or(oci::Error::Call("a container id"))?,
        bundle,
        spec: &spec,
        env: EnvWay::Spec,
        restored: shim.call.command == Command::Restore,
        devices: &[],
        dry_run: false,
    };
    let mut journal = Journal::default();
    let prepared = pipeline::prepare(&input, &mut journal);
    report::journal(&journal, config.log_level);
    if let Some(prepared) = prepared? {
        return deliver_and_create(shim, site, bundle, &spec, prepared);
    }
    if journal.ignored {
        let (container, reason) = (name(shim.call.container()), journal.warnings.first().map(String::as_str));
        let entry = Entry::new(Event::Ignored, &shim.installed.engine, &container);
        let _ = entry.because_of(reason).write(&site.state, &config.audit);
    }
    pass_on(shim, path, text)
}

/// Whether a container may be made under this name. What one left that is gone is removed first: it
/// must not come to another of the same name.
fn is_free(ledger: &Ledger, key: &Key) -> bool {
    let Some(id) = ledger.find(key) else { return true };
    match Record::read(&ledger.sandbox(&id)) {
        Ok(record) if ledger::liveness(ledger, &record) == Liveness::Dead => drop(ledger::clean_up(ledger, &record)),
        Ok(_) => return false,
        Err(_) => ledger.leave(key, &id),
    }
    true
}

/// Whether a hook has prepared this container: its record is not bound to one yet, and nobody else
/// can know its name.
fn is_prepared(ledger: &Ledger, spec: &Spec<'_>) -> bool {
    let id = spec.annotation(request::SANDBOX).and_then(|id| SandboxId::try_from(id.to_owned()).ok());
    id.and_then(|id| Record::read(&ledger.sandbox(&id)).ok()).is_some_and(|record| record.container.is_empty())
}

/// Becomes the real runtime. A configuration that came through a pipe has been read, and is handed on
/// in memory.
fn pass_on(shim: &Shim<'_>, path: &Path, text: &str) -> anyhow::Result<i32> {
    if shim.call.config().is_none() || path.is_file() {
        return shim.pass();
    }
    let file = sys::memory_file("config.json", text.as_bytes(), shim.call.preserved())?;
    shim.pass_with(&shim.call.with_config(&PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))))
}

/// Carries the plan out, runs the runtime and keeps the books.
fn deliver_and_create(
    shim: &Shim<'_>,
    site: &Site,
    bundle: &Path,
    spec: &Spec<'_>,
    prepared: Prepared,
) -> anyhow::Result<i32> {
    let Prepared { mut plan, mut record } = prepared;
    let ledger = Ledger::at(&site.runtime);
    ledger.make()?;
    deliver::carry_out(&mut plan, &ledger, &mut record)?;
    // While this is held, nobody takes the container for a dead one.
    let _held = ledger.hold(&record.id);
    // Before the runtime gets it: there may be no delivery without a line about it.
    if let Err(error) = Entry::of(Event::Delivered, &record).write(&site.state, &record.audit) {
        let _ = ledger::clean_up(&ledger, &record);
        return Err(error.into());
    }
    let foreground = ends_with_the_call(&shim.call);
    // From here on whatever fails is undone in one place.
    let outcome = hand_over(shim, &ledger, bundle, spec, plan, &mut record);
    let started = matches!(outcome, Ok(sys::Ended::Exited(0)));
    if foreground || !started {
        let _ = ledger::clean_up(&ledger, &record);
    }
    if foreground {
        let _ = Entry::of(Event::Cleaned, &record).write(&site.state, &record.audit);
    } else if !started && outcome.is_ok() {
        // Why, the runtime has said, or a hook in a line before this one.
        let _ = Entry::of(Event::Failed, &record).write(&site.state, &record.audit);
    }
    audit::gone(&ledger::reap_some(&ledger, &record.id), &site.state);
    outcome.map(sys::Ended::code)
}

/// Whether the container is gone when the runtime returns: `run` in the foreground.
fn ends_with_the_call(call: &Call<'_>) -> bool {
    call.command != Command::Create
        && !call
            .verb_options()
            .any(|(name, value)| (name == b"detach" || name == b"d") && value.is_none_or(|value| value != "false"))
}

/// Gives the runtime its specification, and takes the values away again once it has read them.
fn hand_over(
    shim: &Shim<'_>,
    ledger: &Ledger,
    bundle: &Path,
    spec: &Spec<'_>,
    plan: deliver::Plan,
    record: &mut Record,
) -> anyhow::Result<sys::Ended> {
    let (_, key, _) = shim.place()?;
    // Two creates of one id may both have found it free; the runtime would refuse one of them, and which
    // one is not known yet.
    anyhow::ensure!(ledger.enter(&key, &record.id, false)?, "another container of this id is being made; try again");
    if ends_with_the_call(&shim.call) {
        record.phase = Phase::Live;
        record.write(&plan.dir)?;
    }
    let dir = plan.dir.clone();
    let handed = if shim.installed.is_crun() && shim.call.command != Command::Restore {
        Handed::config(&shim.call, &plan.change.apply(spec, None))?
    } else {
        Handed::bundle(&shim.call, &dir.join("bundle"), &plan.change, spec, bundle)?
    };
    drop(plan);
    // The runtime has everything again.
    sys::keep_only(Need::CleanUp);
    let argv: Vec<&CStr> = handed.argv.iter().map(CString::as_c_str).collect();
    let ended = shim.supervise(&argv)?;
    if ended != sys::Ended::Exited(0) || ends_with_the_call(&shim.call) {
        return Ok(ended);
    }
    if let Err(error) = handed.take_values_away(&dir.join("bundle")) {
        // It exists and is not as promised: it must not be started.
        shim.undo_create();
        return Err(error);
    }
    record.phase = Phase::Live;
    record.process = shim.call.pid_file().and_then(first_process).or_else(|| ledger::ask_process(record));
    // On a full tmpfs the earlier record stays: without the process, the runtime is asked instead.
    let _ = record.write(&dir);
    Ok(ended)
}

fn first_process(pid_file: &Path) -> Option<Process> {
    Process::find(fs::read_to_string(pid_file).ok()?.trim().parse().ok()?)
}

/// The runtime's arguments and what they refer to.
struct Handed {
    argv: Vec<CString>,
    /// crun's configuration, in memory.
    _config: Option<OwnedFd>,
    /// Beside the private bundle's configuration there is one without values, for afterwards.
    has_bundle: bool,
}

/// The name of the configuration without values until it takes its place.
const WITHOUT_VALUES: &str = ".config.without-values";

impl Handed {
    /// crun reads its configuration from any file and keeps the engine's bundle.
    fn config(call: &Call<'_>, text: &[u8]) -> anyhow::Result<Self> {
        let file = sys::memory_file("config.json", text, call.preserved())
            .context("cannot make a file in memory for the configuration, after the descriptors that are preserved")?;
        let argv = call.with_config(&PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
        Ok(Self { argv, _config: Some(file), has_bundle: false })
    }

    /// Other runtimes read `config.json` in the bundle: they get one of their own on the tmpfs.
    fn bundle(
        call: &Call<'_>,
        dir: &Path,
        change: &oci::Change,
        spec: &Spec<'_>,
        bundle: &Path,
    ) -> anyhow::Result<Self> {
        let failed = || format!("cannot make the private bundle {}", dir.display());
        fs::DirBuilder::new().mode(0o700).create(dir).with_context(failed)?;
        write(&dir.join("config.json"), &change.apply(spec, Some(bundle))).with_context(failed)?;
        write(&dir.join(WITHOUT_VALUES), &change.apply_without_values(spec, Some(bundle))).with_context(failed)?;
        Ok(Self { argv: call.with_bundle(dir), _config: None, has_bundle: true })
    }

    /// The bundle is read again while the container lives, by a bare `exec` and by other people's
    /// hooks: they find everything but the values.
    fn take_values_away(&self, dir: &Path) -> anyhow::Result<()> {
        if self.has_bundle {
            fs::rename(dir.join(WITHOUT_VALUES), dir.join("config.json"))?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    File::options().write(true).create_new(true).mode(0o600).open(path)?.write_all(text)
}

/// The id of a container for messages.
pub fn name(container: Option<&OsStr>) -> String {
    container.map_or_else(|| "?".to_owned(), |id| id.to_string_lossy().into_owned())
}
