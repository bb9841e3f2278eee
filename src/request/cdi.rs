//! Requests by CDI device: `keyslip.dev/agent=claude.work`.

use super::Error;
use crate::names::{Account, AgentRef};

/// The agent that a device of the kind `keyslip.dev/agent` stands for. The account follows a dot:
/// an `@` in a device's name would make the whole CDI file invalid.
///
/// # Errors
/// When it names something impossible.
pub fn device(name: &str) -> Result<AgentRef, Error> {
    let named = |source| Error::Name {
        place: format!("device keyslip.dev/agent={}", name.chars().take(64).collect::<String>()),
        source,
    };
    let (agent, account) = match name.split_once('.') {
        Some((agent, account)) => (agent, account.parse().map_err(named)?),
        None => (name, Account::default()),
    };
    Ok(AgentRef { agent: agent.parse().map_err(named)?, account })
}
