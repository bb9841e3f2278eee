//! Find the secret.
//!
//! In: an agent with its account, or a secret's name, and the configuration. Out: a [`Credential`]
//! with its origin and its end, or [`Outcome::Missing`] with what to do. The first source that has
//! one wins: a configured secret file alone; else a stored token that is valid, or nearly at its
//! end (with a warning); an expired one is passed over. What can go wrong: a store that others
//! could read or write, a file that cannot be read, a secret that is too large.

mod entry;
mod keeper;
mod lifecycle;
mod renewal;
mod secret_file;
mod store;

pub use lifecycle::{EXPIRING_DAYS, Life};
pub use renewal::{LeftOver, Renewal, Spent};
pub use secret_file::LONGEST_SECRET;
pub use entry::{Entry, Kept};
pub use keeper::Keeper;
pub use store::{Store, StoreError};

use std::path::PathBuf;

use crate::agent::Definition;
use crate::clock::{Instant, span};
use crate::config::{AgentSettings, Config};
use crate::journal::Journal;
use crate::names::{AgentRef, SecretName};
use crate::secret::Secret;
use crate::site::Site;

/// Where a credential came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The token store.
    StoredToken,
    /// A file of the `[secrets]` table.
    SecretFile,
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

/// Finds the credential for an agent.
///
/// # Errors
/// When a source is unsafe or broken: then no other one is tried.
pub fn find_agent(
    agent: &AgentRef,
    definition: Option<&Definition>,
    settings: &AgentSettings,
    config: &Config,
    site: &Site,
    journal: &mut Journal,
) -> Result<Outcome, Error> {
    if let Some(secret) = &settings.secret_name {
        return find_secret(secret, config, site, journal);
    }
    let (title, login) = definition.map_or((agent.agent.as_str(), ""), |it| (it.title.as_str(), it.login.as_str()));
    let store = store_of(config, site)?;
    let missing = |why: String| Outcome::Missing(format!("{why}; to log in, {login}{}", on_account(agent, login)));
    let Some(stored) = store.read(&agent.agent, &agent.account)? else {
        journal.debug(format!("no stored token agent={} account={}", agent.agent, agent.account));
        return Ok(missing(format!("{title} has no credential for account {}", agent.account)));
    };
    let Kept::Here(token) = stored.kept else { todo!() };
    let life = Life::of(stored.expires, Instant::now());
    match life {
        Life::Expired { since } => {
            return Ok(missing(format!(
                "the stored token for {title}, account {}, expired {} ago",
                agent.account,
                span(since)
            )));
        }
        Life::Expiring { left } => {
            journal.warn(format!("the stored token for {agent} expires in {}; to renew it, {login}", span(left)));
        }
        Life::Valid { .. } => {}
    }
    journal.debug(format!(
        "using stored {} agent={} account={} expiresIn={}",
        definition.and_then(|it| it.recognise(&token)).map_or("credential", |kind| kind.title.as_str()),
        agent.agent,
        agent.account,
        life.left().map_or("never".to_owned(), span)
    ));
    Ok(Outcome::Found(Credential { value: token, origin: Origin::StoredToken, expires: stored.expires }))
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
            Ok(Outcome::Found(Credential { value, origin: Origin::SecretFile, expires: None }))
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

fn on_account(agent: &AgentRef, login: &str) -> String {
    if agent.account.is_default() || login.is_empty() {
        String::new()
    } else {
        format!(" (with --account {})", agent.account)
    }
}
