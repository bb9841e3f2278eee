//! The token store: one file a login, `tokens/<agent>-oauth[@<account>].json`, mode 0600 in a 0700
//! directory, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};

use super::entry::Entry;
use super::keeper::Keeper;
use super::secret_file::bounded;
use crate::clock::Instant;
use crate::names::{Account, AgentName, AgentRef};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can get at it.
    #[error("{path} {reason}; Keyslip does not use it")]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong, and the command that mends it.
        reason: String,
    },
    /// It is not what it should be.
    #[error("{path} is broken ({reason}); store the token again with `keyslip auth login`")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The note of a switch is not what it should be.
    #[error("{path} holds no account's name; choose one with `keyslip auth switch {agent} ACCOUNT`")]
    BrokenSwitch {
        /// The file.
        path: PathBuf,
        /// The agent.
        agent: AgentName,
    },
}

/// A login that is being written.
const NEW: &str = ".new";

/// A directory of stored logins.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    keeper: Keeper,
}

impl Store {
    /// The store of `keeper`.
    #[must_use]
    pub fn of(keeper: Keeper) -> Self {
        Self { dir: keeper.state.join("tokens"), keeper }
    }

    /// Whose it is.
    #[must_use]
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a login.
    #[must_use]
    pub fn path(&self, agent: &AgentName, account: &Account) -> PathBuf {
        let name =
            if account.is_default() { format!("{agent}-oauth.json") } else { format!("{agent}-oauth@{account}.json") };
        self.dir.join(name)
    }

    /// Reads a login.
    ///
    /// # Errors
    /// When the store or the file belongs to somebody else, is open to others, or is broken.
    pub fn read(&self, agent: &AgentName, account: &Account) -> Result<Option<Entry>, StoreError> {
        let path = self.path(agent, account);
        self.as_owner(|uid| match check(&self.dir, uid, OFlags::DIRECTORY)? {
            Some(_) => read_entry(&path, uid),
            None => Ok(None),
        })
    }

    /// Whether the login is kept elsewhere by now than `entry` says, or was removed.
    #[must_use]
    pub fn has_changed(&self, agent: &AgentName, account: &Account, entry: &Entry) -> bool {
        self.read(agent, account).is_ok_and(|now| now.is_none_or(|now| now.kept != entry.kept))
    }

    /// Writes a login: whole or not at all, and on the disk when this returns.
    ///
    /// # Errors
    /// When the store cannot be made or written, or others could read it.
    pub fn write(&self, agent: &AgentName, account: &Account, entry: &Entry) -> Result<(), StoreError> {
        self.locked(|_| self.replace(&self.path(agent, account), &entry.text()))
    }

    /// Writes the file at `path` whole or not at all. The lock must be held.
    fn replace(&self, path: &Path, text: &[u8]) -> Result<(), StoreError> {
        // One name, so that what a killed writer has left is replaced by the next one.
        let temporary = self.dir.join(NEW);
        let result = write_synced(&temporary, text).and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|source| StoreError::Io { path: path.to_owned(), source })
    }

    /// Writes a login if the one there is still the one stored at `expected`; says whether it was.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_over(
        &self,
        agent: &AgentName,
        account: &Account,
        expected: Instant,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        let path = self.path(agent, account);
        self.locked(|uid| match read_entry(&path, uid)? {
            Some(now) if now.created == expected => self.replace(&path, &entry.text()).map(|()| true),
            _ => Ok(false),
        })
    }

    /// Keeps others from renewing this login until the result is dropped. A new login need not wait for a
    /// server.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn hold_for_renewal(&self, agent: &AgentName, account: &Account) -> Result<File, StoreError> {
        self.hold_file(&format!(".renewing-{agent}@{account}"))
    }

    /// Keeps others from changing this login, in more than one step, until the result is dropped.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn hold(&self, agent: &AgentName, account: &Account) -> Result<File, StoreError> {
        self.hold_file(&format!(".lock-{agent}@{account}"))
    }

    fn hold_file(&self, name: &str) -> Result<File, StoreError> {
        self.locked(|_| Ok(()))?;
        self.as_owner(|_| lock_file(&self.dir.join(name)))
    }

    /// Removes a login, and the switch to it; says whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, agent: &AgentName, account: &Account) -> Result<bool, StoreError> {
        if self.as_owner(|uid| check(&self.dir, uid, OFlags::DIRECTORY))?.is_none() {
            return Ok(false);
        }
        self.locked(|uid| {
            let switched_to_it = match self.read_switch(agent, uid) {
                Ok(switched) => !account.is_default() && switched.as_ref() == Some(account),
                // It names nobody.
                Err(StoreError::BrokenSwitch { .. }) => true,
                Err(error) => return Err(error),
            };
            if switched_to_it {
                self.unlink(&self.switch_path(agent))?;
            }
            // What a renewal or a writer left behind may hold a refresh token.
            self.remove_renewal(agent, account)?;
            let _ = fs::remove_file(self.dir.join(NEW));
            self.unlink(&self.path(agent, account))
        })
    }

    /// Removes a file; says whether it was there. The lock must be held.
    fn unlink(&self, path: &Path) -> Result<bool, StoreError> {
        match fs::remove_file(path) {
            Ok(()) => File::open(&self.dir).and_then(|dir| dir.sync_all()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
        .map_err(|source| StoreError::Io { path: path.to_owned(), source })
    }

    /// The account that is meant by `agent`: the one it names, or the one that was switched to.
    ///
    /// # Errors
    /// When the store is open to others, or the note is broken.
    pub fn resolve(&self, agent: &AgentRef) -> Result<Account, StoreError> {
        if !agent.account.is_default() {
            return Ok(agent.account.clone());
        }
        Ok(self.switched(&agent.agent)?.unwrap_or_default())
    }

    /// The account that `agent` was switched to.
    ///
    /// # Errors
    /// As [`Store::resolve`].
    pub fn switched(&self, agent: &AgentName) -> Result<Option<Account>, StoreError> {
        self.as_owner(|uid| self.read_switch(agent, uid))
    }

    fn read_switch(&self, agent: &AgentName, uid: u32) -> Result<Option<Account>, StoreError> {
        let path = self.switch_path(agent);
        let Some(file) = check(&path, uid, OFlags::empty())? else { return Ok(None) };
        let name = bounded(file, 0).unwrap_or_default();
        let account = name.expose_text().map(str::trim).unwrap_or_default().parse();
        account.map(Some).map_err(|_| StoreError::BrokenSwitch { path, agent: agent.clone() })
    }

    /// Makes `account` the one that is meant by `agent` alone. It must be stored, unless it is the
    /// default account, which may be somebody else's to give; says whether it is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn switch(&self, agent: &AgentName, account: &Account) -> Result<bool, StoreError> {
        let path = self.switch_path(agent);
        self.locked(|uid| {
            if account.is_default() {
                return self.unlink(&path).map(|_| true);
            }
            if check(&self.path(agent, account), uid, OFlags::empty())?.is_none() {
                return Ok(false);
            }
            self.replace(&path, format!("{account}\n").as_bytes()).map(|()| true)
        })
    }

    fn switch_path(&self, agent: &AgentName) -> PathBuf {
        self.dir.join(format!("{agent}.account"))
    }

    /// All logins, by agent and account.
    ///
    /// # Errors
    /// When the store cannot be read or is open to others.
    pub fn list(&self) -> Result<Vec<AgentRef>, StoreError> {
        self.as_owner(|uid| {
            if check(&self.dir, uid, OFlags::DIRECTORY)?.is_none() {
                return Ok(Vec::new());
            }
            let entries =
                fs::read_dir(&self.dir).map_err(|source| StoreError::Io { path: self.dir.clone(), source })?;
            let mut found: Vec<AgentRef> =
                entries.flatten().filter_map(|entry| login_of(entry.file_name().to_str()?)).collect();
            found.sort();
            Ok(found)
        })
    }

    pub(super) fn as_owner<T>(&self, work: impl FnOnce(u32) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let uid = self.keeper.uid();
        self.keeper.act(|| work(uid)).map_err(|source| StoreError::Io { path: self.dir.clone(), source })?
    }

    /// Does `work` as the keeper while no other writer does anything.
    ///
    /// # Errors
    /// When the store cannot be made or is open to others, and what `work` says.
    pub(super) fn locked<T>(&self, work: impl FnOnce(u32) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.as_owner(|uid| {
            let _lock = self.lock(uid)?;
            work(uid)
        })
    }

    /// Makes the directory if need be and waits for other writers.
    fn lock(&self, uid: u32) -> Result<File, StoreError> {
        let path = self.dir.join(".lock");
        let failed = |source| StoreError::Io { path: path.clone(), source };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        check(&self.dir, uid, OFlags::DIRECTORY)?;
        lock_file(&path)
    }
}

#[cfg(feature = "login")]
impl Store {
    /// Notes that something of this login is in the keyring, before it is: a writer that is killed, or that
    /// finds the keyring locked, leaves it there.
    pub(super) fn note_keyring(&self, agent: &AgentName, account: &Account) -> Result<(), StoreError> {
        let path = self.keyring_note(agent, account);
        self.locked(|_| write_synced(&path, b"").map_err(|source| StoreError::Io { path: path.clone(), source }))
    }

    /// Whether that was noted.
    pub(super) fn was_in_keyring(&self, agent: &AgentName, account: &Account) -> bool {
        self.as_owner(|_| Ok(self.keyring_note(agent, account).exists())).unwrap_or(false)
    }

    /// Nothing of this login is in the keyring any more.
    pub(super) fn forget_keyring(&self, agent: &AgentName, account: &Account) -> Result<(), StoreError> {
        self.locked(|_| self.unlink(&self.keyring_note(agent, account)).map(drop))
    }

    fn keyring_note(&self, agent: &AgentName, account: &Account) -> PathBuf {
        self.dir.join(format!(".keyring-{agent}@{account}"))
    }
}

/// Waits until nobody else has the lock at `path`.
fn lock_file(path: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::Io { path: path.to_owned(), source };
    let nofollow = OFlags::NOFOLLOW.bits() as i32;
    let lock = File::options().write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path);
    let lock = lock.map_err(failed)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    Ok(lock)
}

fn read_entry(path: &Path, uid: u32) -> Result<Option<Entry>, StoreError> {
    let Some(file) = check(path, uid, OFlags::empty())? else { return Ok(None) };
    let broken = |reason: String| StoreError::Broken { path: path.to_owned(), reason };
    let length = file.metadata().map_err(|source| StoreError::Io { path: path.to_owned(), source })?.len();
    let bytes = bounded(file, length).map_err(broken)?;
    Entry::parse(bytes.expose()).map(Some).map_err(broken)
}

/// Opens a file or directory of the store and makes sure that nobody else can get at it.
pub(super) fn check(path: &Path, uid: u32, flags: OFlags) -> Result<Option<File>, StoreError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // With O_DIRECTORY a link is ENOTDIR.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
            return Err(StoreError::Unsafe {
                path: path.to_owned(),
                reason: "is a symbolic link or no directory".to_owned(),
            });
        }
        Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
    };
    let about = file.metadata().map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let mode = if about.is_dir() { "700" } else { "600" };
    let reason = if about.uid() != uid {
        format!("belongs to uid {}, not to {uid}; run: chown {uid} {}", about.uid(), path.display())
    } else if about.mode() & 0o077 != 0 {
        format!("is open to others (mode {:o}); run: chmod {mode} {}", about.mode() & 0o777, path.display())
    } else {
        return Ok(Some(file));
    };
    Err(StoreError::Unsafe { path: path.to_owned(), reason })
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// `claude-oauth.json`, `claude-oauth@work.json`.
fn login_of(file: &str) -> Option<AgentRef> {
    let stem = file.strip_suffix(".json")?;
    match stem.rsplit_once("-oauth@") {
        Some((agent, account)) => Some(AgentRef { agent: agent.parse().ok()?, account: account.parse().ok()? }),
        None => Some(AgentRef { agent: stem.strip_suffix("-oauth")?.parse().ok()?, account: Account::default() }),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
