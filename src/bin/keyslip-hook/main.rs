//! The OCI hook, for engines whose runtime is left as it is.
//!
//! - `precreate` (podman): the specification on standard input, changed on standard output.
//! - `createRuntime`, `prestart`: the state on standard input; the container's namespaces exist and
//!   its mounts can still be added to.
//! - `poststop`: the state on standard input; what the container had is removed.
//!
//! Nothing is taken from the environment, which may be a container's (CVE-2025-23266). The engine, the user's home directory and CDI devices are
//! arguments that the installation wrote into the hook's JSON.

#![no_main]

mod create_runtime;
mod poststop;
mod precreate;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use keyslip::audit::{self, Entry, Event, tell_syslog};
use keyslip::journal::sentence;
use keyslip::names::AgentRef;
use keyslip::oci::{LONGEST_SPEC, State};
use keyslip::request;
use keyslip::site::Site;
use keyslip::sys::{self, Args, Need};

keyslip::entry!(start);

/// One call of the hook.
struct Hook {
    engine: String,
    devices: Vec<AgentRef>,
    /// The arguments as they were given.
    args: Vec<String>,
    launcher: PathBuf,
    site: Site,
}

/// The option that names a device.
const DEVICE: &str = "--device";

/// Where the launcher is unless an argument says otherwise: beside `/run`, which may be noexec.
const LAUNCHER: &str = "/usr/libexec/keyslip/keyslip-launch";

fn start(args: Args) -> i32 {
    sys::secure_stdio();
    sys::forget_environment();
    sys::conceal();
    sys::gain_nothing();
    match run(&args) {
        Ok(()) => 0,
        Err(error) => {
            // `eprintln` panics when standard error is a file on a full disk.
            let _ = writeln!(std::io::stderr(), "keyslip: {}", sentence(error.chain()));
            tell_syslog(3, &sentence(error.chain()));
            1
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let stage = args.get(1).and_then(OsStr::to_str).unwrap_or("");
    if stage == "--version" {
        println!("keyslip-hook {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    let hook = Hook::from_args(args)?;
    sys::keep_only(if stage == "poststop" { Need::CleanUp } else { Need::Deliver });
    match stage {
        "precreate" => precreate::run(&hook),
        "createRuntime" | "prestart" => create_runtime::run(&hook),
        "poststop" => poststop::run(&hook),
        _ => bail!(
            "usage: keyslip-hook precreate|createRuntime|prestart|poststop --engine NAME [--home DIR] [--device AGENT[.ACCOUNT]]"
        ),
    }
}

impl Hook {
    fn from_args(args: &Args) -> anyhow::Result<Self> {
        let (mut engine, mut home) = (None, None);
        let mut launcher = PathBuf::from(LAUNCHER);
        let mut index = 2;
        while let Some(option) = args.get(index) {
            let value = args.get(index + 1).with_context(|| format!("{} needs a value", option.display()))?;
            match option.to_str() {
                Some("--engine") => engine = value.to_str().map(str::to_owned),
                Some("--home") => home = Some(PathBuf::from(value)),
                Some("--launcher") => launcher = PathBuf::from(value),
                Some("--device") => {}
                _ => bail!("{} is no option of keyslip-hook", option.display()),
            }
            index += 2;
        }
        let engine = engine.context("--engine is missing: the hook's JSON must name the engine")?;
        let all = (0..).map_while(|index| args.get(index)).map(|arg| arg.to_string_lossy().into_owned());
        let args: Vec<String> = all.collect();
        Ok(Self { engine, devices: devices(&args)?, args, launcher, site: Site::here(home.as_deref())? })
    }

    /// Writes a line about a request that came to nothing into the audit log: engines hide what a hook says.
    fn note(&self, event: Event, container: &str, reason: Option<&str>, settings: &audit::Settings) {
        let entry = Entry::new(event, &self.engine, container).because_of(reason);
        let _ = entry.write(&self.site.state, settings);
    }
}

/// The devices that a call of the hook with these arguments is for.
fn devices(args: &[impl AsRef<str>]) -> Result<Vec<AgentRef>, request::Error> {
    let pairs = args.get(2..).unwrap_or_default().chunks_exact(2);
    pairs.filter(|pair| pair[0].as_ref() == DEVICE).map(|pair| request::device(pair[1].as_ref())).collect()
}

/// Reads all of standard input, if it is not absurdly long.
fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(LONGEST_SPEC + 1).read_to_string(&mut text).context("cannot read standard input")?;
    if text.len() as u64 > LONGEST_SPEC {
        bail!("standard input is longer than {LONGEST_SPEC} bytes");
    }
    Ok(text)
}

/// Reads the state that a runtime gives to its hooks.
fn state() -> anyhow::Result<State> {
    serde_json::from_str(&standard_input()?).context("standard input is no OCI state")
}
