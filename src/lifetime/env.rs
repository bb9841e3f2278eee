//! The variables that a container's directory keeps for processes that are started later.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Error, at};
use crate::launch;
use crate::oci::EnvVar;
use crate::secret::Secret;

/// Passes every variable through `change`, which may replace or drop it. The launcher has read its
/// own copy at the start; that is overwritten.
pub(super) fn update(dir: &Path, change: impl Fn(&EnvVar) -> Option<EnvVar>) -> Result<(), Error> {
    let path = dir.join("env");
    if let Ok(now) = fs::read(&path).map(Secret::new) {
        let vars: Vec<EnvVar> = launch::read_file(now.expose()).iter().filter_map(change).collect();
        write(&path, &vars).map_err(at(&path))?;
    }
    let path = dir.join(launch::HOST_FILE);
    blank(&path).map_err(at(&path))
}

fn write(path: &Path, vars: &[EnvVar]) -> io::Result<()> {
    let new = path.with_extension("new");
    let content = Secret::new(launch::file(vars));
    let _ = fs::remove_file(&new);
    File::options().write(true).create_new(true).mode(0o600).open(&new)?.write_all(content.expose())?;
    fs::rename(new, path)
}

/// Overwrites a file that is mounted, and so cannot be replaced.
fn blank(path: &Path) -> io::Result<()> {
    let file = match File::options().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    file.write_all_at(&vec![0; length], 0)
}
