//! The login of an agent's own client on this host.

use super::Found;
use crate::names::AgentName;
use crate::secret::Secret;

/// A login that was read at `place`. When the client stored it is not known: it writes its file anew
/// with each renewal.
#[must_use]
pub fn found(agent: &AgentName, login: Secret, place: &str) -> Found {
    Found { agent: agent.clone(), value: login, created: None, expires: None, from: place.to_owned() }
}
