//! `exec`: every engine describes the new process in a file that holds only that process's
//! environment, so the variables are added again, from the container's directory, to a copy in
//! memory.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use keyslip::ledger::{Process, Record};
use keyslip::oci::{self, EnvVar, process_with_env};
use keyslip::sys::Need;
use keyslip::{launch, sys};
use zeroize::Zeroizing;

use crate::{Shim, exec_options};

pub fn run(shim: &Shim<'_>) -> anyhow::Result<i32> {
    let Some(container) = shim.call.container() else { return shim.pass() };
    let (ledger, key, root) = shim.place()?;
    let Some(id) = ledger.look_up(&key)? else { return shim.pass() };
    let dir = ledger.sandbox(&id);
    // A process must not do without its variables because they could not be read.
    let record = match Record::read(&dir) {
        Err(error) if error.is_missing() => return shim.pass(),
        other => other?,
    };
    // What a container left that is gone is not for another of the same name.
    let is_there = record.process.map_or(Ok(true), Process::check).context("the container's process")?;
    if !is_there || record.agents.iter().all(|agent| agent.env.is_empty()) {
        return shim.pass();
    }
    sys::conceal();
    sys::keep_only(Need::Read);
    let stored = variables(&dir.join("env"))?;
    match shim.call.process() {
        Some(path) => {
            let text = oci::read(path)?;
            let process = oci::Process::parse(&text, path)?;
            let text = process_with_env(&process, &missing(&process, &stored));
            let file = sys::memory_file("process.json", &text, shim.call.preserved())?;
            shim.pass_with(&shim.call.with_process(&descriptor(&file)))
        }
        // crun keeps the configuration it was given, with the values of that time.
        None if shim.installed.is_crun() => {
            by_options(shim, &root.join(container).join("config.json"), &record, &stored)
        }
        None => by_options(shim, &dir.join("bundle/config.json"), &record, &stored),
    }
}

/// A bare `runc exec ID COMMAND`: the runtime would take the process from the bundle, which holds no
/// values, or crun from its own copy, which holds old ones. It gets a process file instead.
fn by_options(shim: &Shim<'_>, config: &Path, record: &Record, stored: &[u8]) -> anyhow::Result<i32> {
    let base = match oci::read(config).map(Zeroizing::new) {
        Err(_) if !config.exists() => return shim.pass(),
        other => other?,
    };
    let spec = oci::Spec::parse(&base, config)?;
    let ours = |name: &str| record.agents.iter().any(|agent| agent.env.iter().any(|env| env == name));
    let Some(described) = exec_options::describe(&shim.call, &spec.process, ours)? else { return shim.pass() };
    let text = std::str::from_utf8(&described)?;
    let process = oci::Process::parse(text, config)?;
    let text = process_with_env(&process, &missing(&process, stored));
    let file = sys::memory_file("process.json", &text, shim.call.preserved())?;
    shim.pass_with(&shim.call.exec_with_process(&descriptor(&file), exec_options::KEPT))
}

/// What the container's directory keeps for processes that are started later.
fn variables(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        other => Ok(Zeroizing::new(other.with_context(|| path.display().to_string())?)),
    }
}

fn descriptor(file: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The stored variables that the process does not set itself.
fn missing(process: &oci::Process<'_>, stored: &[u8]) -> Vec<EnvVar> {
    let mut vars = launch::read_file(stored);
    vars.retain(|var| process.variable(var.name.as_str()).is_none());
    vars
}
