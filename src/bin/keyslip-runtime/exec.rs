//! `exec`: every engine describes the new process in a file that holds only that process's
//! environment, so the variables are added again, from the container's directory, to a copy in
//! memory.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use keyslip::ledger::{Key, Ledger};
use keyslip::oci::{self, EnvVar, Process, process_with_env};
use keyslip::{launch, site, sys};
use zeroize::Zeroizing;

use crate::{Shim, exec_options};

pub fn run(shim: &Shim<'_>) -> anyhow::Result<i32> {
    let Some(container) = shim.call.container() else { return shim.pass() };
    let ledger = Ledger::at(&site::runtime_dir()?);
    let key = Key::new(&shim.installed.real, shim.call.root(), container);
    let Some(id) = ledger.find(&key) else { return shim.pass() };
    let dir = ledger.sandbox(&id);
    let Ok(stored) = fs::read(dir.join("env")).map(Zeroizing::new) else { return shim.pass() };
    match shim.call.process() {
        Some(path) => {
            let text = oci::read(path)?;
            let process = Process::parse(&text, path)?;
            let file = sys::memory_file("process.json", &process_with_env(&process, &missing(&process, &stored)))?;
            shim.pass_with(&shim.call.with_process(&descriptor(&file)))
        }
        // crun keeps the configuration it was given and takes the environment from there.
        None if shim.installed.is_crun() => shim.pass(),
        None => by_options(shim, &dir.join("bundle/config.json"), &stored),
    }
}

/// A bare `runc exec ID COMMAND`: runc would take the process from the bundle, which holds no
/// values. It gets a process file instead.
fn by_options(shim: &Shim<'_>, config: &Path, stored: &[u8]) -> anyhow::Result<i32> {
    let Some(base) = oci::read(config).ok() else { return shim.pass() };
    let spec = oci::Spec::parse(&base, config)?;
    let Some(described) = exec_options::describe(&shim.call, &spec.process)? else { return shim.pass() };
    let text = std::str::from_utf8(&described)?;
    let process = Process::parse(text, config)?;
    let file = sys::memory_file("process.json", &process_with_env(&process, &missing(&process, stored)))?;
    shim.pass_with(&shim.call.exec_with_process(&descriptor(&file), exec_options::KEPT))
}

fn descriptor(file: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The stored variables that the process does not set itself.
fn missing(process: &Process<'_>, stored: &[u8]) -> Vec<EnvVar> {
    let mut vars = launch::read_file(stored);
    vars.retain(|var| process.variable(var.name.as_str()).is_none());
    vars
}
