//! What the static programs cannot do themselves is asked of `keyslip credential get`, which runs as
//! the keeper of the logins: one JSON question on its standard input, one JSON answer on its standard
//! output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Instant;
use crate::config::CredentialHelper;
use crate::names::{Account, AgentName};

/// The service of our items in a keyring.
pub const SERVICE: &str = "dev.keyslip";

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The item of a keyring that has these attributes.
    Keyring(BTreeMap<String, String>),
    /// Something that `systemd-creds` has sealed under this name.
    Encrypted {
        /// The name.
        name: String,
        /// Base64.
        sealed: String,
    },
    /// A credential helper.
    Command {
        /// The program.
        helper: CredentialHelper,
        /// Whose credential.
        agent: AgentName,
        /// Which of several.
        account: Account,
    },
    /// A macOS keychain.
    Keychain {
        /// The program that reads it, with its arguments.
        program: Vec<String>,
        /// The item's service.
        service: String,
        /// The item's account.
        account: String,
    },
}

impl Question {
    /// For the keyring item that keeps a stored login. `item` tells it from an earlier one; without it
    /// one is meant that somebody else has put there.
    #[must_use]
    pub fn stored_item(agent: &AgentName, account: &Account, item: Option<&str>) -> Self {
        Self::Keyring(item_attributes(agent, account, item))
    }

    /// For the keychain item that keeps a stored login.
    #[must_use]
    pub fn keychain_item(program: &[String], agent: &AgentName, account: &Account, item: &str) -> Self {
        let account = keychain_account(agent, account, item);
        Self::Keychain { program: program.to_vec(), service: SERVICE.to_owned(), account }
    }

    /// Whether an item of a keyring that has what was asked for may be the answer. One of ours belongs to
    /// the entry that names it: without that it is of a login that was removed or has expired.
    #[must_use]
    pub fn means(&self, item: &BTreeMap<String, String>) -> bool {
        let Self::Keyring(asked) = self else { return false };
        let ours = asked.get("service").is_some_and(|service| service == SERVICE);
        !ours || asked.contains_key("item") || !item.contains_key("item")
    }

    /// How long the answer may take, in seconds.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self {
            Self::Command { helper, .. } => helper.timeout_seconds,
            _ => 10,
        }
    }
}

/// The attributes of the keyring item that keeps a stored login.
#[must_use]
pub fn item_attributes(agent: &AgentName, account: &Account, item: Option<&str>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::from([
        ("service".to_owned(), SERVICE.to_owned()),
        ("account".to_owned(), format!("{agent}/{account}")),
    ]);
    attributes.extend(item.map(|item| ("item".to_owned(), item.to_owned())));
    attributes
}

/// The account of the keychain item that keeps a stored login.
#[must_use]
pub fn keychain_account(agent: &AgentName, account: &Account, item: &str) -> String {
    format!("{agent}/{account}/{item}")
}

/// The name under which `systemd-creds` seals a stored login. A dot cannot be in either part.
#[must_use]
pub fn sealed_name(agent: &AgentName, account: &Account) -> String {
    format!("keyslip.{agent}.{account}")
}

/// What was found. It holds the credential: it is only ever written to the pipe that was asked through.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is there.
    #[serde(rename_all = "camelCase")]
    Found {
        /// The value.
        credential: zeroize::Zeroizing<String>,
        /// Until when it is valid, if the place says so.
        expires_at: Option<Instant>,
    },
    /// There is none.
    None,
    /// Nobody can say: the keyring is locked, the program failed. What it was and what to do.
    Unavailable(String),
}
