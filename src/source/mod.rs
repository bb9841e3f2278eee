//! Find the secret.
//!
//! In: an agent with its account, or a secret's name, and the configuration. Out: a [`Credential`]
//! with its origin and its end, or [`Outcome::Missing`] with what to do. The first source that has
//! one wins:
//!
//! 1. a configured secret file, and then nothing else;
//! 2. a stored login that is valid, or nearly at its end (with a warning); an expired one is passed
//!    over, with a warning;
//! 3. the configured credential helper, or an item that somebody put into the keyring;
//! 4. the login of the host's own client, if it has not expired.
//!
//! What can go wrong: a store that others could read or write, a file that cannot be read, a secret
//! that is too large. A keyring that is locked is not a login that is missing: nothing else is tried
//! then, and the message says what to do.

#[cfg(feature = "login")]
mod custody;
mod entry;
mod helper;
pub mod host_login;
mod keeper;
mod lifecycle;
mod look;
pub mod question;
mod renewal;
mod secret_file;
mod store;

#[cfg(feature = "login")]
pub use custody::{Custody, Error as CustodyError, Removed};
pub use entry::{Entry, Kept};
pub use helper::{ask, program};
pub use keeper::Keeper;
pub use lifecycle::{EXPIRING_DAYS, Life};
pub use look::{Look, open};
pub use renewal::{LeftOver, Renewal, Spent};
pub use secret_file::LONGEST_SECRET;
pub use store::{Store, StoreError};

use std::path::PathBuf;

use crate::clock::Instant;
use crate::config::Config;
use crate::journal::Journal;
use crate::names::{Account, SecretName};
use crate::secret::Secret;
use crate::site::Site;

/// Where a credential came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The token store.
    StoredToken,
    /// The configured credential helper.
    CredentialHelper,
    /// The login of the host's own client.
    HostLogin,
    /// A file of the `[secrets]` table.
    SecretFile,
}

impl Origin {
    /// As a part of a sentence.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::StoredToken => "the stored login",
            Self::CredentialHelper => "the credential helper",
            Self::HostLogin => "the host's own login",
            Self::SecretFile => "the secret file",
        }
    }
}

/// A credential that was found.
#[derive(Debug)]
pub struct Credential {
    /// The value.
    pub value: Secret,
    /// Where it came from.
    pub origin: Origin,
    /// Until when it is valid, if that is known.
    pub expires: Option<Instant>,
    /// The account it belongs to, where that is not the one that was named: `keyslip auth switch`.
    pub account: Option<Account>,
}

/// What the search came to.
#[derive(Debug)]
pub enum Outcome {
    /// It was found.
    Found(Credential),
    /// It was not; the text says why and what to do.
    Missing(String),
}

/// Why the search failed, which is not the same as finding nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store is unsafe or broken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret file cannot be used.
    #[error("secret {name} ({path}) {reason}")]
    SecretFile {
        /// The secret.
        name: SecretName,
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The configuration has no such secret.
    #[error("secret {name} is not configured; add it to {file}: [secrets] {name} = \"/path/to/file\"")]
    UnknownSecret {
        /// The secret.
        name: SecretName,
        /// The configuration file.
        file: PathBuf,
    },
    /// `owner` is nobody.
    #[error("owner = {0:?} in the configuration is no user of /etc/passwd")]
    UnknownOwner(String),
}

/// Reads a secret file by its configured name.
///
/// # Errors
/// When the name is not configured, or the file cannot be used. A file that does not exist is
/// missing, not an error: a secret manager may bring it later.
pub fn find_secret(name: &SecretName, config: &Config, site: &Site, journal: &mut Journal) -> Result<Outcome, Error> {
    let path = config
        .secrets
        .get(name)
        .ok_or_else(|| Error::UnknownSecret { name: name.clone(), file: site.config_file() })?;
    match secret_file::read(path) {
        Ok(Some(value)) => {
            journal.debug(format!("using secret file name={name} path={}", path.display()));
            Ok(Outcome::Found(Credential { value, origin: Origin::SecretFile, expires: None, account: None }))
        }
        Ok(None) => Ok(Outcome::Missing(format!(
            "secret {name} has no file {}; check the secret manager that should put it there",
            path.display()
        ))),
        Err(reason) => Err(Error::SecretFile { name: name.clone(), path: path.clone(), reason }),
    }
}

/// The store that this host's configuration names.
///
/// # Errors
/// When `owner` is nobody.
pub fn store_of(config: &Config, site: &Site) -> Result<Store, Error> {
    Keeper::of(config, site).map(Store::of)
}
