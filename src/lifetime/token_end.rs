//! The end of a credential in settings files of a running container: it follows the credential, or goes with it.
//! Such a file is the client's own to write, so nothing of it is read but these characters, and they are written over
//! in place: what the client has in the rest is never lost, and no reader sees a file cut off.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Error, at};
use crate::agent::TokenEnd;
use crate::launch;
use crate::ledger::AgentRecord;
use crate::secret::Secret;

/// Longest settings file that is looked into; a client that makes a longer one is asked again.
const LONGEST: u64 = 16 << 20;

/// Puts `new` where the end of a credential of `agent` is; without one, blanks. To be called while the
/// container's directory still keeps the variables as they were.
pub(super) fn follow(dir: &Path, agent: &AgentRecord, new: Option<&TokenEnd>) -> Result<(), Error> {
    if agent.with_end.is_empty() {
        return Ok(());
    }
    let new = new.cloned().unwrap_or_else(TokenEnd::blank).quoted();
    for name in ["env", launch::HOST_FILE] {
        let Ok(kept) = fs::read(dir.join(name)).map(Secret::new) else { continue };
        let held = launch::read_file(kept.expose());
        let held = held.iter().filter(|var| agent.env.iter().any(|name| name == var.name.as_str()));
        for old in held.filter_map(|var| TokenEnd::of(&var.value)) {
            for host in &agent.with_end {
                let path = dir.join(host);
                overwrite(&path, &old.quoted(), &new).map_err(at(&path))?;
            }
        }
    }
    Ok(())
}

/// Writes `new` over every `old`, which is as long.
fn overwrite(path: &Path, old: &Secret, new: &Secret) -> io::Result<()> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = File::options().read(true).write(true).custom_flags(nofollow).open(path)?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    (&file).take(LONGEST).read_to_end(&mut bytes)?;
    for place in memchr::memmem::find_iter(&bytes, old.expose()) {
        file.write_all_at(new.expose(), place as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_file_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings");
        let end = |letter: &str| TokenEnd::of(&Secret::from_text(&letter.repeat(40))).unwrap().quoted();
        let text = |letter: &str| format!(r#"{{"approved":["other","{}"],"theirs":1.0}}"#, letter.repeat(20));
        fs::write(&path, text("a")).unwrap();
        overwrite(&path, &end("a"), &end("b")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text("b"));
        overwrite(&path, &end("b"), &TokenEnd::blank().quoted()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text(" "));
    }
}
