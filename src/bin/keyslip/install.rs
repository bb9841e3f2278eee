//! `keyslip install`: what this host needs.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use keyslip::json::quote;
use keyslip::site::{Site, Whose};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};

#[derive(Subcommand)]
pub enum Install {
    /// Mount a tmpfs that is never swapped out at the runtime directory.
    ///
    /// The unit keyslip-tmpfs.service does the same at boot. Without it the directory is part of /run,
    /// which is a tmpfs too but may be swapped.
    Tmpfs,
    /// Write the hooks for podman into a directory of their own.
    ///
    /// Name it in containers.conf, `hooks_dir`, or give it to `podman --hooks-dir`. Never put these
    /// files into /usr/share/containers/oci/hooks.d: `podman build` fails on the stage `precreate`.
    Hooks {
        /// The directory.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The engine that will call them.
        #[arg(long, default_value = "podman")]
        engine: String,
        /// Where the programs are.
        #[arg(long, default_value = "/usr/libexec/keyslip")]
        libexec: PathBuf,
    },
}

/// Hooks by their file's name; places to fill in stand between two `@`.
const HOOKS: [(&str, &str); 3] = [
    ("keyslip-precreate.json", include_str!("../../../hooks/keyslip-precreate.json")),
    ("keyslip-createruntime.json", include_str!("../../../hooks/keyslip-createruntime.json")),
    ("keyslip-poststop.json", include_str!("../../../hooks/keyslip-poststop.json")),
];

pub fn run(command: &Install, site: &Site) -> anyhow::Result<ExitCode> {
    match command {
        Install::Tmpfs => tmpfs(site),
        Install::Hooks { dir, engine, libexec } => hooks(dir.as_deref(), engine, libexec, site),
    }
}

fn tmpfs(site: &Site) -> anyhow::Result<ExitCode> {
    if site.whose != Whose::System {
        bail!(
            "only root can mount a tmpfs that is not swapped; a user's runtime directory is {}",
            site.runtime.display()
        );
    }
    let path = &site.runtime;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    if is_mountpoint(path)? {
        println!("{} is mounted already", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    if fs::read_dir(path)?.next().is_some() {
        bail!("{} is in use by containers; end them first, or leave it: /run is a tmpfs too", path.display());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let swapless = mount("keyslip", path, "tmpfs", flags, c"mode=0700,size=10%,noswap");
    // Kernels before 6.4 do not know noswap.
    swapless
        .or_else(|_| mount("keyslip", path, "tmpfs", flags, c"mode=0700,size=10%"))
        .with_context(|| format!("cannot mount a tmpfs at {}", path.display()))?;
    println!("mounted a tmpfs at {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn hooks(dir: Option<&Path>, engine: &str, libexec: &Path, site: &Site) -> anyhow::Result<ExitCode> {
    let dir = dir.map_or_else(|| site.config.join("hooks.d"), Path::to_owned);
    let shared = ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"];
    if shared.iter().any(|shared| dir.starts_with(shared)) {
        bail!(
            "{} is read by `podman build` and CRI-O, which fail on the stage `precreate`; use a directory of its own",
            dir.display()
        );
    }
    let (hook, launcher) = (libexec.join("keyslip-hook"), libexec.join("keyslip-launch"));
    for program in [&hook, &launcher] {
        if !program.is_file() {
            bail!("{} is missing; run `make install`, or say where it is with --libexec", program.display());
        }
    }
    // Hooks get no environment: whose logins they read has to be written down.
    let home =
        site.state.parent().and_then(Path::parent).and_then(Path::parent).filter(|_| site.whose != Whose::System);
    let home = home.unwrap_or(Path::new("/root"));
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, template) in HOOKS {
        let places = [("HOOK", &*hook), ("LAUNCHER", &*launcher), ("HOME", home), ("ENGINE", Path::new(engine))];
        let text = places.iter().fold(template.to_owned(), |text, (place, value)| {
            // Quoted as JSON, less the quotes that the template has.
            let value = quote(&value.to_string_lossy());
            text.replace(&format!("@{place}@"), &value[1..value.len() - 1])
        });
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("wrote {} hooks into {}", HOOKS.len(), dir.display());
    println!("next: put this under [engine] in containers.conf: hooks_dir = [\"{}\"]", dir.display());
    Ok(ExitCode::SUCCESS)
}

/// Whether a file system begins here: its parent is on another device.
fn is_mountpoint(path: &Path) -> anyhow::Result<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = rustix::fs::open(path, flags, Mode::empty())?;
    let above = rustix::fs::openat(&here, "..", flags, Mode::empty())?;
    Ok(rustix::fs::fstat(&here)?.st_dev != rustix::fs::fstat(&above)?.st_dev)
}
