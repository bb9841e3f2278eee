//! `keyslip uninstall`: engines as they were before.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use keyslip::engine::{self, Engine, Host};
use keyslip::site::Site;

use crate::install::changed;
use crate::place;

#[derive(clap::Args)]
pub struct Args {
    /// podman, docker, containerd, cdi.
    #[arg(value_name = "ENGINE", required_unless_present = "all")]
    engines: Vec<Engine>,
    /// Every engine that something was installed for.
    #[arg(long, conflicts_with = "engines")]
    all: bool,
    /// Although containers still name Keyslip's runtime.
    #[arg(long)]
    force: bool,
    /// Show what would be changed, as a diff, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where the programs and the engines' links are.
    #[arg(long, default_value_os_t = place::libexec(), hide = true)]
    libexec: PathBuf,
}

pub fn run(args: &Args, site: &Site) -> anyhow::Result<ExitCode> {
    let host = Host::here(site.clone(), &std::path::absolute(&args.libexec)?);
    let engines = if args.all { engine::installed(&host) } else { args.engines.clone() };
    if engines.is_empty() {
        println!("nothing is installed");
    }
    // One engine must not keep the others from being taken away.
    let mut failed = None;
    for engine in engines {
        if let Err(error) = one(engine, args, &host)
            && let Some(before) = failed.replace(error)
        {
            eprintln!("keyslip: {before:#}");
        }
    }
    engine::tidy(&host);
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => bail!(error),
    }
}

fn one(engine: Engine, args: &Args, host: &Host) -> anyhow::Result<()> {
    let plan = engine::prepare_removal(engine, host, args.force)?;
    if args.dry_run {
        print!("{}", plan.diff());
    } else {
        engine::uninstall(engine, host).with_context(|| format!("{engine} is still installed"))?;
        changed(&plan);
        println!("{engine} is as it was before the installation");
    }
    for note in &plan.notes {
        eprintln!("note: {note}");
    }
    for step in plan.next.iter().filter(|_| !args.dry_run) {
        println!("next: {step}");
    }
    Ok(())
}
