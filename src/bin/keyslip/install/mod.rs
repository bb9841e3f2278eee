//! `keyslip install`: what this host needs, and what its engines need.

mod engine;
mod tmpfs;

pub use engine::changed;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use keyslip::engine::{Host, hooks};
use keyslip::site::Site;

use crate::cli::examples;
use crate::place;

#[derive(Subcommand)]
pub enum Install {
    /// Set podman up: a drop-in of containers.conf. As an ordinary user, for that user's rootless podman.
    ///
    /// Nothing is restarted. `keyslip uninstall podman` leaves every file as it was.
    #[command(after_help = examples!("keyslip install podman", "keyslip install podman --mode hook --dry-run"))]
    Podman(engine::Podman),
    /// Set docker up: a runtime in /etc/docker/daemon.json.
    ///
    /// Nothing is restarted. `keyslip uninstall docker` leaves every file as it was.
    #[command(after_help = examples!("keyslip install docker && systemctl reload docker", "keyslip install docker --default"))]
    Docker(engine::Docker),
    /// Set containerd up, for Kubernetes' CRI and for ctr: a block in /etc/containerd/config.toml.
    ///
    /// Nothing is restarted. `keyslip uninstall containerd` leaves every file as it was.
    #[command(after_help = examples!("keyslip install containerd --dry-run", "keyslip install containerd"))]
    Containerd(engine::Containerd),
    /// Offer agents as devices, in /etc/cdi/keyslip.json, to every engine that reads it.
    #[command(after_help = examples!("keyslip install cdi && podman run --device keyslip.dev/agent=claude IMAGE"))]
    Cdi(engine::Common),
    /// Mount a tmpfs that is never swapped out at the runtime directory.
    ///
    /// The unit keyslip-tmpfs.service does the same at boot. Without it the directory is part of /run,
    /// which is a tmpfs too but may be swapped.
    #[command(after_help = examples!("keyslip install tmpfs"))]
    Tmpfs,
    /// Write the hooks for podman into a directory of their own, and configure nothing.
    ///
    /// `install podman --mode hook` does that and names the directory in containers.conf. Never put these
    /// files into /usr/share/containers/oci/hooks.d: `podman build` fails on the stage `precreate`.
    #[command(after_help = examples!("keyslip install hooks --dir /etc/keyslip/hooks.d"))]
    Hooks {
        /// The directory.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The engine that will call them.
        #[arg(long, default_value = "podman")]
        engine: String,
        /// Where the programs are.
        #[arg(long, default_value_os_t = place::libexec())]
        libexec: PathBuf,
    },
}

pub fn run(command: &Install, site: &Site) -> anyhow::Result<ExitCode> {
    match command {
        Install::Podman(args) => engine::podman(args, site),
        Install::Docker(args) => engine::docker(args, site),
        Install::Containerd(args) => engine::containerd(args, site),
        Install::Cdi(args) => engine::cdi(args, site),
        Install::Tmpfs => tmpfs::run(site),
        Install::Hooks { dir, engine, libexec } => {
            write_hooks(dir.clone(), engine, &Host::here(site.clone(), libexec)).map(|()| ExitCode::SUCCESS)
        }
    }
}

fn write_hooks(dir: Option<PathBuf>, engine: &str, host: &Host) -> anyhow::Result<()> {
    let dir = dir.unwrap_or_else(|| hooks::directory(&host.site));
    let files = hooks::files(host, &dir, engine)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, text) in &files {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("wrote {} hooks into {}", files.len(), dir.display());
    println!("next: put this under [engine] in containers.conf: hooks_dir = [\"{}\"]", dir.display());
    Ok(())
}
