//! Carrying a plan out, and undoing what was done when a step fails.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown};
use std::path::Path;

use zeroize::Zeroizing;

use super::Error;
use super::plan::{Plan, PlannedFile};
use super::shared;
use crate::ledger::{Ledger, Record, SandboxId};

/// Does everything the plan says on the host's side: claims, files, mountpoints. The record is
/// written first, so that an interruption at any point can be cleaned up by it.
///
/// # Errors
/// When a step fails; everything before it is undone.
pub fn carry_out(plan: &mut Plan, ledger: &Ledger, record: &mut Record) -> Result<(), Error> {
    let id = record.id.clone();
    let _umask = Umask::set();
    ledger.make_sandbox(&id)?;
    let result = steps(plan, ledger, record, &id);
    if result.is_err() {
        let _ = crate::ledger::clean_up(ledger, record);
    }
    result
}

/// The engine's umask, kept away from the modes of what is made here and given back at the end: the
/// runtime inherits it.
struct Umask(rustix::fs::Mode);

impl Umask {
    fn set() -> Self {
        Self(rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022)))
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        rustix::process::umask(self.0);
    }
}

fn steps(plan: &mut Plan, ledger: &Ledger, record: &mut Record, id: &SandboxId) -> Result<(), Error> {
    for mountpoint in &mut plan.mountpoints {
        mountpoint.identify();
    }
    record.mountpoints.clone_from(&plan.mountpoints);
    record.write(&plan.dir)?;
    for claim in &plan.claims {
        match ledger.claim(&claim.key, id)? {
            None => record.claims.push(claim.key.as_str().to_owned()),
            Some(other) if claim.required => {
                return Err(Error::Unusable {
                    path: claim.path.clone(),
                    reason: format!(
                        "lies in a volume that another container ({}) has a credential in; a rename there would swap the file \
                         under both. Give each its own home directory",
                        Record::read(&ledger.sandbox(&other))
                            .map_or_else(|_| "unknown".to_owned(), |record| record.container)
                    ),
                    what: claim.what.clone(),
                });
            }
            Some(_) => plan.warnings.push(format!("{} is shared with another container", claim.path.display())),
        }
    }
    for path in &plan.directories {
        // Whoever the container runs as may look into it; the way to it is closed to others.
        fs::DirBuilder::new().mode(0o755).create(path).map_err(io_error(path))?;
        label(path, plan.label.as_deref());
    }
    share(plan, ledger, id)?;
    for file in &plan.files {
        write(file).map_err(io_error(&file.path))?;
        label(&file.path, plan.label.as_deref());
    }
    write_env(plan)?;
    for mountpoint in &plan.mountpoints {
        match (ledger.occupy(mountpoint, id), &mountpoint.dispensable) {
            (Ok(()), _) => {}
            (Err(error), Some(destination)) => {
                plan.warnings.push(format!("{destination} was left out: {error}"));
                plan.change.mounts.retain(|mount| mount.destination != *destination);
            }
            (Err(error), None) => return Err(error),
        }
    }
    record.warnings.extend(plan.warnings.iter().cloned());
    // It was written as it is, but for these.
    if !record.claims.is_empty() || !plan.warnings.is_empty() {
        record.write(&plan.dir)?;
    }
    Ok(())
}

/// Mounts what is shared from the host; the container can do without it.
fn share(plan: &mut Plan, ledger: &Ledger, id: &SandboxId) -> Result<(), Error> {
    if plan.shared.is_empty() {
        return Ok(());
    }
    let dir = ledger.shares(id);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io_error(&dir))?;
    for share in std::mem::take(&mut plan.shared) {
        if let Err(error) = shared::mount(&share) {
            plan.warnings.push(format!("{} is not shared from the host: {error}", share.destination));
            plan.change.mounts.retain(|mount| mount.destination != share.destination);
        }
    }
    Ok(())
}

/// The variables for processes started later: `NAME=value`, each ended by a NUL.
fn write_env(plan: &Plan) -> Result<(), Error> {
    if plan.change.env.is_empty() {
        return Ok(());
    }
    let text = Zeroizing::new(crate::launch::file(&plan.change.env));
    let path = plan.dir.join("env");
    create(&path, 0o600).and_then(|mut file| file.write_all(&text)).map_err(io_error(&path))
}

fn write(planned: &PlannedFile) -> io::Result<()> {
    let mut file = match create(&planned.path, planned.mode) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let dir = planned.path.parent().unwrap_or(&planned.path);
            fs::DirBuilder::new().mode(0o700).create(dir)?;
            create(&planned.path, planned.mode)?
        }
        other => other?,
    };
    file.write_all(planned.content.expose())?;
    fchown(&file, Some(planned.owner.0), Some(planned.owner.1))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(mode).open(path)
}

/// Gives a file the label that the container may read; without SELinux there is none to give.
fn label(path: &Path, label: Option<&str>) {
    if let Some(label) = label {
        let flags = rustix::fs::XattrFlags::empty();
        let _ = rustix::fs::lsetxattr(path, "security.selinux", label.as_bytes(), flags);
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<'_> {
    move |source| Error::Io { path: path.to_owned(), source }
}
