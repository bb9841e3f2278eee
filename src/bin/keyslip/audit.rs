//! `keyslip audit append`: what the static programs have asked for, because a file system that does not answer keeps
//! whoever waits for it, and a start must not be kept. Settings and a line of the log on standard input; what went
//! wrong on standard output.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use keyslip::audit::{Settings, append};

/// Longest line with its settings; ten thousand agents fit.
const LONGEST: u64 = 8 << 20;

#[derive(Subcommand)]
pub enum Audit {
    /// Append the line on standard input to the file that is named before it.
    Append,
}

pub fn run(Audit::Append: &Audit) -> anyhow::Result<ExitCode> {
    let done = appended();
    if let Err(error) = &done {
        // It is read by the program that has asked.
        print!("{error:#}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn appended() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().take(LONGEST).read_to_string(&mut text).context("cannot read the line")?;
    let (settings, line) = text.split_once('\n').context("standard input has no line")?;
    let settings: Settings = serde_json::from_str(settings).context("standard input has no settings")?;
    let file = settings.file.as_deref().context("the settings name no file")?;
    Ok(append(file, &settings, line.as_bytes())?)
}
