//! Names, parsed once at the border. Inside, an invalid one does not exist.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} must be {rule}")]
pub struct InvalidName {
    what: &'static str,
    text: String,
    rule: &'static str,
}

/// Longest text quoted back in an error.
const QUOTED: usize = 64;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    return Ok(Self(text.to_owned()));
                }
                let text = text.chars().take(QUOTED).collect();
                Err(InvalidName { what: $what, text, rule: $rule })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn shaped(text: &str, longest: usize, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= longest && bytes.first().is_some_and(|b| first(*b)) && bytes[1..].iter().all(|b| rest(*b))
}

name!(
    /// An agent: `claude`, `codex`, `my-tool`.
    AgentName,
    "the agent name",
    "a lower-case letter or digit, then up to 63 of a-z 0-9 _ -",
    |text| shaped(text, 64, |b| b.is_ascii_lowercase() || b.is_ascii_digit(), is_slug)
);

name!(
    /// One of several logins for the same agent.
    Account,
    "the account",
    "a lower-case letter or digit, then up to 63 of a-z 0-9 _ -",
    |text| shaped(text, 64, |b| b.is_ascii_lowercase() || b.is_ascii_digit(), is_slug)
);

name!(
    /// A secret file's name, as the `[secrets]` table and `/run/secrets` have it.
    SecretName,
    "the secret name",
    "a letter, then up to 127 of A-Z a-z 0-9 . _ -",
    |text| shaped(text, 128, |b| b.is_ascii_alphabetic(), |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

name!(
    /// A template of the configuration.
    TemplateName,
    "the template name",
    "a letter or digit, then up to 127 of A-Z a-z 0-9 . _ -",
    |text| shaped(text, 128, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

name!(
    /// A name in the environment.
    EnvName,
    "the variable name",
    "a letter or _, then up to 127 of A-Z a-z 0-9 _",
    |text| shaped(text, 128, |b| b.is_ascii_alphabetic() || b == b'_', |b| b.is_ascii_alphanumeric() || b == b'_')
);

fn is_slug(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}

/// The account that is meant when none is named.
pub const DEFAULT_ACCOUNT: &str = "default";

impl Default for Account {
    fn default() -> Self {
        Self(DEFAULT_ACCOUNT.to_owned())
    }
}

impl Account {
    /// Whether this is the account that is meant when none is named.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT_ACCOUNT
    }
}

/// An agent and the account it shall have: `claude`, `codex@work`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentRef {
    /// Which agent.
    pub agent: AgentName,
    /// Which login.
    pub account: Account,
}

impl std::str::FromStr for AgentRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (agent, account) = match text.split_once('@') {
            Some((agent, account)) => (agent.parse()?, account.parse()?),
            None => (text.parse()?, Account::default()),
        };
        Ok(Self { agent, account })
    }
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.account.is_default() { self.agent.fmt(f) } else { write!(f, "{}@{}", self.agent, self.account) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_do_not_exist() {
        for bad in ["../../x", "", ".", "..", "a/b", "/etc/shadow", "-x", "a\0b", "a\nb", "ａ"] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
            assert!(bad.parse::<Account>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_agent_reference_names_agent_and_account() {
        let work: AgentRef = "codex@work".parse().unwrap();
        assert_eq!((work.agent.as_str(), work.account.as_str()), ("codex", "work"));
        assert_eq!("claude".parse::<AgentRef>().unwrap().to_string(), "claude");
        assert!("claude@a@b".parse::<AgentRef>().is_err());
        assert!("claude@".parse::<AgentRef>().is_err());
    }
}
