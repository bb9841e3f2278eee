//! What is to be delivered, before it is decided where.

use std::path::PathBuf;

use crate::agent::{Definition, Rendering};
use crate::clock::Instant;
use crate::config::AgentSettings;
use crate::names::{Account, AgentRef, SecretName};
use crate::secret::Secret;
use crate::source::{Keeper, Origin};

/// Everything one container gets.
#[derive(Debug, Default)]
pub struct Order {
    /// Agents.
    pub agents: Vec<AgentOrder>,
    /// Secret files that were asked for by name.
    pub secrets: Vec<SecretOrder>,
    /// Who in the container owns them; else the user of the main process.
    pub user: Option<String>,
}

/// What one agent gets.
#[derive(Debug)]
pub struct AgentOrder {
    /// The agent and its account.
    pub agent: AgentRef,
    /// Its definition, if it has one.
    pub definition: Option<Definition>,
    /// The settings it was found by.
    pub settings: AgentSettings,
    /// Variables, files and settings; empty while the credential is pending.
    pub rendering: Rendering,
    /// The host's configuration directory, of which the listed entries are shared.
    pub host_dir: Option<HostDir>,
    /// The name and content of its secret file.
    pub secret_file: Option<(SecretName, Secret)>,
    /// The account whose login it is, where another one was meant by the agent's name alone.
    pub login: Option<Account>,
    /// Where the credential came from; none while it is pending.
    pub origin: Option<Origin>,
    /// Until when it is valid.
    pub expires: Option<Instant>,
    /// A keyed hash of it.
    pub fingerprint: Option<String>,
}

/// A configuration directory of the host.
#[derive(Debug)]
pub struct HostDir {
    /// Its path.
    pub path: PathBuf,
    /// Whose it is.
    pub keeper: Keeper,
    /// Whether the container may not write what is shared; without a word, it may write data alone.
    pub read_only: Option<bool>,
}

/// A secret file.
#[derive(Debug)]
pub struct SecretOrder {
    /// Its name.
    pub name: SecretName,
    /// Its content; none while it is pending.
    pub content: Option<Secret>,
    /// A keyed hash of it.
    pub fingerprint: Option<String>,
}
