//! `keyslip install tmpfs`: a runtime directory that is never swapped out.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use keyslip::site::{Site, Whose};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};

/// Mounts it.
pub fn run(site: &Site) -> anyhow::Result<ExitCode> {
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

/// Whether a file system begins here: its parent is on another device.
fn is_mountpoint(path: &Path) -> anyhow::Result<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = rustix::fs::open(path, flags, Mode::empty())?;
    let above = rustix::fs::openat(&here, "..", flags, Mode::empty())?;
    Ok(rustix::fs::fstat(&here)?.st_dev != rustix::fs::fstat(&above)?.st_dev)
}
