//! What the container asks for.
//!
//! In: a [`Spec`]. Out: at most one [`Request`], whichever of the three forms it was made in, and
//! the form, because policy weighs them differently. What can go wrong: a request that is no
//! request (a misspelt key, an impossible name) is an error, never silently nothing.

mod annotation;
mod cdi;
mod mount;

pub use annotation::{PREFIX, SANDBOX};
pub use cdi::device;
pub use mount::{DIRECTORY, Mounts, is_staged, requested};

use std::path::Path;

use crate::names::{AgentRef, InvalidName, SecretName, TemplateName};
use crate::oci::Spec;

/// How a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Annotations `dev.keyslip.*`.
    Annotation,
    /// A CDI device `keyslip.dev/agent=…`.
    Cdi,
    /// A bind mount from the request directory.
    Mount,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Annotation => "annotation",
            Self::Cdi => "cdi",
            Self::Mount => "mount",
        })
    }
}

/// What a container asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Agents and the accounts they shall have.
    pub agents: Vec<AgentRef>,
    /// Secret files by name.
    pub secrets: Vec<SecretName>,
    /// A template of the configuration.
    pub template: Option<TemplateName>,
    /// Who in the container shall own and use it; else the user of the main process.
    pub user: Option<String>,
    /// The container does not start without its credential, whatever the host says.
    pub must_not_miss: bool,
}

impl Request {
    /// A request for `agents`, each once.
    ///
    /// # Errors
    /// When they are two accounts of one agent, or too many.
    pub fn for_agents(agents: &[AgentRef]) -> Result<Self, Error> {
        Self::default().merged(Self { agents: agents.to_vec(), ..Self::default() })
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.secrets.is_empty() && self.template.is_none()
    }

    /// Both requests as one.
    ///
    /// # Errors
    /// When they ask for two accounts of one agent, or for too much.
    pub fn merged(mut self, other: Self) -> Result<Self, Error> {
        for agent in other.agents {
            self.add_agent(agent)?;
        }
        for secret in other.secrets {
            self.add_secret(secret)?;
        }
        Ok(self)
    }

    /// Adds an agent once.
    fn add_agent(&mut self, agent: AgentRef) -> Result<(), Error> {
        match self.agents.iter().find(|other| other.agent == agent.agent) {
            Some(other) if other.account != agent.account => Err(Error::TwoAccounts {
                agent: agent.agent.to_string(),
                one: other.account.to_string(),
                two: agent.account.to_string(),
            }),
            Some(_) => Ok(()),
            None if self.agents.len() == MOST => Err(Error::TooMany),
            None => {
                self.agents.push(agent);
                Ok(())
            }
        }
    }

    fn add_secret(&mut self, secret: SecretName) -> Result<(), Error> {
        if self.secrets.len() == MOST {
            return Err(Error::TooMany);
        }
        if !self.secrets.contains(&secret) {
            self.secrets.push(secret);
        }
        Ok(())
    }
}

/// Most agents, and most secrets, that one container may ask for.
pub const MOST: usize = 32;

/// Why a request is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name is impossible.
    #[error("{place}: {source}")]
    Name {
        /// The annotation or mount it stands in.
        place: String,
        /// What is wrong with it.
        source: InvalidName,
    },
    /// A key that Keyslip does not know.
    #[error("annotation {key:?} is unknown; Keyslip reads {PREFIX}agents, secrets, template, user and on-missing")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key given twice: one reader would take the first, another the last.
    #[error("annotation {key} is given twice; give it once")]
    Twice {
        /// The key.
        key: String,
    },
    /// A value that is not one of those known.
    #[error("annotation {key} is {value:?}, but must be {rule}")]
    Value {
        /// The key.
        key: String,
        /// Its value, shortened.
        value: String,
        /// What it may be.
        rule: &'static str,
    },
    /// Two accounts for one agent would both want its one variable and its one file.
    #[error("two accounts are asked for {agent}, {one} and {two}; a container can have one")]
    TwoAccounts {
        /// The agent.
        agent: String,
        /// The first account.
        one: String,
        /// The second account.
        two: String,
    },
    /// Details of a request that is not made.
    #[error("the annotations name no agent; add {PREFIX}agents, {PREFIX}secrets or {PREFIX}template")]
    NothingAsked,
    /// Too much at once.
    #[error("more than {MOST} agents or secrets are asked for")]
    TooMany,
}

/// Everything that a specification asks for, by form.
#[derive(Debug)]
pub struct Found {
    /// What the annotations ask for. An error is kept for later: annotations that nobody consented
    /// to, an image's for one, must not be able to stop a start.
    pub by_annotation: Result<Request, Error>,
    /// What the mounts ask for.
    pub by_mount: Mounts,
    /// What devices ask for; the engine names them to the hook, not in the specification.
    pub by_device: Request,
}

/// Reads every request in `spec`, the `config.json` of `bundle`; `directory` is the request directory of this
/// host.
///
/// # Errors
/// When a request mount names something impossible.
pub fn read(spec: &Spec<'_>, directory: &Path, bundle: &Path) -> Result<Found, Error> {
    let by_mount = mount::read(spec, directory, bundle)?;
    Ok(Found { by_annotation: annotation::read(spec), by_mount, by_device: Request::default() })
}

#[cfg(test)]
mod tests;
