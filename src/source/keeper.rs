//! Whose logins these are: this user's own, or, for root's engines, those of the configured owner.

use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::config::Config;
use crate::site::{Site, Whose, passwd};
use crate::sys;

/// The user that logs in on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// Their home directory.
    pub home: PathBuf,
    /// Their state directory.
    pub state: PathBuf,
    /// Who they are, if somebody else: everything of theirs is then touched as them, for a link of
    /// theirs leads where they may go, not where root may.
    pub user: Option<(u32, u32)>,
}

impl Keeper {
    /// The keeper that this host's configuration names.
    ///
    /// # Errors
    /// When `owner` is nobody.
    pub fn of(config: &Config, site: &Site) -> Result<Self, Error> {
        if let (Some(owner), Whose::System) = (&config.owner, site.whose) {
            let user = passwd(owner).ok_or_else(|| Error::UnknownOwner(owner.clone()))?;
            if user.uid != 0 {
                let state = Site::user(user.uid, &user.home).state;
                return Ok(Self { home: user.home, state, user: Some((user.uid, user.gid)) });
            }
        }
        Ok(Self::own(&site.home, &site.state))
    }

    /// This user's own, below these directories.
    #[must_use]
    pub fn own(home: &Path, state: &Path) -> Self {
        Self { home: home.to_owned(), state: state.to_owned(), user: None }
    }

    /// The uid that everything of theirs must belong to, as this process sees it.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.user.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid)
    }

    /// Does `work` as the keeper.
    ///
    /// # Errors
    /// When this process may not become them.
    pub fn act<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        match self.user {
            None => Ok(work()),
            Some((uid, gid)) => sys::as_user(uid, gid, work),
        }
    }
}
