//! One credential file in a running container: written in place where that is seen whole, else
//! brought by a new mount.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::{Error, at, in_place};
use crate::deliver::into_container;
use crate::ledger::{FileRecord, Process};
use crate::oci::NewMount;
use crate::secret::Secret;

/// Gives the file `content`. After a new mount the record names the new file, and the old one is added
/// to `old`: it is removed once that is written down.
pub(super) fn update(
    dir: &Path,
    file: &mut FileRecord,
    content: &Secret,
    process: Option<Process>,
    old: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let path = dir.join(&file.host);
    match in_place::write(&path, content) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {}
        other => return other.map_err(at(&path)),
    }
    let process = process.filter(|process| process.is_alive()).ok_or_else(|| Error::Restart(file.inside.clone()))?;
    let host = successor(&file.host);
    let new = dir.join(&host);
    let mode = fs::metadata(&path).map_err(at(&path))?.permissions();
    make(&new, &in_place::padded(content), file.owner)
        .and_then(|()| fs::set_permissions(&new, mode.clone()))
        .map_err(at(&new))?;
    let access = if mode.readonly() { "ro" } else { "rw" };
    let mount = NewMount {
        destination: file.inside.clone(),
        source: new.to_string_lossy().into_owned(),
        kind: "bind",
        options: ["bind", access, "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
    };
    if let Err(error) = into_container::swap(process.pid, &mount) {
        let _ = fs::remove_file(&new);
        return Err(Error::Mount(error));
    }
    file.host = host;
    // Who has it open keeps reading the old one, as with a rename.
    old.push(path);
    Ok(())
}

/// `files/1` becomes `files/1-1`, then `files/1-2`.
fn successor(host: &Path) -> PathBuf {
    let name = host.to_string_lossy();
    match name.rsplit_once('-').and_then(|(stem, count)| Some((stem, count.parse::<u64>().ok()?))) {
        Some((stem, count)) => PathBuf::from(format!("{stem}-{}", count + 1)),
        None => PathBuf::from(format!("{name}-1")),
    }
}

fn make(path: &Path, content: &Secret, owner: (u32, u32)) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.expose())?;
    fchown(&file, Some(owner.0), Some(owner.1))
}
