//! `keyslip install podman`, `docker`, `containerd` and `cdi`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use keyslip::engine::{self, Engine, Host, Mode, Order, Plan};
use keyslip::site::{Site, Whose};

use crate::place;

/// What every engine has.
#[derive(clap::Args)]
pub struct Common {
    /// Show what would be changed, as a diff, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where the programs and the engines' links are.
    #[arg(long, default_value_os_t = place::libexec(), hide = true)]
    libexec: PathBuf,
}

/// The ways into podman.
#[derive(Clone, Copy, ValueEnum)]
enum PodmanMode {
    /// The shim in front of crun and runc: variables and files, in `exec` too.
    Shim,
    /// Hooks: the runtime stays as it is; variables for the main process, files.
    Hook,
}

/// The ways into a daemon.
#[derive(Clone, Copy, ValueEnum)]
enum DaemonMode {
    /// The shim, as a runtime of its own: variables and files, in `exec` too.
    Shim,
    /// Agents as devices: files.
    Cdi,
}

#[derive(clap::Args)]
pub struct Podman {
    /// The way in.
    #[arg(long, value_enum, default_value = "shim")]
    mode: PodmanMode,
    /// For your own rootless podman, which is what an ordinary user gets anyway; root is refused.
    #[arg(long)]
    rootless: bool,
    /// Let annotations count although podman copies them from images: if you run only images you trust.
    #[arg(long)]
    trust_annotations: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub struct Docker {
    /// The way in.
    #[arg(long, value_enum, default_value = "shim")]
    mode: DaemonMode,
    /// Make it the runtime of containers that name none.
    #[arg(long = "default")]
    default_runtime: bool,
    /// The daemon's configuration, where it is not /etc/docker/daemon.json.
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub struct Containerd {
    /// The way in.
    #[arg(long, value_enum, default_value = "shim")]
    mode: DaemonMode,
    /// The configuration, where it is not /etc/containerd/config.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub fn podman(args: &Podman, site: &Site) -> anyhow::Result<ExitCode> {
    if args.rootless && site.whose == Whose::System {
        bail!("rootless podman belongs to a user; run `keyslip install podman` as that user, without sudo");
    }
    let mode = match args.mode {
        PodmanMode::Shim => Mode::Shim,
        PodmanMode::Hook => Mode::Hook,
    };
    let order = Order { trust_annotations: args.trust_annotations, ..order(Engine::Podman, mode, None)? };
    run(&order, &args.common, site)
}

pub fn docker(args: &Docker, site: &Site) -> anyhow::Result<ExitCode> {
    let order = order(Engine::Docker, args.mode.into(), args.config.as_deref())?;
    run(&Order { default_runtime: args.default_runtime, ..order }, &args.common, site)
}

pub fn containerd(args: &Containerd, site: &Site) -> anyhow::Result<ExitCode> {
    run(&order(Engine::Containerd, args.mode.into(), args.config.as_deref())?, &args.common, site)
}

pub fn cdi(args: &Common, site: &Site) -> anyhow::Result<ExitCode> {
    run(&order(Engine::Cdi, Mode::Cdi, None)?, args, site)
}

impl From<DaemonMode> for Mode {
    fn from(mode: DaemonMode) -> Self {
        match mode {
            DaemonMode::Shim => Self::Shim,
            DaemonMode::Cdi => Self::Cdi,
        }
    }
}

fn order(engine: Engine, mode: Mode, config: Option<&Path>) -> anyhow::Result<Order> {
    let config = config.map(std::path::absolute).transpose()?;
    Ok(Order { engine, mode, config, default_runtime: false, trust_annotations: false })
}

fn run(order: &Order, args: &Common, site: &Site) -> anyhow::Result<ExitCode> {
    let host = Host::here(site.clone(), &std::path::absolute(&args.libexec)?);
    let prepared = engine::prepare(order, &host)?;
    let plan = &prepared.plan;
    if args.dry_run {
        print!("{}", plan.diff());
    } else {
        engine::install(&prepared, &host)?;
    }
    if plan.changes.is_empty() {
        println!("{} is installed already; nothing was changed", order.engine);
    } else if !args.dry_run {
        changed(plan);
    }
    // A diff is for `patch` and for reading; what else there is to say stays apart from it.
    for note in &plan.notes {
        eprintln!("note: {note}");
    }
    if !args.dry_run {
        for step in &plan.next {
            println!("next: {step}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what was done.
pub fn changed(plan: &Plan) {
    for change in &plan.changes {
        let what = match (&change.before, &change.after) {
            (None, _) => "wrote",
            (_, None) => "removed",
            _ => "changed",
        };
        println!("{what} {}", change.path.display());
    }
}
