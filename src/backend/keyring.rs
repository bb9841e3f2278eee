//! The keyring of a desktop: the Secret Service of the session bus.
//!
//! In: attributes, and, to store, a label and a credential. Out: items. What can go wrong: there is no
//! bus or no service on it, the bus is somebody else's, the keyring is locked or was never set up, or
//! nobody answers. A locked keyring is an error, never an empty one: whether it has the item cannot be
//! told. Nobody is asked to unlock it, for this may run where nobody looks; and no call takes longer
//! than [`LIMIT`], for a bus that hangs is no reason to.

use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use secret_service::EncryptionType;
use secret_service::blocking::{Collection, Item as Stored, SecretService};
use zbus::blocking::connection::Builder;

use super::bus;
use crate::secret::Secret;

/// Longest time for one call.
pub const LIMIT: Duration = Duration::from_secs(5);

/// What the secrets are, for other programs that look at the keyring.
const CONTENT_TYPE: &str = "text/plain";

/// Attributes that the service or libsecret adds by itself: the item's schema, and, in gnome-keyring,
/// what stands for an attribute of a locked item.
const ADDED: [&str; 2] = ["xdg:schema", "gkr:compat:"];

/// Why the keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no bus, or no keyring on it.
    #[error("no keyring can be reached ({0}); log in on the desktop, start a keyring service, or use `--store file`")]
    Unreachable(String),
    /// The bus does not talk to this user.
    #[error("the session bus refuses this user ({0}); run this as the user whose session it is, or use `--store file`")]
    Refused(String),
    /// It is locked.
    #[error(
        "the keyring is locked; unlock it (log in on the desktop, or open its password program), or use `--store file`"
    )]
    Locked,
    /// There is no default collection.
    #[error(
        "the keyring was never set up: it has no default collection; make one in the desktop's password program, or use `--store file`"
    )]
    Uninitialised,
    /// It did not answer in time.
    #[error("the keyring did not answer within {} s; log in on the desktop again, or use `--store file`", LIMIT.as_secs())]
    TimedOut,
    /// Anything else.
    #[error("the keyring failed: {0}; try again, or use `--store file`")]
    Failed(String),
}

/// How the default collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be read and written.
    Unlocked,
    /// It is there, and locked.
    Locked,
    /// There is none.
    Uninitialised,
}

/// An item of the keyring.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is found by, without what services add by themselves.
    pub attributes: BTreeMap<String, String>,
    /// Its name for people.
    pub label: String,
    /// The secret.
    pub secret: Secret,
}

/// A connection to the keyring.
pub struct Keyring {
    service: SecretService<'static>,
    /// The connection's socket: shut down, it ends whatever waits for an answer.
    socket: UnixStream,
}

impl Keyring {
    /// Connects to the service of the session bus, over a session that is encrypted (the bus may be
    /// watched by programs of the same user).
    ///
    /// # Errors
    /// When there is none, or it refuses this user, or does not answer.
    pub fn open() -> Result<Self, Error> {
        let (stream, uid) = bus::connect()?;
        let socket = stream.try_clone().map_err(|error| Error::Failed(error.to_string()))?;
        let service = within(&socket, || {
            // Root of a user namespace is another uid for the bus; that one it must claim to be.
            let connection = Builder::async_io_unix_stream(stream).user_id(uid).build().map_err(bus::error)?;
            Ok(SecretService::connect_with_existing(EncryptionType::Dh, connection)?)
        })?;
        Ok(Self { service, socket })
    }

    /// How the default collection is.
    ///
    /// # Errors
    /// When the service does not answer.
    pub fn state(&self) -> Result<State, Error> {
        within(&self.socket, || match unlocked_default(&self.service) {
            Ok(_) => Ok(State::Unlocked),
            Err(Error::Locked) => Ok(State::Locked),
            Err(Error::Uninitialised) => Ok(State::Uninitialised),
            Err(error) => Err(error),
        })
    }

    /// Stores a secret in the default collection, in place of an item with exactly these attributes.
    ///
    /// # Errors
    /// When the collection is locked or missing, or the service does not answer.
    pub fn put(&self, attributes: &[(&str, &str)], label: &str, secret: &Secret) -> Result<(), Error> {
        within(&self.socket, || {
            let collection = unlocked_default(&self.service)?;
            let wanted: HashMap<&str, &str> = attributes.iter().copied().collect();
            // The service's own replacement is not used: gnome-keyring 42 also replaces an item that
            // has these attributes and more.
            let same = exactly(collection.search_items(wanted.clone())?, &wanted)?;
            let Some((item, copies)) = same.split_first() else {
                collection.create_item(label, wanted, secret.expose(), false, CONTENT_TYPE)?;
                return Ok(());
            };
            item.set_secret(secret.expose(), CONTENT_TYPE)?;
            item.set_label(label)?;
            copies.iter().try_for_each(|copy| Ok(copy.delete()?))
        })
    }

    /// The items that have these attributes, and perhaps others, in all collections.
    ///
    /// # Errors
    /// When there are some in locked collections alone; when there are none, and the default
    /// collection is locked, for not every service looks into a locked one; when the service does
    /// not answer.
    pub fn find(&self, attributes: &[(&str, &str)]) -> Result<Vec<Item>, Error> {
        within(&self.socket, || self.unlocked(attributes)?.iter().map(read).collect())
    }

    /// Removes the items that have exactly these attributes from all collections that are not locked;
    /// says how many there were.
    ///
    /// # Errors
    /// As [`Keyring::find`].
    pub fn remove(&self, attributes: &[(&str, &str)]) -> Result<usize, Error> {
        within(&self.socket, || {
            let wanted: HashMap<&str, &str> = attributes.iter().copied().collect();
            let same = exactly(self.unlocked(attributes)?, &wanted)?;
            same.iter().try_for_each(Stored::delete)?;
            Ok(same.len())
        })
    }

    /// The items with these attributes that can be read now.
    fn unlocked(&self, attributes: &[(&str, &str)]) -> Result<Vec<Stored<'_>>, Error> {
        let found = self.service.search_items(attributes.iter().copied().collect())?;
        if !found.unlocked.is_empty() {
            return Ok(found.unlocked);
        }
        match unlocked_default(&self.service) {
            _ if !found.locked.is_empty() => Err(Error::Locked),
            Ok(_) | Err(Error::Uninitialised) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The default collection. That it is not locked is asked first, because the service would put a
/// dialog before the user to unlock it.
fn unlocked_default<'a>(service: &'a SecretService<'a>) -> Result<Collection<'a>, Error> {
    let collection = service.get_default_collection()?;
    if collection.is_locked()? { Err(Error::Locked) } else { Ok(collection) }
}

/// Those of `items` that have these attributes and none besides.
fn exactly<'a>(items: Vec<Stored<'a>>, wanted: &HashMap<&str, &str>) -> Result<Vec<Stored<'a>>, Error> {
    let mut same = Vec::new();
    for item in items {
        if is_exactly(&item.get_attributes()?, wanted) {
            same.push(item);
        }
    }
    Ok(same)
}

fn is_exactly(has: &HashMap<String, String>, wanted: &HashMap<&str, &str>) -> bool {
    let of_the_item = |name: &str| wanted.contains_key(name) || !is_added(name);
    wanted.iter().all(|(name, value)| has.get(*name).is_some_and(|it| it == value))
        && has.keys().filter(|name| of_the_item(name)).count() == wanted.len()
}

fn is_added(name: &str) -> bool {
    ADDED.iter().any(|added| name.starts_with(added))
}

fn read(item: &Stored<'_>) -> Result<Item, Error> {
    let secret = Secret::new(item.get_secret()?);
    let attributes = item.get_attributes()?.into_iter().filter(|(name, _)| !is_added(name)).collect();
    Ok(Item { attributes, label: item.get_label()?, secret })
}

/// Does `work`, which waits for answers on `socket`, for [`LIMIT`] at most.
fn within<T>(socket: &UnixStream, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let (done, waiting) = channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = waiting.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            if late {
                let _ = socket.shutdown(Shutdown::Both);
            }
            late
        });
        let result = work();
        drop(done);
        let late = watch.join().unwrap_or(false);
        result.map_err(|error| if late { Error::TimedOut } else { error })
    })
}

impl From<secret_service::Error> for Error {
    fn from(error: secret_service::Error) -> Self {
        use secret_service::Error as Theirs;
        match error {
            Theirs::Locked => Self::Locked,
            Theirs::NoResult => Self::Uninitialised,
            Theirs::Unavailable => Self::Unreachable("there is no service on the session bus".to_owned()),
            Theirs::Prompt | Theirs::PromptDisconnected => {
                Self::Failed("it wanted to ask something and had no answer".to_owned())
            }
            Theirs::Zbus(error) => bus::error(error),
            Theirs::ZbusFdo(error) => bus::fdo_error(error),
            other => Self::Failed(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_adds_is_no_attribute_of_the_item() {
        let wanted = HashMap::from([("service", "a"), ("item", "1")]);
        let has = |more: &[(&str, &str)]| {
            let base = [("service", "a"), ("item", "1")];
            let all = base.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            is_exactly(&all.collect(), &wanted)
        };
        assert!(has(&[]));
        assert!(has(&[("xdg:schema", "org.freedesktop.Secret.Generic")]));
        assert!(!has(&[("account", "b")]));
        assert!(!has(&[("item", "2")]));
        let generic = HashMap::from([("xdg:schema", "other"), ("service", "a")]);
        let stored = [("xdg:schema", "x"), ("service", "a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(!is_exactly(&HashMap::from(stored), &generic));
    }
}
