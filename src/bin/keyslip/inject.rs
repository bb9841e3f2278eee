//! `keyslip inject`: prepares a bundle for a bare `crun run` or `runc run`, with no shim and no
//! engine, as in a job of continuous integration. The bundle gets mounts, the launcher and hooks;
//! never a value.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use keyslip::audit::{Entry, Event};
use keyslip::config;
use keyslip::deliver::{self, EnvWay};
use keyslip::journal::Journal;
use keyslip::json::{get, quote, set};
use keyslip::ledger::{self, Ledger};
use keyslip::names::AgentRef;
use keyslip::oci::{self, Spec};
use keyslip::pipeline::{self, Input};
use keyslip::request;
use keyslip::site::Site;

use crate::place;

#[derive(clap::Args)]
pub struct Args {
    /// The bundle: a directory with config.json.
    #[arg(long, default_value = ".")]
    bundle: PathBuf,
    /// An agent that the bundle does not ask for by annotation: AGENT or AGENT@ACCOUNT.
    #[arg(long = "agent")]
    agents: Vec<AgentRef>,
    /// Where keyslip-hook and keyslip-launch are.
    #[arg(long, default_value_os_t = place::libexec())]
    libexec: PathBuf,
}

pub fn run(args: &Args, site: &Site) -> anyhow::Result<ExitCode> {
    let bundle = std::path::absolute(&args.bundle)?;
    let path = bundle.join("config.json");
    let text = oci::read(&path)?;
    let spec = Spec::parse(&text, &path)?;
    if spec.annotation(request::SANDBOX).is_some() {
        bail!("{} has been injected before; make it anew, what it refers to ends with its container", path.display());
    }
    let (hook, launcher) = (args.libexec.join("keyslip-hook"), args.libexec.join("keyslip-launch"));
    for program in [&hook, &launcher] {
        if !program.is_file() {
            bail!("{} is missing; install Keyslip again, or say where it is with --libexec", program.display());
        }
    }
    let config = config::load(&site.config)?;
    let input = Input {
        site,
        config: &config,
        engine: "bare",
        runtime: Path::new("hook"),
        root: Some(bundle.as_os_str()),
        container: "".as_ref(),
        bundle: &bundle,
        spec: &spec,
        env: EnvWay::Launcher(&launcher),
        restored: false,
        devices: &args.agents,
        dry_run: false,
    };
    let mut journal = Journal::default();
    let Some(mut prepared) = pipeline::prepare(&input, &mut journal)? else {
        bail!("{} asks for nothing; add the annotation dev.keyslip.agents, or give --agent", path.display());
    };
    let ledger = Ledger::at(&site.runtime);
    ledger.make()?;
    deliver::carry_out(&mut prepared.plan, &ledger, &mut prepared.record)?;
    let changed = prepared.plan.change.apply_without_values(&spec, None);
    let delivered = Entry::of(Event::Delivered, &prepared.record).write(&site.state, &config.audit);
    let written = delivered
        .map_err(anyhow::Error::from)
        .and_then(|()| with_hooks(&changed, &hook, site))
        .and_then(|text| replace(&path, &text));
    if let Err(error) = written {
        let _ = ledger::clean_up(&ledger, &prepared.record);
        return Err(error);
    }
    for warning in &prepared.record.warnings {
        eprintln!("warning: {}", crate::output::plain(warning));
    }
    println!("{} is ready; run it once, what it refers to ends with its container", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Adds the hooks that learn the container's id and clean up after it, behind those that are there.
fn with_hooks(text: &[u8], hook: &Path, site: &Site) -> anyhow::Result<String> {
    let mut text = String::from_utf8(text.to_vec())?;
    let home = std::env::var("HOME").unwrap_or_else(|_| site.config.to_string_lossy().into_owned());
    for stage in ["createRuntime", "poststop"] {
        let ours = format!(
            r#"{{"path":{},"args":["keyslip-hook","{stage}","--engine","bare","--home",{}],"env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],"timeout":10}}"#,
            quote(&hook.to_string_lossy()),
            quote(&home)
        );
        let before = get(&text, &["hooks", stage])?.filter(|array| *array != "null").unwrap_or("[]");
        let inner = before.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inner = inner.with_context(|| format!("hooks.{stage} is no array"))?.trim();
        let comma = if inner.is_empty() { "" } else { "," };
        let all = format!("[{inner}{comma}{ours}]");
        if let Some(changed) = set(&text, &["hooks", stage], &all, true)? {
            text = String::from_utf8(changed.to_vec())?;
        }
    }
    Ok(text)
}

/// Replaces the file, keeping its mode: the old one or the new one is there at any time.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("json.keyslip");
    let mode = fs::metadata(path)?.mode() & 0o777;
    let _ = fs::remove_file(&new);
    let written = File::options().write(true).create_new(true).mode(mode).open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
