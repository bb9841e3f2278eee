//! One stored login, renewed by one process at a time.

use super::grant::{self, Answer};
use super::{Error, Http, LONGEST_ANSWER, Vault, is_due};
use crate::agent::{Definition, Kind};
use crate::clock::Instant;
use crate::names::AgentRef;
use crate::secret::Secret;
use crate::source::{Entry, Kept, LeftOver, Spent, Store};
use crate::sys::Uninterrupted;

/// A login and what it takes to renew it.
pub struct Job<'a> {
    /// The store.
    pub store: &'a Store,
    /// Which login.
    pub login: &'a AgentRef,
    /// Its agent.
    pub definition: &'a Definition,
    /// What sends the request.
    pub http: &'a Http,
    /// What opens logins that do not rest in their entry.
    pub vault: &'a dyn Vault,
    /// Renew it even if it is not due.
    pub forced: bool,
}

/// What became of a login; each with the end of the one that is stored now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was renewed.
    Renewed(Option<Instant>),
    /// The answer to an earlier attempt, which was cut off, was taken up.
    Recovered(Option<Instant>),
    /// Somebody else has renewed it meanwhile.
    Current(Option<Instant>),
    /// It is too early.
    NotDue(Option<Instant>),
    /// It was renewed, but somebody has logged in meanwhile; the new login is kept.
    Superseded,
    /// It is not ours to renew: others have its refresh token, or it has none.
    NotOurs,
    /// There is no such login.
    Gone,
}

/// Renews a login if it is due, or in any case if that is asked for, and takes up what an earlier
/// attempt has left.
///
/// # Errors
/// When it could not be renewed; [`Error::is_final`] says whether to try again.
pub fn one(job: &Job) -> Result<Outcome, Error> {
    let AgentRef { agent, account } = job.login;
    let Some(before) = job.store.read(agent, account)? else { return job.gone() };
    let answered = job.store.left_over(agent, account)?.is_some_and(|left| left.answer.is_some());
    if !answered {
        if !before.renewable {
            job.store.end_renewal(agent, account)?;
            return Ok(Outcome::NotOurs);
        }
        if !job.forced && !is_due(&before, Instant::now()) {
            return Ok(Outcome::NotDue(before.expires));
        }
    }
    let _ours = job.store.hold_for_renewal(agent, account)?;
    let _whole = Uninterrupted::begin();
    let recovered = job.take_up()?;
    let Some(entry) = job.store.read(agent, account)? else { return job.gone() };
    let outcome = match () {
        () if recovered => Outcome::Recovered(entry.expires),
        () if entry.created != before.created => Outcome::Current(entry.expires),
        () if !entry.renewable => Outcome::NotOurs,
        () => Outcome::NotDue(entry.expires),
    };
    let asked_for = job.forced && !matches!(outcome, Outcome::Current(_));
    if !entry.renewable || !(asked_for || is_due(&entry, Instant::now())) {
        return Ok(outcome);
    }
    job.spend(&entry)
}

impl Job<'_> {
    fn gone(&self) -> Result<Outcome, Error> {
        self.store.end_renewal(&self.login.agent, &self.login.account)?;
        Ok(Outcome::Gone)
    }

    /// Takes up the answer that an earlier attempt has left, if it belongs to the stored login.
    fn take_up(&self) -> Result<bool, Error> {
        let AgentRef { agent, account } = self.login;
        let left = self.store.left_over(agent, account)?;
        let Some(LeftOver { spent, answer: Some((body, received)), .. }) = left else { return Ok(false) };
        let Some(entry) = self.store.read(agent, account)? else { return Ok(false) };
        let credential = self.open(&entry)?;
        // A login of another kind, or without a refresh token, is a later one.
        let kind = self.definition.recognise(&credential);
        let token = kind.and_then(|kind| Some((kind, grant::refresh_token(kind.refresh.as_ref()?, &credential).ok()?)));
        let renewed = match token {
            Some((kind, token)) if Spent::of(&token) == spent => {
                // What could not be used when it came cannot be used now.
                grant::apply(kind, &credential, &Answer { body, received }).ok()
            }
            _ => None,
        };
        match renewed {
            Some(renewed) => self.keep(&entry, &renewed, true).map(|kept| kept.is_some()),
            None => self.store.end_renewal(agent, account).map(|()| false).map_err(Error::from),
        }
    }

    /// Sends the refresh token and keeps what comes back.
    fn spend(&self, entry: &Entry) -> Result<Outcome, Error> {
        let AgentRef { agent, account } = self.login;
        let credential = self.open(entry)?;
        let kind = self.definition.recognise(&credential).ok_or(Error::Credential)?;
        let refresh = kind.refresh.as_ref().ok_or(Error::NotRenewable)?;
        let token = grant::refresh_token(refresh, &credential)?;
        let spent = Spent::of(&token);
        let before = self.store.left_over(agent, account)?.filter(|left| left.spent == spent);
        let in_entry = matches!(entry.kept, Kept::Here(_));
        if !in_entry {
            self.vault.seal(entry, &credential).map_err(Error::Vault)?;
        }
        let room = if in_entry { LONGEST_ANSWER as u64 } else { 0 };
        let mut renewal = self.store.begin_renewal(agent, account, &spent, room)?;
        let answer = match grant::ask(refresh, &token, self.http) {
            Ok(answer) => answer,
            Err(error) => return Err(self.unanswered(error, before.as_ref())),
        };
        let noted = in_entry && renewal.received(&answer.body, answer.received).is_ok();
        self.settle(entry, kind, &credential, &answer, noted)
    }

    /// Makes the answer the stored login.
    fn settle(
        &self,
        entry: &Entry,
        kind: &Kind,
        credential: &Secret,
        answer: &Answer,
        noted: bool,
    ) -> Result<Outcome, Error> {
        let renewed = match grant::apply(kind, credential, answer) {
            Ok(renewed) => renewed,
            Err(error) => {
                let _ = self.store.end_renewal(&self.login.agent, &self.login.account);
                return Err(error);
            }
        };
        let AgentRef { agent, account } = self.login;
        Ok(match self.keep(entry, &renewed, noted)? {
            Some(now) => Outcome::Renewed(now.expires),
            None if self.store.read(agent, account)?.is_some() => Outcome::Superseded,
            None => Outcome::Gone,
        })
    }

    /// What an attempt without an answer leaves: that the token was sent is remembered if it may have
    /// been, or if it had been before.
    fn unanswered(&self, error: Error, before: Option<&LeftOver>) -> Error {
        let remembered = match &error {
            Error::Unreachable { sent, .. } | Error::TimedOut { sent, .. } => *sent || before.is_some(),
            Error::Server { status, .. } => *status >= 500 || before.is_some(),
            Error::Answer { .. } => true,
            _ => false,
        };
        if !remembered {
            let _ = self.store.end_renewal(&self.login.agent, &self.login.account);
        }
        match error {
            Error::Refused { server, code, .. } => {
                Error::Refused { server, code, interrupted: before.map(|left| left.sent) }
            }
            other => other,
        }
    }

    /// The login of an entry.
    fn open(&self, entry: &Entry) -> Result<Secret, Error> {
        match &entry.kept {
            Kept::Here(login) => Ok(login.clone()),
            _ => self.vault.open(entry).map_err(Error::Vault),
        }
    }

    /// Writes the new login over that of `entry`; nothing when somebody has logged in meanwhile. `noted`
    /// says that the answer is in the store already.
    fn keep(&self, entry: &Entry, renewed: &grant::Renewed, noted: bool) -> Result<Option<Entry>, Error> {
        let AgentRef { agent, account } = self.login;
        let unsaved = |reason: String| Error::Unsaved { reason, noted };
        let kept = match &entry.kept {
            Kept::Here(_) => Kept::Here(renewed.credential.clone()),
            _ => {
                // Another login's item is not written over.
                let now = self.store.read(agent, account).map_err(|error| unsaved(error.to_string()))?;
                if now.is_none_or(|now| now.created != entry.created) {
                    self.store.end_renewal(agent, account)?;
                    return Ok(None);
                }
                self.vault.seal(entry, &renewed.credential).map_err(unsaved)?
            }
        };
        // By its time one entry is told from another, so it has to be another one.
        let created = Instant(Instant::now().0.max(entry.created.0 + 1));
        let new = Entry { kept, created, expires: renewed.expires, renewable: entry.renewable };
        let ours = self.store.write_over(agent, account, entry.created, &new);
        let ours = ours.map_err(|error| unsaved(error.to_string()))?;
        // If it stays, the next attempt sees that it belongs to no login any more.
        let _ = self.store.end_renewal(agent, account);
        Ok(ours.then_some(new))
    }
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("login", &self.login).field("forced", &self.forced).finish_non_exhaustive()
    }
}

impl Outcome {
    /// Its name, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Renewed(_) => "renewed",
            Self::Recovered(_) => "recovered",
            Self::Current(_) => "current",
            Self::NotDue(_) => "not-due",
            Self::Superseded => "superseded",
            Self::NotOurs => "not-ours",
            Self::Gone => "gone",
        }
    }

    /// Until when the stored login is valid, where that is known.
    #[must_use]
    pub fn expires(self) -> Option<Instant> {
        match self {
            Self::Renewed(end) | Self::Recovered(end) | Self::Current(end) | Self::NotDue(end) => end,
            Self::Superseded | Self::NotOurs | Self::Gone => None,
        }
    }
}
