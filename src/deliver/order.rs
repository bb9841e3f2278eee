//! What is to be delivered, before it is decided where.

use crate::agent::{Definition, Rendering};
use crate::clock::Instant;
use crate::config::AgentSettings;
use crate::names::{AgentRef, SecretName};
use crate::secret::Secret;
use crate::source::Origin;

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
    /// The name and content of its secret file.
    pub secret_file: Option<(SecretName, Secret)>,
    /// Where the credential came from; none while it is pending.
    pub origin: Option<Origin>,
    /// Until when it is valid.
    pub expires: Option<Instant>,
    /// A keyed hash of it.
    pub fingerprint: Option<String>,
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
