//! Secret files: the container's own directory at `/run/secrets`, where a renamed file is seen at
//! once; file by file where something else is mounted there already.

use std::path::Path;

use super::Error;
use super::mountpoint::{Kind, Mountpoint};
use super::owner::Owner;
use super::place::Surroundings;
use super::plan::{Claim, Plan, PlannedFile};
use super::tree::Found;
use crate::ledger::FileRecord;
use crate::names::SecretName;
use crate::secret::Secret;

/// Where secret files are in the container.
pub(super) const DIRECTORY: &str = "/run/secrets";

/// A secret file and who asked for it.
pub(super) struct SecretFile<'a> {
    pub name: &'a SecretName,
    pub content: Option<&'a Secret>,
    pub what: String,
}

/// Plans the secret files; they are owned by the user and read-only. The directory is mounted even
/// when every file is pending.
pub(super) fn plan(plan: &mut Plan, around: &Surroundings<'_>, files: &[SecretFile<'_>]) -> Result<(), Error> {
    for (index, file) in files.iter().enumerate() {
        if let Some(other) = files[..index].iter().find(|other| other.name == file.name) {
            let path = Path::new(DIRECTORY).join(file.name.as_str());
            return Err(Error::TwoForPath { path, one: other.what.clone(), two: file.what.clone() });
        }
    }
    let owner = (around.owner.host_uid, around.owner.host_gid);
    let dir = plan.dir.join("secrets");
    plan.directories.push(dir.clone());
    for file in files {
        if let Some(content) = file.content {
            plan.files.push(PlannedFile {
                path: dir.join(file.name.as_str()),
                content: content.clone(),
                mode: 0o400,
                owner,
            });
        }
    }
    let place = around.tree.walk(Path::new(DIRECTORY))?;
    if around.tree.mountpoints().any(|mount| mount.starts_with(&place.path)) {
        return one_by_one(plan, around, files, &dir);
    }
    let target = around.target(Path::new(DIRECTORY), Kind::Directory, "the directory of secret files")?;
    plan.mountpoints.extend(Mountpoint::for_target(&target));
    plan.add_mounts(target.mounts(&dir, false, around.owner));
    Ok(())
}

/// What is written down about a secret file.
pub(super) fn record(name: &SecretName, owner: &Owner) -> FileRecord {
    FileRecord {
        inside: format!("{DIRECTORY}/{name}"),
        host: Path::new("secrets").join(name.as_str()),
        path: None,
        empty: None,
        owner: (owner.host_uid, owner.host_gid),
    }
}

/// A mount of the container's own is there or below: hiding it would break what it is for.
fn one_by_one(plan: &mut Plan, around: &Surroundings<'_>, files: &[SecretFile<'_>], dir: &Path) -> Result<(), Error> {
    for file in files {
        let path = Path::new(DIRECTORY).join(file.name.as_str());
        if file.content.is_none() {
            plan.warnings.push(format!(
                "{} cannot be delivered later without a restart: {DIRECTORY} is a mount of the container's own",
                path.display()
            ));
            continue;
        }
        let target = around.target(&path, Kind::File, &file.what)?;
        if target.place.found == Found::File && target.holds_somebodys_file() {
            return Err(Error::Taken { path, what: file.what.clone() });
        }
        if let Some(key) = target.claim() {
            plan.claims.push(Claim { key, path: target.place.path.clone(), what: file.what.clone(), required: true });
        }
        plan.mountpoints.extend(Mountpoint::for_target(&target));
        plan.add_mounts(target.mounts(&dir.join(file.name.as_str()), false, around.owner));
    }
    Ok(())
}
