//! The audit log: one JSON line for each thing that happens to a credential.
//!
//! In: an [`Entry`]. Out: a line in `audit.log` of the site, mode 0600, or in a file that the operator has
//! chosen, and in the journal if they want that. A value never gets here; a fingerprint stands for it.
//!
//! What can go wrong: the disk is full, read-only or does not answer. A line that cannot be written is
//! reported to syslog, and is an error where the operator has said `audit = "required"`. Nothing is waited
//! for but the file system, no lock, no reader, no `fsync`; for a file outside the site's own state
//! directory, which may be on a network, a start waits [`LIMIT`] and no longer.

#[cfg(not(feature = "login"))]
mod apart;
mod file;
mod socket;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use file::{Problem, append, problems};
pub use socket::tell_syslog;

use crate::clock::Instant;
use crate::ledger::Record;
use crate::names::{Account, AgentName, SecretName};

/// How long a start waits for a log outside the state directory.
pub const LIMIT: Duration = Duration::from_secs(2);

/// The file's name below the state directory.
pub const FILE: &str = "audit.log";

/// Longest reason and container name that are written, in bytes: whoever asks chooses them.
const LONGEST: usize = 1000;

/// Whether there is a delivery without a line about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What cannot be written is reported, and goes on.
    #[default]
    BestEffort,
    /// Nothing is delivered whose line was not written.
    Required,
}

/// Where the log goes. A container's record has them, as far as they are not the default: what happens to it
/// later needs no configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether it must be written.
    pub mode: Mode,
    /// The file, if not `audit.log` in the state directory.
    pub file: Option<PathBuf>,
    /// A file that is longer is put aside, and a new one begun.
    pub max_bytes: u64,
    /// How many are kept beside the one that is written.
    pub keep: u32,
    /// The journal has it too.
    pub journald: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: Mode::BestEffort, file: None, max_bytes: 10 << 20, keep: 4, journald: false }
    }
}

impl Settings {
    /// Whether nothing differs from what holds without configuration.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The file, for the site with this state directory.
    #[must_use]
    pub fn file<'a>(&'a self, state: &Path) -> Cow<'a, Path> {
        self.file.as_deref().map_or_else(|| Cow::Owned(state.join(FILE)), Cow::Borrowed)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A container was given what it asked for, as far as that was there.
    Delivered,
    /// A request was refused.
    Denied,
    /// A request without consent was passed over.
    Ignored,
    /// A start failed. What had been delivered is gone with it.
    Failed,
    /// A container that runs was brought up to date.
    Synced,
    /// A credential was taken away from a container that runs.
    Revoked,
    /// A stored login was renewed.
    Refreshed,
    /// What a container had was removed.
    Cleaned,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    time: Instant,
    event: Event,
    #[serde(skip_serializing_if = "str::is_empty")]
    engine: &'a str,
    container: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<Agent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
}

/// An agent in a line.
#[derive(Debug, Serialize)]
struct Agent<'a> {
    agent: &'a str,
    account: &'a str,
    fingerprint: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// Something that happened to a container of an engine; its name is empty where it is not known yet.
    #[must_use]
    pub fn new(event: Event, engine: &'a str, container: &'a str) -> Self {
        let (time, container) = (Instant::now(), shortened(container));
        Self { time, event, engine, container, id: None, agents: Vec::new(), secrets: Vec::new(), reason: None }
    }

    /// Something that happened to the container of a record.
    #[must_use]
    pub fn of(event: Event, record: &'a Record) -> Self {
        Self::new(event, &record.engine, &record.container).with(record)
    }

    /// Names an agent's login.
    #[must_use]
    pub fn agent(mut self, agent: &'a AgentName, account: &'a Account, fingerprint: Option<&'a str>) -> Self {
        self.agents.push(Agent { agent: agent.as_str(), account: account.as_str(), fingerprint });
        self
    }

    /// Names a secret.
    #[must_use]
    pub fn secret(mut self, name: &'a SecretName) -> Self {
        self.secrets.push(name.as_str());
        self
    }

    /// Names what the record holds.
    #[must_use]
    pub fn with(mut self, record: &'a Record) -> Self {
        self.id = Some(record.id.as_str());
        let agents = record.agents.iter().map(|agent| Agent {
            agent: agent.agent.as_str(),
            account: agent.login.as_ref().unwrap_or(&agent.account).as_str(),
            fingerprint: agent.fingerprint.as_deref(),
        });
        self.agents.extend(agents);
        self.secrets.extend(record.secrets.iter().map(|secret| secret.name.as_str()));
        self
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, reason: &'a str) -> Self {
        self.reason = Some(shortened(reason));
        self
    }

    /// Says why, if that is known.
    #[must_use]
    pub fn because_of(self, reason: Option<&'a str>) -> Self {
        match reason {
            Some(reason) => self.because(reason),
            None => self,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written and `settings` say that it must.
    pub fn write(&self, state: &Path, settings: &Settings) -> Result<(), Error> {
        let Ok(mut line) = serde_json::to_vec(self) else { return Ok(()) };
        if settings.journald {
            socket::tell_journal(self.event, self.container.as_ref(), &line);
        }
        line.push(b'\n');
        let path = settings.file(state);
        let written = match &settings.file {
            #[cfg(not(feature = "login"))]
            Some(_) => apart::append(settings, &line),
            _ => append(&path, settings, &line),
        };
        let Err(source) = written else { return Ok(()) };
        let error = Error { path: path.into_owned(), source };
        if settings.mode == Mode::Required {
            return Err(error);
        }
        tell_syslog(4, &error.to_string());
        Ok(())
    }
}

/// A text whose length somebody else chose, without its middle: what is wrong is said at one of its ends.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let begin = (0..=LONGEST / 2).rev().find(boundary).unwrap_or(0);
    let end = (text.len() - LONGEST / 2..text.len()).find(boundary).unwrap_or(text.len());
    Cow::Owned(format!("{}...{}", &text[..begin], &text[end..]))
}

/// The log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit log {path}: {source}")]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// A line for each container that was found gone, and had been cleaned up after.
pub fn gone(records: &[Record], state: &Path) {
    for record in records {
        let _ = Entry::of(Event::Cleaned, record).because("it was found gone").write(state, &record.audit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_is_cut_between_characters() {
        let long = "é".repeat(LONGEST);
        let line = serde_json::to_value(Entry::new(Event::Denied, "bare", &long).because(&long)).unwrap();
        for member in ["container", "reason"] {
            assert_eq!(line[member], format!("{0}...{0}", "é".repeat(LONGEST / 4)), "{member}");
        }
        assert_eq!(serde_json::to_value(Entry::new(Event::Denied, "bare", "c1")).unwrap()["container"], "c1");
    }
}
