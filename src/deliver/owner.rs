//! Who in the container owns what is delivered, and where their home is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Error;
use super::tree::{self, Found, Tree};
use crate::oci::{IdMap, Spec};
use crate::site::{User, parse_passwd};

/// How much of an image's `/etc/passwd` is read; an image may make it as long as it likes.
const LONGEST_PASSWD: u64 = 1 << 20;

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// A user of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Inside.
    pub uid: u32,
    /// Inside.
    pub gid: u32,
    /// In the user namespace of this process.
    pub host_uid: u32,
    /// In the user namespace of this process.
    pub host_gid: u32,
    /// Inside.
    pub home: PathBuf,
}

impl Owner {
    /// Finds the owner: `wanted` if the request names one, else the user of the main process.
    ///
    /// # Errors
    /// When there is no such user, the ids are not mapped, or the home directory is odd.
    pub fn find(spec: &Spec<'_>, tree: &Tree, wanted: Option<&str>) -> Result<Self, Error> {
        let main = (spec.process.uid, spec.process.gid);
        let (uid, gid, listed) = match wanted {
            None => (main.0, main.1, None),
            Some(name) => {
                let number = name.parse::<u32>().ok();
                match (look_up(tree, |entry, uid| entry == name || Some(uid) == number)?, number) {
                    (Some(user), _) => (user.uid, user.gid, Some(user.home)),
                    (None, Some(uid)) => (uid, main.1, None),
                    (None, None) => return Err(Error::UnknownUser(name.to_owned())),
                }
            }
        };
        // HOME speaks of the user of the main process. Without it the agents ask /etc/passwd, and
        // a user who is not there has "/".
        let set = spec.process.variable("HOME").filter(|home| !home.is_empty() && uid == main.0).map(PathBuf::from);
        let home = match set.or(listed) {
            Some(home) => home,
            None => look_up(tree, |_, entry| entry == uid)?.map_or_else(|| PathBuf::from("/"), |user| user.home),
        };
        let odd = home.to_str().is_none_or(|home| home.chars().any(char::is_control));
        if odd || !home.is_absolute() {
            return Err(Error::BadHome(home));
        }
        let host_uid = IdMap::map(&spec.uids, uid).ok_or(Error::Unmapped { what: "uid", id: uid })?;
        let host_gid = IdMap::map(&spec.gids, gid).ok_or(Error::Unmapped { what: "gid", id: gid })?;
        Ok(Self { uid, gid, host_uid, host_gid, home })
    }
}

/// Looks into the container's own `/etc/passwd`, if it is a regular file in the image.
///
/// # Errors
/// When the system fails while the list is read, or the user is not in the part that is read: the runtimes read it, and
/// may find another home directory.
fn look_up(tree: &Tree, wanted: impl Fn(&str, u32) -> bool) -> Result<Option<User>, Error> {
    let failed = |source| Error::from(tree::Error::Io { path: PathBuf::from("/etc/passwd"), source });
    let place = match tree.walk(Path::new("/etc/passwd")) {
        Err(tree::Error::Io { source, .. }) if is_the_systems(source) => return Err(failed(source)),
        walked => walked.ok(),
    };
    let Some(handle) = place.filter(|place| place.found == Found::File).and_then(|place| place.handle) else {
        return Ok(None);
    };
    // The handle was opened without following links and is a regular file; this opens that file.
    let file = match rustix::fs::open(format!("/proc/self/fd/{}", handle.as_raw_fd()), READ, Mode::empty()) {
        Err(source) if is_the_systems(source) => return Err(failed(source)),
        Err(_) => return Ok(None),
        Ok(file) => File::from(file),
    };
    let failed = |error: io::Error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let is_longer = file.metadata().map_err(failed)?.len() > LONGEST_PASSWD;
    for line in BufReader::new(file.take(LONGEST_PASSWD)).split(b'\n') {
        let line = String::from_utf8(line.map_err(failed)?).ok();
        if let Some(user) = line.and_then(|line| parse_passwd(&line, &wanted)) {
            return Ok(Some(user));
        }
    }
    if is_longer { Err(Error::LongPasswd) } else { Ok(None) }
}

/// Whether it says that the system is at its limits, and nothing of the image.
fn is_the_systems(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO)
}
