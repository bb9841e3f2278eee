//! `keyslip cdi`: agents as devices.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use keyslip::names::Account;
use keyslip::site::{Site, Whose};
use keyslip::{cdi, config};

use crate::cli::examples;
use crate::place;

#[derive(Subcommand)]
pub enum Cdi {
    /// Write the file by which engines offer each agent and account as a device. It holds no secret.
    #[command(after_help = examples!(
        "keyslip cdi generate && podman run --device keyslip.dev/agent=claude IMAGE",
        "keyslip cdi generate --account work --stdout",
    ))]
    Generate(Generate),
}

/// Who reads the file.
#[derive(Clone, Copy, ValueEnum)]
enum Reader {
    /// Any engine.
    Cdi,
    /// A Kubernetes CRI alone, from a directory that no other engine reads: its word about namespaces counts.
    Cri,
}

#[derive(clap::Args)]
pub struct Generate {
    /// The file; else /etc/cdi/keyslip.json, for a user ~/.config/cdi/keyslip.json.
    #[arg(long, conflicts_with = "stdout")]
    output: Option<PathBuf>,
    /// Print it instead.
    #[arg(long)]
    stdout: bool,
    /// An account to offer beside those with a stored login or a rule, as that of another user of this host.
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<Account>,
    /// Who reads it.
    #[arg(long, value_enum, default_value = "cdi")]
    engine: Reader,
    /// Where keyslip-hook is.
    #[arg(long, default_value_os_t = place::libexec())]
    libexec: PathBuf,
}

pub fn run(command: &Cdi, site: &Site) -> anyhow::Result<ExitCode> {
    match command {
        Cdi::Generate(args) => generate(args, site),
    }
}

fn generate(args: &Generate, site: &Site) -> anyhow::Result<ExitCode> {
    let program = std::path::absolute(args.libexec.join("keyslip-hook"))?;
    if !program.is_file() {
        bail!("{} is missing; install Keyslip again, or say where it is with --libexec", program.display());
    }
    let devices = cdi::devices(site, &config::load(&site.config)?, &args.accounts)?;
    let engine = match args.engine {
        Reader::Cdi => cdi::ENGINE,
        Reader::Cri => "cri",
    };
    // What lies in /etc/cdi is for every user, and each has their own home directory.
    let home = (site.whose != Whose::System).then_some(&*site.home);
    let text = cdi::document(&devices.agents, &cdi::Hook { program: &program, engine, home })?;
    for note in &devices.notes {
        eprintln!("warning: {note}");
    }
    if args.stdout {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let path = args.output.clone().unwrap_or_else(|| cdi::path(site));
    write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let names = devices.agents.iter().map(cdi::device).collect::<Result<Vec<_>, _>>()?;
    println!("wrote {}; devices of {}: {}", path.display(), cdi::KIND, names.join(", "));
    println!("next: {}", next(args, &path, site));
    Ok(ExitCode::SUCCESS)
}

fn next(args: &Generate, path: &Path, site: &Site) -> String {
    let dir = path.parent().unwrap_or(Path::new("/")).display();
    match (args.engine, site.whose) {
        (Reader::Cri, _) => format!(
            "have the CRI read {dir} alone: cdi_spec_dirs = [\"{dir}\"]; a pod gets what an [[allow]] rule for engine \"cri\" gives"
        ),
        (Reader::Cdi, Whose::System) => {
            format!("podman run --device {}=claude …; accounts but the default one need an [[allow]] rule", cdi::KIND)
        }
        (Reader::Cdi, Whose::User(_)) => format!(
            "podman reads {dir} from version 5.5 on, with cdi_spec_dirs = [\"/etc/cdi\", \"{dir}\"] under [engine] in containers.conf; \
             earlier versions read /etc/cdi alone: there root runs `keyslip cdi generate`, with --account for accounts that only you have"
        ),
    }
}

/// Writes the file whole or not at all, readable for every engine.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir)?;
    // The engines read every file that ends in `.json` or `.yaml`.
    let new = path.with_extension("json.new");
    let _ = fs::remove_file(&new);
    let written = File::options().write(true).create_new(true).mode(0o644).open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
