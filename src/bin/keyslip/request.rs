//! `keyslip request`: the path whose bind mount is a request.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use keyslip::ledger::{Ledger, SandboxId};
use keyslip::names::{AgentRef, SecretName};
use keyslip::site::Site;

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Args {
    /// The agent: AGENT or AGENT@ACCOUNT.
    agent: Option<AgentRef>,
    /// A secret file instead.
    #[arg(long)]
    secret: Option<SecretName>,
}

pub fn run(args: &Args, site: &Site) -> anyhow::Result<ExitCode> {
    let name = match (&args.agent, &args.secret) {
        (Some(agent), _) => agent.to_string(),
        (None, Some(secret)) => format!("secret.{secret}"),
        (None, None) => unreachable!("the arguments require one"),
    };
    Ledger::at(&site.runtime).make()?;
    let path = entry(site, &name).with_context(|| format!("cannot make an entry in {}", site.requests().display()))?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// An entry in a directory whose name nobody can guess, so that no link can lead an engine there.
fn entry(site: &Site, name: &str) -> std::io::Result<PathBuf> {
    let names = fs::read_dir(site.requests()).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let known = names.filter_map(|name| SandboxId::try_from(name.into_string().ok()?).ok()).next();
    let id = known.map_or_else(SandboxId::random, Ok)?;
    let dir = site.requests().join(id.as_str());
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let path = dir.join(name);
    File::options().append(true).create(true).open(&path)?;
    Ok(path)
}
