//! Putting a login to rest, and taking it away again.
//!
//! The entry in the store is written last and removed first: what it names is there. Everything about
//! one login is done by one process at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::question::{SERVICE, item_attributes, keychain_account, sealed_name};
use super::{Entry, Kept, Store, StoreError};
use crate::backend::{encrypted, keychain, keyring};
use crate::clock::Instant;
use crate::config::{Backend, Config};
use crate::names::{Account, AgentName};
use crate::secret::Secret;
use crate::site::{Site, Whose};

/// Why a login cannot be put to rest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// The keychain.
    #[error(transparent)]
    Keychain(#[from] keychain::Error),
    /// `systemd-creds`.
    #[error(transparent)]
    Encrypted(#[from] encrypted::Error),
    /// Root's engines have no keyring.
    #[error(
        "a keyring is locked until its user logs in, so the system's logins are not kept in one; use --store file or encrypted"
    )]
    SystemKeyring,
    /// The keyring of another user.
    #[error("the keyring belongs to uid {0}; run this as that user")]
    ForeignKeyring(u32),
    /// Sealing as another user.
    #[error("systemd-creds would seal this for root and not for uid {0}; run this as that user")]
    ForeignSeal(u32),
    /// A credential helper is only ever read.
    #[error(
        "logins come from the credential helper of [store.command], which is only asked; put the login where it looks, or use --store file"
    )]
    Helper,
    /// No random number.
    #[error("no random number for a name: {0}")]
    Random(#[source] std::io::Error),
}

/// Who takes a login into custody.
#[derive(Debug)]
pub struct Custody<'a> {
    store: &'a Store,
    config: &'a Config,
    site: &'a Site,
}

/// Longest that the keychain's program may take; it may put a question before the user.
const LIMIT: Duration = Duration::from_secs(30);

/// What was removed, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// There was an entry.
    pub entry: bool,
    /// Places beside the store where it was.
    pub from: Vec<String>,
    /// What could not be reached, and why.
    pub left: Vec<String>,
}

impl<'a> Custody<'a> {
    /// For the logins in `store`.
    #[must_use]
    pub fn new(store: &'a Store, config: &'a Config, site: &'a Site) -> Self {
        Self { store, config, site }
    }

    /// Where a login will rest if `wanted` is asked for: `file`, `keyring` or `encrypted`, and why, when
    /// that was not said.
    ///
    /// # Errors
    /// When it cannot rest there.
    pub fn choose(&self, wanted: Backend) -> Result<(Backend, Option<String>), Error> {
        let system = self.site.whose == Whose::System && self.store.keeper().user.is_none();
        match wanted {
            Backend::File => Ok((Backend::File, None)),
            Backend::Command => Err(Error::Helper),
            Backend::Encrypted => match self.store.keeper().user {
                Some((uid, _)) => Err(Error::ForeignSeal(uid)),
                None => encrypted::check().map(|()| (Backend::Encrypted, None)).map_err(Into::into),
            },
            Backend::Keyring if system => Err(Error::SystemKeyring),
            Backend::Keyring => {
                self.usable_keyring()?;
                Ok((Backend::Keyring, None))
            }
            Backend::Auto if self.site.whose == Whose::System => Ok((Backend::File, None)),
            Backend::Auto => Ok(match self.usable_keyring() {
                Ok(()) => (Backend::Keyring, Some("it is reachable and unlocked".to_owned())),
                Err(error) => (Backend::File, Some(format!("no keyring can be used: {error}"))),
            }),
        }
    }

    /// Puts a login to rest, in place of the one that was there.
    ///
    /// # Errors
    /// When it cannot be written; the old one is there then, whole.
    pub fn put(
        &self,
        (agent, account): (&AgentName, &Account),
        value: &Secret,
        (created, expires, renewable): (Instant, Option<Instant>, bool),
        rests: Backend,
    ) -> Result<Entry, Error> {
        let _hold = self.store.hold(agent, account)?;
        let before = self.store.read(agent, account).ok().flatten();
        let kept = self.seal((agent, account), value, rests)?;
        let entry = Entry { kept, created, expires, renewable };
        if let Err(error) = self.store.write(agent, account, &entry) {
            // It may be there all the same: what the entry names now is kept.
            if let Ok(now) = self.store.read(agent, account) {
                self.forget_all((agent, account), Some(entry.kept), now.map(|now| now.kept).as_ref());
            }
            return Err(error.into());
        }
        self.forget_all((agent, account), before.map(|before| before.kept), Some(&entry.kept));
        Ok(entry)
    }

    /// Brings a value where it will rest; the entry is still to be written.
    ///
    /// # Errors
    /// When the keyring or `systemd-creds` refuse.
    pub fn seal(
        &self,
        (agent, account): (&AgentName, &Account),
        value: &Secret,
        rests: Backend,
    ) -> Result<Kept, Error> {
        match rests {
            Backend::Keyring if !self.config.keychain.is_empty() => {
                let item = random_name()?;
                let name = keychain_account(agent, account, &item);
                keychain::store(&self.config.keychain, SERVICE, &name, value, LIMIT)?;
                Ok(Kept::Keychain(item))
            }
            Backend::Keyring => {
                let item = random_name()?;
                self.put_item(agent, account, &item, value)?;
                Ok(Kept::Keyring(item))
            }
            Backend::Encrypted => Ok(Kept::Encrypted(encrypted::seal(&sealed_name(agent, account), value)?)),
            Backend::File | Backend::Auto | Backend::Command => Ok(Kept::Here(value.clone())),
        }
    }

    /// The value of an entry, from wherever it rests.
    ///
    /// # Errors
    /// Why it cannot be read, as a sentence.
    pub fn open(&self, (agent, account): (&AgentName, &Account), entry: &Entry) -> Result<Secret, String> {
        super::open(entry, (agent, account), self.store, self.config, self.site)
    }

    /// Brings a renewed value where that of `entry` rests, in its place; the entry is still to be written.
    ///
    /// # Errors
    /// When the keyring or `systemd-creds` refuse.
    pub fn keep_again(
        &self,
        (agent, account): (&AgentName, &Account),
        entry: &Entry,
        value: &Secret,
    ) -> Result<Kept, Error> {
        match &entry.kept {
            Kept::Here(_) => return Ok(Kept::Here(value.clone())),
            Kept::Encrypted(_) => {
                // It would be sealed for root, and its owner could not open it any more.
                if let Some((uid, _)) = self.store.keeper().user {
                    return Err(Error::ForeignSeal(uid));
                }
                return self.seal((agent, account), value, Backend::Encrypted);
            }
            Kept::Keyring(item) => self.put_item(agent, account, item, value)?,
            Kept::Keychain(item) => {
                let name = keychain_account(agent, account, item);
                keychain::store(&self.config.keychain, SERVICE, &name, value, LIMIT)?;
            }
        }
        Ok(entry.kept.clone())
    }

    /// Removes what is in the place of `kept`, unless the entry names it.
    ///
    /// # Errors
    /// When the keyring cannot be written.
    pub fn drop_kept(&self, (agent, account): (&AgentName, &Account), kept: &Kept) -> Result<(), Error> {
        let _hold = self.store.hold(agent, account)?;
        let now = self.store.read(agent, account)?.map(|entry| entry.kept);
        self.forget((agent, account), kept, now.as_ref()).map(drop)
    }

    /// Removes a login from everywhere it was put.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove(&self, agent: &AgentName, account: &Account) -> Result<Removed, Error> {
        if matches!(self.store.read(agent, account), Ok(None)) && !self.store.was_in_keyring(agent, account) {
            // What a login or a renewal that was killed has left.
            self.store.remove(agent, account)?;
            return Ok(Removed::default());
        }
        let _hold = self.store.hold(agent, account)?;
        let before = self.store.read(agent, account).ok().flatten();
        let entry = self.store.remove(agent, account)?;
        Ok(Removed { entry, ..self.forget_all((agent, account), before.map(|before| before.kept), None) })
    }

    /// Removes what is beside the store of this login and not what `keep` names: what `before` names, and
    /// what is left in the keyring of earlier ones.
    fn forget_all(&self, login: (&AgentName, &Account), before: Option<Kept>, keep: Option<&Kept>) -> Removed {
        let (agent, account) = login;
        let mut removed = Removed::default();
        let mut places = Vec::new();
        if let Some(before @ Kept::Keychain(_)) = &before {
            places.push(("the macOS keychain", self.forget(login, before, keep)));
        }
        if matches!(before, Some(Kept::Keyring(_))) || self.store.was_in_keyring(agent, account) {
            let done = self.forget_items(agent, account, keep);
            if done.is_ok() && !matches!(keep, Some(Kept::Keyring(_))) {
                let _ = self.store.forget_keyring(agent, account);
            }
            places.push(("the keyring", done));
        }
        for (place, done) in places {
            match done {
                Ok(0) => {}
                Ok(_) => removed.from.push(place.to_owned()),
                Err(error) => removed.left.push(format!(
                    "{place} still has it: {error}; then log out again, or remove the item of the service {SERVICE} for \
                     {agent}/{account} there"
                )),
            }
        }
        removed
    }

    fn put_item(&self, agent: &AgentName, account: &Account, item: &str, value: &Secret) -> Result<(), Error> {
        self.store.note_keyring(agent, account)?;
        let attributes = item_attributes(agent, account, Some(item));
        Ok(self.keyring()?.put(&borrowed(&attributes), &format!("Keyslip: {agent} ({account})"), value)?)
    }

    /// Removes the items of this login from the keyring, but the one that `keep` names; says how many. What
    /// cannot be removed now is removed when the login is written or removed again.
    fn forget_items(&self, agent: &AgentName, account: &Account, keep: Option<&Kept>) -> Result<usize, Error> {
        let keep = match keep {
            Some(Kept::Keyring(item)) => Some(item.as_str()),
            _ => None,
        };
        let keyring = self.keyring()?;
        let mut removed = 0;
        for item in keyring.find(&borrowed(&item_attributes(agent, account, None)))? {
            let id = item.attributes.get("item").map(String::as_str);
            // One without our mark is somebody's own.
            if id.is_some() && id != keep {
                removed += keyring.remove(&borrowed(&item_attributes(agent, account, id)))?;
            }
        }
        Ok(removed)
    }

    /// Removes what is in the place of `kept` and not what `keep` names; says how many there were.
    fn forget(
        &self,
        (agent, account): (&AgentName, &Account),
        kept: &Kept,
        keep: Option<&Kept>,
    ) -> Result<usize, Error> {
        match kept {
            Kept::Keyring(_) => self.forget_items(agent, account, keep),
            Kept::Keychain(item) if Some(kept) != keep => {
                let name = keychain_account(agent, account, item);
                Ok(keychain::remove(&self.config.keychain, SERVICE, &name, LIMIT)?.into())
            }
            _ => Ok(0),
        }
    }

    fn usable_keyring(&self) -> Result<(), Error> {
        if !self.config.keychain.is_empty() && self.store.keeper().user.is_none() {
            keychain::find(&self.config.keychain, SERVICE, "", LIMIT)?;
            return Ok(());
        }
        match self.keyring()?.state()? {
            keyring::State::Unlocked => Ok(()),
            keyring::State::Locked => Err(keyring::Error::Locked.into()),
            keyring::State::Uninitialised => Err(keyring::Error::Uninitialised.into()),
        }
    }

    fn keyring(&self) -> Result<keyring::Keyring, Error> {
        match self.store.keeper().user {
            Some((uid, _)) => Err(Error::ForeignKeyring(uid)),
            None => Ok(keyring::Keyring::open()?),
        }
    }
}

/// A name that no other item has.
fn random_name() -> Result<String, Error> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Random(error.into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn borrowed(attributes: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
