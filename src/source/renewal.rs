//! What the store remembers of a renewal that is under way, in `.renewed-<agent>@<account>` beside
//! the login, so that one that is cut off loses as little as can be.
//!
//! ```text
//! {"spent":"<SHA-256 of the refresh token that is sent>","sentAt":"2026-11-23T02:00:00Z"}
//! {"receivedAt":"2026-11-23T02:00:01Z","answer":{…}}
//! ```
//!
//! In: the refresh token's hash before it is sent, then the server's answer, as it came. Out: after a
//! crash, a [`LeftOver`]. The first line and room for the second are on the disk before anything is
//! sent; the second is one write. A second line that is not whole counts as none. What can go wrong:
//! a full disk, which is found before the token is spent.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::secret_file::bounded;
use super::store::{Store, StoreError, check};
use crate::clock::Instant;
use crate::names::{Account, AgentName, AgentRef};
use crate::secret::Secret;

/// Which refresh token was sent. A hash of so long and random a text gives nothing away.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent(String);

impl Spent {
    /// That `token` is sent.
    #[must_use]
    pub fn of(token: &Secret) -> Self {
        let hash = Sha256::digest(token.expose());
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Debug for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spent")
    }
}

/// What is left of a renewal that was cut off.
#[derive(Debug)]
pub struct LeftOver {
    /// The refresh token that was sent.
    pub spent: Spent,
    /// When.
    pub sent: Instant,
    /// The server's answer and when it came, if it came.
    pub answer: Option<(Secret, Instant)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    spent: Spent,
    sent_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received<'a> {
    received_at: Instant,
    #[serde(borrow)]
    answer: &'a RawValue,
}

/// A renewal that is under way.
#[derive(Debug)]
pub struct Renewal(File);

impl Renewal {
    /// Notes the answer; it is on the disk when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn received(&mut self, answer: &Secret, at: Instant) -> io::Result<()> {
        let mut line = Zeroizing::new(Vec::with_capacity(answer.len() + 64));
        line.extend_from_slice(format!("{{\"receivedAt\":\"{at}\",\"answer\":").as_bytes());
        line.extend_from_slice(answer.expose());
        line.extend_from_slice(b"}\n");
        self.0.write_all(&line)?;
        self.0.sync_data()
    }
}

impl Store {
    /// Notes that a refresh token is about to be sent, with room for an answer of up to `room` bytes.
    ///
    /// # Errors
    /// When the store cannot be written, a full disk among others.
    pub fn begin_renewal(
        &self,
        agent: &AgentName,
        account: &Account,
        spent: &Spent,
        room: u64,
    ) -> Result<Renewal, StoreError> {
        self.locked(|_| {
            self.remove_renewal(agent, account)?;
            let path = self.renewal(agent, account);
            let sent = Sent { spent: spent.clone(), sent_at: Instant::now() };
            let make = || {
                let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
                // Not every file system can promise room.
                match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, room + 512) {
                    Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                    Err(error) => return Err(error.into()),
                }
                file.write_all(format!("{}\n", serde_json::to_string(&sent)?).as_bytes())?;
                file.sync_all()?;
                File::open(self.dir())?.sync_all()?;
                Ok(Renewal(file))
            };
            make().map_err(|source| StoreError::Io { path: path.clone(), source })
        })
    }

    /// What a renewal has left behind that was cut off. Whoever holds this login for renewal has no
    /// other one beside him.
    ///
    /// # Errors
    /// When the store or the file belongs to somebody else or is open to others.
    pub fn left_over(&self, agent: &AgentName, account: &Account) -> Result<Option<LeftOver>, StoreError> {
        let path = self.renewal(agent, account);
        self.as_owner(|uid| {
            if check(self.dir(), uid, OFlags::DIRECTORY)?.is_none() {
                return Ok(None);
            }
            let Some(file) = check(&path, uid, OFlags::empty())? else { return Ok(None) };
            let length = file.metadata().map_err(|source| StoreError::Io { path: path.clone(), source })?.len();
            let text = bounded(file, length).map_err(|reason| StoreError::Broken { path: path.clone(), reason })?;
            Ok(parse(&text))
        })
    }

    /// Ends a renewal: nothing of it is left.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn end_renewal(&self, agent: &AgentName, account: &Account) -> Result<(), StoreError> {
        self.as_owner(|_| self.remove_renewal(agent, account))
    }

    /// The logins, stored or not, of which a renewal has left something behind.
    ///
    /// # Errors
    /// When the store cannot be read or is open to others.
    pub fn renewals(&self) -> Result<Vec<AgentRef>, StoreError> {
        self.as_owner(|uid| {
            if check(self.dir(), uid, OFlags::DIRECTORY)?.is_none() {
                return Ok(Vec::new());
            }
            let entries =
                fs::read_dir(self.dir()).map_err(|source| StoreError::Io { path: self.dir().to_owned(), source })?;
            let name = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(".renewed-")?.parse().ok();
            Ok(entries.flatten().filter_map(name).collect())
        })
    }

    /// Removes what a renewal has left behind, as the keeper.
    pub(super) fn remove_renewal(&self, agent: &AgentName, account: &Account) -> Result<(), StoreError> {
        let path = self.renewal(agent, account);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io { path, source }),
            _ => Ok(()),
        }
    }

    fn renewal(&self, agent: &AgentName, account: &Account) -> PathBuf {
        self.dir().join(format!(".renewed-{agent}@{account}"))
    }
}

/// Nothing when even the first line is not whole: then nothing was sent.
fn parse(text: &Secret) -> Option<LeftOver> {
    let (sent, received) = text.expose_text()?.split_once('\n')?;
    let sent: Sent = serde_json::from_str(sent).ok()?;
    let received: Option<Received> = serde_json::from_str(received).ok();
    let answer = received.map(|it| (Secret::from_text(it.answer.get()), it.received_at));
    Some(LeftOver { spent: sent.spent, sent: sent.sent_at, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Keeper;

    const ANSWER: &str = "{\n \"refresh_token\": \"FAKE-next\"\n}";

    #[test]
    fn an_answer_is_found_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(Keeper::own(dir.path(), dir.path()));
        let (agent, account): (AgentName, Account) = ("claude".parse().unwrap(), "work".parse().unwrap());
        let spent = Spent::of(&Secret::from_text("FAKE-old"));
        assert!(store.left_over(&agent, &account).unwrap().is_none());
        let mut renewal = store.begin_renewal(&agent, &account, &spent, 1 << 16).unwrap();
        let begun = store.left_over(&agent, &account).unwrap().unwrap();
        assert!(begun.spent == spent && begun.answer.is_none());
        renewal.received(&Secret::from_text(ANSWER), Instant(1_790_000_000)).unwrap();
        let left = store.left_over(&agent, &account).unwrap().unwrap();
        assert_eq!(left.answer, Some((Secret::from_text(ANSWER), Instant(1_790_000_000))));
        assert_eq!(store.renewals().unwrap(), ["claude@work".parse().unwrap()]);

        let path = store.renewal(&agent, &account);
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            let left = store.left_over(&agent, &account).unwrap();
            assert_eq!(left.is_some(), length > first, "{length}");
            assert!(left.is_none_or(|left| left.answer.is_some() == (length == whole.len() - 1)), "{length}");
        }
        store.end_renewal(&agent, &account).unwrap();
        assert!(store.left_over(&agent, &account).unwrap().is_none() && store.renewals().unwrap().is_empty());
    }

    #[test]
    fn a_login_that_is_removed_takes_its_renewal_along() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(Keeper::own(dir.path(), dir.path()));
        let (agent, account): (AgentName, Account) = ("claude".parse().unwrap(), Account::default());
        store.begin_renewal(&agent, &account, &Spent::of(&Secret::from_text("FAKE-old")), 1).unwrap();
        store.remove(&agent, &account).unwrap();
        assert!(store.left_over(&agent, &account).unwrap().is_none());
    }

    #[test]
    fn a_link_in_its_place_is_neither_followed_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(Keeper::own(dir.path(), dir.path()));
        let (agent, account): (AgentName, Account) = ("claude".parse().unwrap(), Account::default());
        let spent = Spent::of(&Secret::from_text("FAKE-old"));
        drop(store.begin_renewal(&agent, &account, &spent, 1).unwrap());
        let (path, other) = (store.renewal(&agent, &account), dir.path().join("other"));
        fs::rename(&path, &other).unwrap();
        let before = fs::read(&other).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(store.left_over(&agent, &account).unwrap_err().to_string().contains("symbolic link"));
        let mut renewal = store.begin_renewal(&agent, &account, &spent, 1).unwrap();
        renewal.received(&Secret::from_text(ANSWER), Instant(0)).unwrap();
        assert_eq!(fs::read(&other).unwrap(), before);
    }
}
