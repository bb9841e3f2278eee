//! Variables by the launcher: for hooks, which must not put a value into the specification, because
//! the engine writes it to a disk and shows it.

use std::path::Path;

use super::Error;
use super::mountpoint::{Kind, Mountpoint};
use super::place::Surroundings;
use super::plan::{Plan, PlannedFile};
use crate::launch;
use crate::oci::Spec;
use crate::secret::Secret;

/// Moves the variables of the plan into a file for the launcher, and puts the launcher in front of
/// the command.
pub(super) fn plan(plan: &mut Plan, around: &Surroundings<'_>, spec: &Spec<'_>, program: &Path) -> Result<(), Error> {
    let env = std::mem::take(&mut plan.change.env);
    if env.is_empty() {
        return Ok(());
    }
    if !spec.process.has_command() {
        return Err(Error::NoCommand);
    }
    if !program.is_file() {
        return Err(Error::NoLauncher(program.to_owned()));
    }
    let target = around.target(Path::new(launch::ENVIRONMENT), Kind::File, "the launcher's variables")?;
    let path = plan.dir.join(launch::HOST_FILE);
    let owner = (around.owner.host_uid, around.owner.host_gid);
    plan.mountpoints.extend(Mountpoint::for_target(&target));
    plan.add_mounts(target.mounts(&path, false, around.owner));
    plan.files.push(PlannedFile { path, content: Secret::new(launch::file(&env)), mode: 0o400, owner });
    let target = around.target(Path::new(launch::PROGRAM), Kind::File, "the launcher")?;
    plan.mountpoints.extend(Mountpoint::for_target(&target));
    let mut mounts = target.mounts(program, false, around.owner);
    mounts.iter_mut().for_each(|mount| mount.options.retain(|option| option != "noexec"));
    plan.add_mounts(mounts);
    plan.change.before_command.push(launch::PROGRAM.to_owned());
    Ok(())
}
