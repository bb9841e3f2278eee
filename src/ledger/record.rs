//! What is written down about a container.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Process, SandboxId};
use crate::audit::Settings;
use crate::clock::Instant;
use crate::config::AgentSettings;
use crate::deliver::Mountpoint;
use crate::names::{Account, AgentName, AgentRef, SecretName};
use crate::request::Form;
use crate::source::Origin;

/// The record of one container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The name of its directory.
    pub id: SandboxId,
    /// Its id in the engine.
    pub container: String,
    /// The engine.
    pub engine: String,
    /// The path of the real runtime.
    pub runtime: PathBuf,
    /// The runtime's `--root`, if one was given.
    pub root: Option<String>,
    /// The Kubernetes namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How it asked.
    pub form: Form,
    /// When it was made.
    pub created: Instant,
    /// How far it got.
    pub phase: Phase,
    /// Its first process, once there is one and the engine asked for its number.
    pub process: Option<Process>,
    /// Its agents.
    pub agents: Vec<AgentRecord>,
    /// Its secret files.
    pub secrets: Vec<SecretRecord>,
    /// Mountpoints that were made for it.
    pub mountpoints: Vec<Mountpoint>,
    /// Files in volumes that it claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// What needs attention.
    pub warnings: Vec<String>,
    /// Where its lines of the audit log go.
    #[serde(default, skip_serializing_if = "Settings::is_default")]
    pub audit: Settings,
}

/// How far a container got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The runtime is making it.
    Creating,
    /// It was made.
    Live,
}

/// Whether something was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was.
    Delivered,
    /// There was no credential; its mounts are there.
    Pending,
    /// It was taken away again.
    Revoked,
}

/// An agent of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRecord {
    /// Which.
    pub agent: AgentName,
    /// The account it was given, by its request or by a rule.
    pub account: Account,
    /// The account whose login it holds, where that is another one: `keyslip auth switch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Account>,
    /// Whether it got it.
    pub status: Status,
    /// Where it came from.
    pub origin: Option<Origin>,
    /// Until when it is valid.
    pub expires: Option<Instant>,
    /// A keyed hash of it.
    pub fingerprint: Option<String>,
    /// Variables that carry it.
    pub env: Vec<String>,
    /// Files that hold it.
    pub files: Vec<FileRecord>,
    /// Settings files, below the container's directory, that hold the end of the credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with_end: Vec<PathBuf>,
    /// The settings it was found by.
    #[serde(default, skip_serializing_if = "AgentSettings::is_default")]
    pub settings: AgentSettings,
}

/// A delivered file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// Its path in the container.
    pub inside: String,
    /// Its path below the container's directory on the tmpfs.
    pub host: PathBuf,
    /// Which file of the agent's definition it is; none for a secret file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What its agent takes for no login at all, where that is not `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<String>,
    /// Host uid and gid.
    pub owner: (u32, u32),
}

impl FileRecord {
    /// What is in it when nobody is logged in.
    #[must_use]
    pub fn empty(&self) -> &str {
        self.empty.as_deref().unwrap_or(crate::agent::EMPTY)
    }
}

/// A secret file of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRecord {
    /// Its name.
    pub name: SecretName,
    /// Whether it was delivered.
    pub status: Status,
    /// A keyed hash of it.
    pub fingerprint: Option<String>,
    /// The file.
    pub file: FileRecord,
}

impl AgentRecord {
    /// What it was given.
    #[must_use]
    pub fn asked(&self) -> AgentRef {
        AgentRef { agent: self.agent.clone(), account: self.account.clone() }
    }

    /// Whose login it holds.
    #[must_use]
    pub fn held(&self) -> AgentRef {
        AgentRef { agent: self.agent.clone(), account: self.login.clone().unwrap_or_else(|| self.account.clone()) }
    }
}

impl Record {
    /// The file's name in the container's directory.
    pub const FILE: &str = "record.json";

    /// Reads the record in the directory `sandbox`.
    ///
    /// # Errors
    /// When there is none, or it is broken.
    pub fn read(sandbox: &Path) -> Result<Self, Error> {
        let path = sandbox.join(Self::FILE);
        let text = fs::read(&path).map_err(Error::io(&path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Io { path, source: error.into() })
    }

    /// Writes the record into the directory `sandbox`, whole or not at all.
    ///
    /// # Errors
    /// When the tmpfs is full.
    pub fn write(&self, sandbox: &Path) -> Result<(), Error> {
        let path = sandbox.join(Self::FILE);
        let new = sandbox.join(".record.new");
        let text = serde_json::to_vec(self).map_err(|error| Error::Io { path: path.clone(), source: error.into() })?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(Error::io(&path))
    }

    /// Whether a hook made it, so that there is no runtime to ask for it.
    #[must_use]
    pub fn is_of_a_hook(&self) -> bool {
        !self.runtime.is_absolute()
    }

    /// Whether anything is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.agents.iter().any(|agent| agent.status == Status::Pending)
            || self.secrets.iter().any(|secret| secret.status == Status::Pending)
    }
}
