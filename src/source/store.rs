//! The token store: one file a login, `tokens/<agent>-oauth[@<account>].json`, mode 0600 in a 0700
//! directory, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::secret_file::bounded;
use crate::clock::Instant;
use crate::json;
use crate::names::{Account, AgentName, AgentRef};
use crate::secret::Secret;
use crate::sys;

/// A stored login.
#[derive(Debug)]
pub struct StoredToken {
    /// The credential.
    pub token: Secret,
    /// When it was stored.
    pub created: Instant,
    /// Until when it is valid; for ever without it.
    pub expires: Option<Instant>,
}

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
}

/// A directory of stored logins.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    /// Whose it is, if another user's: everything is then done as that user.
    user: Option<(u32, u32)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    token: String,
    created_at: Instant,
    expires_at: Option<Instant>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    created_at: Instant,
    expires_at: Option<Instant>,
}

impl Store {
    /// This user's own store below `state`.
    #[must_use]
    pub fn at(state: &Path) -> Self {
        Self { dir: state.join("tokens"), user: None }
    }

    /// Another user's store; a link of theirs leads where they may go, not where root may.
    #[must_use]
    pub fn of_user(state: &Path, uid: u32, gid: u32) -> Self {
        Self { dir: state.join("tokens"), user: Some((uid, gid)) }
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
    pub fn read(&self, agent: &AgentName, account: &Account) -> Result<Option<StoredToken>, StoreError> {
        let path = self.path(agent, account);
        self.as_owner(|uid| {
            if check(&self.dir, uid, OFlags::DIRECTORY)?.is_none() {
                return Ok(None);
            }
            let Some(file) = check(&path, uid, OFlags::empty())? else { return Ok(None) };
            let broken = |reason: String| StoreError::Broken { path: path.clone(), reason };
            let length = file.metadata().map_err(|source| StoreError::Io { path: path.clone(), source })?.len();
            let bytes = bounded(file, length).map_err(broken)?;
            let record: Record = serde_json::from_slice(bytes.expose()).map_err(|error| {
                // The error's text may quote the content; its place does not.
                broken(format!("line {}, column {}", error.line(), error.column()))
            })?;
            let token = Secret::new(record.token.into_bytes());
            Ok(Some(StoredToken { token, created: record.created_at, expires: record.expires_at }))
        })
    }

    /// Writes a login: whole or not at all, and on the disk when this returns.
    ///
    /// # Errors
    /// When the store cannot be made or written, or others could read it.
    pub fn write(&self, agent: &AgentName, account: &Account, stored: &StoredToken) -> Result<(), StoreError> {
        let path = self.path(agent, account);
        self.as_owner(|uid| {
            let _lock = self.lock(uid)?;
            let failed = |source| StoreError::Io { path: path.clone(), source };
            let times = Times { created_at: stored.created, expires_at: stored.expires };
            let times = serde_json::to_string_pretty(&times).map_err(|error| failed(error.into()))?;
            let mut text = Zeroizing::new(Vec::with_capacity(stored.token.len() * 6 + times.len() + 32));
            text.extend_from_slice(b"{\n  \"token\": ");
            json::quote_into(&mut text, stored.token.expose_text().unwrap_or_default());
            text.extend_from_slice(b",");
            text.extend_from_slice(&times.as_bytes()[1..]);
            text.push(b'\n');
            let temporary = self.dir.join(format!(".new-{}", std::process::id()));
            let result = write_synced(&temporary, &text).and_then(|()| fs::rename(&temporary, &path));
            if result.is_err() {
                let _ = fs::remove_file(&temporary);
            }
            result.and_then(|()| File::open(&self.dir)?.sync_all()).map_err(failed)
        })
    }

    /// Removes a login; says whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, agent: &AgentName, account: &Account) -> Result<bool, StoreError> {
        let path = self.path(agent, account);
        self.as_owner(|uid| {
            if check(&self.dir, uid, OFlags::DIRECTORY)?.is_none() {
                return Ok(false);
            }
            let _lock = self.lock(uid)?;
            match fs::remove_file(&path) {
                Ok(()) => File::open(&self.dir).and_then(|dir| dir.sync_all()).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
            .map_err(|source| StoreError::Io { path: path.clone(), source })
        })
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

    fn as_owner<T>(&self, work: impl FnOnce(u32) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.user {
            None => work(rustix::process::geteuid().as_raw()),
            Some((uid, gid)) => sys::as_user(uid, gid, || work(uid))
                .map_err(|source| StoreError::Io { path: self.dir.clone(), source })?,
        }
    }

    /// Makes the directory if need be and waits for other writers.
    fn lock(&self, uid: u32) -> Result<File, StoreError> {
        let path = self.dir.join(".lock");
        let failed = |source| StoreError::Io { path: path.clone(), source };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        check(&self.dir, uid, OFlags::DIRECTORY)?;
        let nofollow = OFlags::NOFOLLOW.bits() as i32;
        let lock =
            File::options().write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(&path);
        let lock = lock.map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        Ok(lock)
    }
}

/// Opens a file or directory of the store and makes sure that nobody else can get at it.
fn check(path: &Path, uid: u32, flags: OFlags) -> Result<Option<File>, StoreError> {
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
