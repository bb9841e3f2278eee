//! Where things are for whoever runs this: root of the host, or a user in their own namespace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// On whose behalf this process acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The host's root; everything is system-wide.
    System,
    /// An ordinary user, seen from outside as this uid. Inside a rootless engine's namespace the
    /// process itself is uid 0.
    User(u32),
}

/// The directories of one installation.
#[derive(Clone, Debug)]
pub struct Site {
    /// Who.
    pub whose: Whose,
    /// Their home directory.
    pub home: PathBuf,
    /// Configuration.
    pub config: PathBuf,
    /// Stored logins, the fingerprint key, the audit log.
    pub state: PathBuf,
    /// Everything that lives as long as a container; on a tmpfs.
    pub runtime: PathBuf,
}

/// Why no site could be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `/proc` is missing or odd.
    #[error("cannot tell which user this is: {0}")]
    Identity(#[source] io::Error),
    /// No home directory.
    #[error("user {0} has no home directory: HOME is not set and /etc/passwd does not know the user")]
    NoHome(u32),
}

impl Site {
    /// The site of this process. `home` is the `HOME` it was given, if any.
    ///
    /// # Errors
    /// When the user cannot be told, or a user has no home directory.
    pub fn here(home: Option<&Path>) -> Result<Self, Error> {
        match whose().map_err(Error::Identity)? {
            Whose::System => Ok(Self::system(Path::new("/"))),
            Whose::User(uid) => {
                let home = home
                    .filter(|home| home.is_absolute())
                    .map(Path::to_owned)
                    .or_else(|| passwd_by_uid(uid).map(|user| user.home))
                    .ok_or(Error::NoHome(uid))?;
                Ok(Self::user(uid, &home))
            }
        }
    }

    /// The system's site below `root`.
    #[must_use]
    pub fn system(root: &Path) -> Self {
        Self {
            whose: Whose::System,
            home: root.join("root"),
            config: root.join("etc/keyslip"),
            state: root.join("var/lib/keyslip"),
            runtime: root.join("run/keyslip"),
        }
    }

    /// The site of a user.
    #[must_use]
    pub fn user(uid: u32, home: &Path) -> Self {
        Self {
            whose: Whose::User(uid),
            home: home.to_owned(),
            config: home.join(".config/keyslip"),
            state: home.join(".local/state/keyslip"),
            runtime: PathBuf::from(format!("/run/user/{uid}/keyslip")),
        }
    }

    /// The directory whose entries, bind-mounted, are requests.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.runtime.join(crate::request::DIRECTORY)
    }

    /// The configuration file a message should point to.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("keyslip.toml")
    }
}

/// The runtime directory of somebody, for the paths on which nothing else is needed: no home directory
/// is looked up.
#[must_use]
pub fn runtime_dir(whose: Whose) -> PathBuf {
    match whose {
        Whose::System => PathBuf::from("/run/keyslip"),
        Whose::User(uid) => PathBuf::from(format!("/run/user/{uid}/keyslip")),
    }
}

/// On whose behalf this process acts. It is asked of the kernel once.
///
/// # Errors
/// When `/proc` does not tell.
pub fn whose() -> io::Result<Whose> {
    static ROOTLESS: OnceLock<Option<u32>> = OnceLock::new();
    let uid = rustix::process::geteuid().as_raw();
    if uid != 0 {
        return Ok(Whose::User(uid));
    }
    let known = match ROOTLESS.get() {
        Some(known) => *known,
        None => *ROOTLESS.get_or_init({
            let found = rootless(&fs::read_to_string("/proc/self/uid_map")?);
            move || found
        }),
    };
    Ok(known.map_or(Whose::System, Whose::User))
}

/// A rootless engine maps uid 0, alone, to its user; anything else is a root of its own.
fn rootless(map: &str) -> Option<u32> {
    let mut fields = map.lines().next()?.split_ascii_whitespace().map(str::parse::<u32>);
    match (fields.next()?, fields.next()?, fields.next()?) {
        (Ok(0), Ok(outer), Ok(1)) if outer != 0 => Some(outer),
        _ => None,
    }
}

/// A line of the host's `/etc/passwd`. Static programs do no name look-ups, so users from other
/// directories are not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// Finds a user of the host by name or number.
#[must_use]
pub fn passwd(name: &str) -> Option<User> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let number = name.parse::<u32>().ok();
    text.lines().find_map(|line| parse_passwd(line, |entry, uid| entry == name || Some(uid) == number))
}

fn passwd_by_uid(uid: u32) -> Option<User> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| parse_passwd(line, |_, candidate| candidate == uid))
}

/// Reads `name:x:uid:gid:comment:home:shell`, if `wanted` says yes to name and uid.
pub(crate) fn parse_passwd(line: &str, wanted: impl Fn(&str, u32) -> bool) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?;
    wanted(name, uid).then(|| User { uid, gid, home: PathBuf::from(home) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootless_engine_is_told_from_a_root_of_its_own() {
        assert_eq!(rootless("         0       4100          1\n         1     300000      65536\n"), Some(4100));
        assert_eq!(rootless("         0          0 4294967295\n"), None);
        assert_eq!(rootless("         0     100000      65536\n"), None);
    }

    #[test]
    fn passwd_lines() {
        let user = parse_passwd("dev:x:1000:1001:A B,,,:/home/dev:/bin/sh", |name, _| name == "dev").unwrap();
        assert_eq!((user.uid, user.gid, user.home), (1000, 1001, PathBuf::from("/home/dev")));
        assert_eq!(parse_passwd("broken", |_, _| true), None);
    }
}
