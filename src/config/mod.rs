//! The configuration: `keyslip.toml`, then `conf.d/*.toml` in the order of their names.
//!
//! In: a directory. Out: a [`Config`] in which every name is valid and every `secret_name` has its
//! secret. What can go wrong: an unknown key, a wrong type, a name without its counterpart; each
//! error says file, line and column.

mod file;
mod load;

pub use file::{
    Allow, Backend, CredentialHelper, EngineSettings, HelperOutput, Level, OnMissing, OnShadow, OneOrMany, Passthrough,
};
#[cfg(fuzzing)]
pub use load::parse;
pub use load::{Error, load, read};

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::audit::Settings;
use crate::names::{AgentName, EnvName, SecretName, TemplateName};

/// What is configured. `Default` is what holds without any file.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Whose store root's engines read; root's own without it.
    pub owner: Option<String>,
    /// What goes to syslog.
    pub log_level: Level,
    /// What happens when there is no credential.
    pub on_missing: OnMissing,
    /// What happens when something in the container would shadow or redirect the credential.
    pub on_shadow: OnShadow,
    /// Hooks put variables into the specification instead of using the launcher.
    pub env_in_spec: bool,
    /// Annotations of every engine count as consent.
    pub trust_annotations: bool,
    /// Where new logins rest.
    pub backend: Backend,
    /// The program that is asked for logins that are not stored here.
    pub helper: Option<CredentialHelper>,
    /// What is done with the login of the host's own client.
    pub passthrough: Passthrough,
    /// The program that reads a macOS keychain, with its arguments.
    pub keychain: Vec<String>,
    /// Secret files by name.
    pub secrets: BTreeMap<SecretName, PathBuf>,
    /// Templates by name.
    pub templates: BTreeMap<TemplateName, Template>,
    /// Settings of agents outside templates.
    pub agents: BTreeMap<AgentName, AgentSettings>,
    /// What the installation knows of the engines.
    pub engines: BTreeMap<String, EngineSettings>,
    /// Local engines may not even have the default accounts without a rule.
    pub no_default_allow: bool,
    /// Who may have what.
    pub allow: Vec<Allow>,
    /// The audit log.
    pub audit: Settings,
}

/// A named set of agents.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// Its agents and their settings.
    pub agents: BTreeMap<AgentName, AgentSettings>,
}

/// How an agent gets its credential, where that differs from its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSettings {
    /// A secret file to use and nothing else.
    pub secret_name: Option<SecretName>,
    /// The variable that gets its content.
    pub auth_env_var: Option<EnvName>,
    /// The host's configuration directory of this agent, of which the listed entries are shared; `~/`
    /// is the home directory of whoever keeps the logins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_config_dir: Option<String>,
    /// Whether the container may write what is shared; without a word, only data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_config_dir_read_only: Option<bool>,
    /// Whether the agent is told to trust every directory of the container, without asking.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_workspace: bool,
}

impl AgentSettings {
    /// Whether nothing differs from the agent's definition.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
