//! Logins that another tool has stored, taken over once.
//!
//! In: what Forage, Headjack or an agent's own client keeps on this host. Out: [`Imported`] logins,
//! ready for the store; of Forage also its configuration, as a drop-in for ours. Nothing is changed at
//! the source, which still holds every refresh token: one that can be used once is left out here, for
//! two holders of it would lock each other out. What can go wrong: a value that is nothing the agent
//! takes, or has expired; a file that its tool did not write; a wrong password. Errors name the place
//! and never quote what is in it.

mod accept;
pub mod client;
pub mod drop_in;
pub mod forage;
pub mod headjack;
mod jwe;

pub use accept::accept;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::agent;
use crate::clock::{Instant, span};
use crate::config::{self, Backend, Config};
use crate::json;
use crate::names::{Account, AgentName};
use crate::secret::Secret;
use crate::site::Site;
use crate::source::question::Question;
use crate::source::{Custody, CustodyError, Entry, LONGEST_SECRET, Store, StoreError, open};

/// A login at its source.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whose.
    pub agent: AgentName,
    /// The credential as it stands there.
    pub value: Secret,
    /// When it was stored there, if that is known.
    pub created: Option<Instant>,
    /// Until when it is valid, if the source says so beside it.
    pub expires: Option<Instant>,
    /// Where: a file, or an item of a keyring.
    pub from: String,
}

/// A login that was taken over and is not stored yet.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Whose.
    pub agent: AgentName,
    /// Which of several.
    pub account: Account,
    /// The credential, as the agent's definition recognises it.
    pub credential: Secret,
    /// What it is, for people.
    pub kind: String,
    /// When it was stored at the source, if that is known.
    pub created: Option<Instant>,
    /// Until when it is valid. Where it does not say so itself and `created` is not known, it ends then
    /// at the latest.
    pub expires: Option<Instant>,
    /// What became of its refresh token.
    pub refresh_token: RefreshToken,
    /// Members of the source that are no part of the login and stayed there.
    pub left_out: Vec<String>,
    /// Where it was found.
    pub from: String,
}

/// What became of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshToken {
    /// There was none.
    None,
    /// It can be used once and stays with whoever has it.
    LeftOut,
    /// It can be used many times and by several.
    Kept,
}

/// Why something was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what its tool writes.
    #[error("{from} {reason}; it was left out")]
    Form {
        /// Where.
        from: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be opened at the moment.
    #[error("{from} cannot be opened: {reason}")]
    Closed {
        /// What.
        from: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The agent does not take it.
    #[error("{from} holds nothing that {agent} takes; it takes {kinds}")]
    Unrecognised {
        /// Whose it should be.
        agent: AgentName,
        /// Where.
        from: String,
        /// What would be taken.
        kinds: String,
    },
    /// It is over.
    #[error("the {kind} for {agent} in {from} expired {} ago; {login}", span(*.since))]
    Expired {
        /// Whose.
        agent: AgentName,
        /// What it is.
        kind: String,
        /// Where.
        from: String,
        /// Seconds since then.
        since: i64,
        /// How to get a new one.
        login: String,
    },
    /// Nobody knows when it is over.
    #[error("the {kind} for {agent} in {from} does not say until when it is valid; {login}")]
    Endless {
        /// Whose.
        agent: AgentName,
        /// What it is.
        kind: String,
        /// Where.
        from: String,
        /// How to get a new one.
        login: String,
    },
    /// A token file that is unsafe or broken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An agent that cannot be served.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// Our configuration does not take what was to be added.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// There is a drop-in already.
    #[error(
        "{} is there already and says something else; nothing was changed. Compare it with what --dry-run prints, and \
         remove it to have it written anew", .0.display()
    )]
    DropIn(PathBuf),
}

/// Asks for something that this program does not read itself: an item of a keyring. An error says why
/// nobody can tell, and what to do.
pub type Ask<'a> = &'a dyn Fn(&Question) -> Result<Option<Secret>, String>;

/// What the store has for a login that is to be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing.
    Nothing,
    /// The same credential.
    Same,
    /// Another one.
    Other,
}

/// Looks what the store has for `login`. One that cannot be read at the moment is another one.
///
/// # Errors
/// When the store is unsafe or broken.
pub fn stored(store: &Store, login: &Imported, config: &Config, site: &Site) -> Result<Stored, StoreError> {
    let Some(entry) = store.read(&login.agent, &login.account)? else { return Ok(Stored::Nothing) };
    let value = open(&entry, (&login.agent, &login.account), store, config, site);
    Ok(if value.is_ok_and(|value| value == login.credential) { Stored::Same } else { Stored::Other })
}

/// Puts `login` to rest in the place of whatever is there.
///
/// # Errors
/// When it cannot be kept there.
pub fn store(custody: &Custody<'_>, login: &Imported, rests: Backend) -> Result<Entry, CustodyError> {
    let created = login.created.unwrap_or_else(Instant::now);
    // Whoever had it first renews it.
    let times = (created, login.expires, false);
    custody.put((&login.agent, &login.account), &login.credential, times, rests)
}

/// The string that is `member` of the object `text`.
fn string(text: &str, member: &str) -> Option<Secret> {
    let raw = json::get(text, &[member]).ok().flatten()?;
    serde_json::from_str::<String>(raw).ok().map(|value| Secret::new(value.into_bytes()))
}

/// Reads a file of another tool; nothing when it does not exist.
fn read(path: &Path) -> Result<Option<Secret>, Error> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    // Without NONBLOCK a FIFO would be waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let about = file.metadata().map_err(failed)?;
    let wrong = |reason: &str| Error::Form { from: path.display().to_string(), reason: reason.to_owned() };
    if !about.is_file() {
        return Err(wrong("is no regular file"));
    }
    if about.len() > LONGEST_SECRET {
        return Err(wrong("is longer than 1 MiB"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1));
    file.take(about.len()).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(Secret::new(std::mem::take(&mut *bytes))))
}
