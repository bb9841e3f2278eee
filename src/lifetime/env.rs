//! The variables that a container's directory keeps for processes that are started later.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Error, at};
use crate::launch;
use crate::oci::EnvVar;
use crate::secret::Secret;

/// Passes every variable through `change`, which may replace or drop it: in the file for `exec`, and in
/// the launcher's, which a container that is made but not started has still to read.
pub(super) fn update(dir: &Path, change: impl Fn(&EnvVar) -> Option<EnvVar>) -> Result<(), Error> {
    let path = dir.join("env");
    match fs::read(&path).map(Secret::new) {
        Ok(now) => {
            let vars: Vec<EnvVar> = launch::read_file(now.expose()).iter().filter_map(&change).collect();
            write(&path, &vars).map_err(at(&path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(&path)(error)),
    }
    let path = dir.join(launch::HOST_FILE);
    match fs::read(&path).map(Secret::new) {
        Ok(now) => overwrite(&path, &now, &change).map_err(at(&path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(&path)(error)),
    }
}

fn write(path: &Path, vars: &[EnvVar]) -> io::Result<()> {
    let new = path.with_extension("new");
    let content = Secret::new(launch::file(vars));
    let _ = fs::remove_file(&new);
    File::options().write(true).create_new(true).mode(0o600).open(&new)?.write_all(content.expose())?;
    fs::rename(new, path)
}

/// Changes a file that is mounted, and so cannot be replaced. It never shrinks: NULs at the end are
/// entries without a name, which the launcher passes over.
fn overwrite(path: &Path, now: &Secret, change: impl Fn(&EnvVar) -> Option<EnvVar>) -> io::Result<()> {
    let vars: Vec<EnvVar> = launch::read_file(now.expose()).iter().filter_map(change).collect();
    let mut bytes = launch::file(&vars);
    bytes.resize(bytes.len().max(now.len()), 0);
    let content = Secret::new(bytes);
    File::options().write(true).open(path)?.write_all_at(content.expose(), 0)
}
