//! How this agent takes what was found.
//!
//! In: a credential and the agent's [`Definition`], which is data. Out: a [`Rendering`], the
//! variables and the files that make the agent authenticated, and what in the container would get
//! in their way. What can go wrong: an unknown agent, a credential of no kind the agent takes, a
//! value no variable can carry.

mod definition;
mod expiry;
mod outer;
mod render;
mod token_end;

pub use definition::{
    ConfigDir, CredentialFile, Definition, ExpiryUnit, HostLogin, KeychainItem, Kind, Method, MovedBy, Recognise,
    Refresh, RefreshBody, SettingsFile, ShadowSettings,
};
pub use expiry::{expires_at, is_renewed_inside};
pub use outer::{has_refresh_token, only_the_login, unwrap, without_refresh_token};
pub use render::{EMPTY, RenderedFile, Rendering, render, render_pending, render_secret};
pub use token_end::TokenEnd;

use std::fs;
use std::path::{Path, PathBuf};

use crate::document::{Document, line_and_column};
use crate::json;
use crate::names::{AgentName, EnvName};
use crate::secret::Secret;

static BUILT_IN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// Why an agent cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no definition and no configuration for it.
    #[error(
        "agent {0} is unknown; known are {known}. Describe it in {dir}/{0}.toml, or give it a secret_name and an \
         auth_env_var under [agents.{0}] in the configuration",
        known = built_in_names(), dir = .1.display()
    )]
    Unknown(AgentName, PathBuf),
    /// Its definition cannot be read.
    #[error("the definition {path}: {reason}")]
    Definition {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its definition is unreadable or could have been written by somebody else.
    #[error(transparent)]
    File(#[from] crate::config::Error),
    /// The credential is nothing the agent takes.
    #[error("the credential for {agent} is of no kind it takes; it takes {kinds}")]
    Unrecognised {
        /// The agent.
        agent: AgentName,
        /// What it takes.
        kinds: String,
    },
    /// The credential lacks a part.
    #[error("the credential for {agent} has no usable {member}")]
    Member {
        /// The agent.
        agent: AgentName,
        /// Which part.
        member: String,
    },
    /// A value that no variable can carry.
    #[error("the value for {name} {reason}")]
    Value {
        /// The variable.
        name: EnvName,
        /// Why not.
        reason: &'static str,
    },
}

/// Names of the agents that ship with Keyslip.
#[must_use]
pub fn built_in_names() -> String {
    shown().collect::<Vec<_>>().join(", ")
}

/// The names of those for people: the probe is none.
fn shown() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).filter(|name| *name != crate::probe::NAME)
}

/// The agents that ship with Keyslip.
pub fn built_in() -> impl Iterator<Item = AgentName> {
    shown().filter_map(|name| name.parse().ok())
}

/// The agents that `DIR/agents.d` describes, in no order.
#[must_use]
pub fn described(config: &Path) -> Vec<AgentName> {
    let entries = fs::read_dir(config.join("agents.d")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml")?.parse().ok()).collect()
}

impl Definition {
    /// Finds an agent: in `DIR/agents.d/NAME.toml`, else among those that ship with Keyslip.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub fn find(agent: &AgentName, config: &Path) -> Result<Option<Self>, Error> {
        let path = config.join("agents.d").join(format!("{agent}.toml"));
        // It says what is run and where refresh tokens are sent, so it is read like the configuration.
        match crate::config::read(&path)? {
            Some(text) => {
                let invalid = |reason| Error::Definition { path: path.clone(), reason };
                let definition = Self::from_toml(&text).map_err(invalid)?;
                definition.check().map_err(invalid)?;
                Ok(Some(definition))
            }
            None => {
                let found = BUILT_IN.iter().find(|(name, _)| *name == agent.as_str());
                Ok(found.map(|(_, bytes)| postcard::from_bytes(bytes).expect("the build script wrote it")))
            }
        }
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        let read = Document::parse(text).and_then(|document| document.read());
        read.map_err(|error| {
            let (line, column) = line_and_column(text, error.span.start);
            format!("line {line}, column {column}: {}", error.reason)
        })
    }

    /// The kind of `credential`.
    #[must_use]
    pub fn recognise(&self, credential: &Secret) -> Option<&Kind> {
        let text = credential.expose_text()?;
        self.kinds.iter().find(|kind| kind.recognise.fits(text))
    }

    /// What it takes, for a message.
    #[must_use]
    pub fn kinds_text(&self) -> String {
        let each = |kind: &Kind| match &kind.recognise {
            Recognise { prefix: Some(prefix), .. } => format!("{} ({prefix}…)", kind.title),
            Recognise { each_member: Some(member), .. } => format!("{} (JSON, each with {member})", kind.title),
            Recognise { member, .. } => {
                format!("{} (JSON with {})", kind.title, member.as_deref().unwrap_or("?"))
            }
        };
        self.kinds.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    /// What the types alone cannot promise.
    fn check(&self) -> Result<(), String> {
        let kinds = self.kinds.iter();
        let settings = self.settings.iter().chain(&self.trust).chain(kinds.clone().flat_map(|kind| &kind.settings));
        for path in
            kinds.clone().flat_map(|kind| &kind.files).map(|file| &file.path).chain(settings.map(|file| &file.path))
        {
            if Path::new(path).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
                return Err(format!("path {path:?} must lie below the home directory"));
            }
        }
        for name in kinds.clone().flat_map(|kind| kind.env.keys()) {
            name.parse::<EnvName>().map_err(|error| error.to_string())?;
        }
        let blind = kinds.clone().find(|kind| {
            let Recognise { prefix, member, each_member, .. } = &kind.recognise;
            prefix.is_none() && member.is_none() && each_member.is_none()
        });
        blind.map_or(Ok(()), |kind| {
            Err(format!("kind {} needs recognise.prefix, recognise.member or recognise.each_member", kind.name))
        })
    }
}

impl Recognise {
    fn fits(&self, text: &str) -> bool {
        let prefix = self.prefix.as_deref().is_none_or(|prefix| text.starts_with(prefix));
        let except = self.except.as_deref().is_some_and(|except| text.starts_with(except));
        let member = self.member.as_deref().is_none_or(|member| member_text(text, member).is_some());
        let each = self.each_member.as_deref().is_none_or(|member| {
            let has = |value: &str| member_text(value, member).is_some();
            json::Object::read(text).is_ok_and(|it| !it.0.is_empty() && it.0.iter().all(|it| has(it.value.get())))
        });
        prefix && !except && member && each
    }
}

/// The JSON value that is `member` of `text`, as `outer.inner`.
pub fn member_text<'a>(text: &'a str, member: &str) -> Option<&'a str> {
    let path: Vec<&str> = member.split('.').collect();
    json::get(text, &path).ok().flatten()
}

#[cfg(test)]
mod tests;
