//! One configuration file, as written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::audit;
use crate::names::{Account, AgentName, EnvName, SecretName, TemplateName};
use crate::request::Form;

/// What goes to syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Failures.
    Error,
    /// And what needs attention.
    #[default]
    Warn,
    /// And why: which source was used, which were passed over.
    Debug,
}

/// What happens when a container asks and there is no credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// It starts without one, with a warning.
    #[default]
    Warn,
    /// It does not start.
    Fail,
}

/// What happens when a variable or file in the container would be used in place of ours, or would
/// send it somewhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnShadow {
    /// A warning.
    #[default]
    Warn,
    /// The container does not start.
    Fail,
}

/// Where a new login rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In a file, mode 0600.
    File,
    /// In the user's keyring.
    Keyring,
    /// In a file, sealed by `systemd-creds`.
    Encrypted,
    /// Nowhere here: a program is asked for it.
    Command,
    /// In the keyring where one is reachable and unlocked, else in a file.
    #[default]
    Auto,
}

/// What is done with the login of the host's own client when there is no stored one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Passthrough {
    /// It is delivered as a file, which `keyslip sync` renews.
    #[default]
    File,
    /// It is delivered as a variable, where the agent has one; nothing can renew it.
    Env,
    /// Nothing.
    Off,
}

/// What a credential helper prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HelperOutput {
    /// A JSON object.
    #[default]
    Json,
    /// The credential itself.
    Text,
}

/// A program that knows credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialHelper {
    /// The program, absolute, and its arguments; `{agent}` and `{account}` are filled in.
    pub argv: Vec<String>,
    /// What it prints.
    #[serde(default)]
    pub output: HelperOutput,
    /// How long it may take.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
    /// Variables it is given beside `PATH`, `HOME` and `XDG_RUNTIME_DIR`.
    #[serde(default)]
    pub env: BTreeMap<EnvName, String>,
}

fn ten() -> u64 {
    10
}

/// What the installation found out about an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Its version.
    pub version: Option<String>,
    /// Annotations it hands over count as consent, although images may be able to set them.
    #[serde(default)]
    pub trust_annotations: bool,
}

/// A value or several; in a rule, any of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A rule: containers that fit the first group may have what the second one names. What is absent
/// in the first group fits everything; what is absent in the second allows nothing, but an absent
/// `accounts` allows the default account. A text may end in `*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Engines: `podman`, `docker`, `containerd`, `cri`, `cdi`, `buildah`, `bare`.
    pub engine: Option<OneOrMany<String>>,
    /// Kubernetes namespaces.
    pub namespace: Option<OneOrMany<String>>,
    /// Container ids; for Kubernetes, pod names.
    pub name: Option<OneOrMany<String>>,
    /// Users of rootless engines.
    pub uid: Option<OneOrMany<u32>>,
    /// Forms of the request.
    pub form: Option<OneOrMany<Form>>,
    /// The account these agents are given with, whether the container names it or none; it may have no
    /// other.
    pub account: Option<Account>,
    /// Agents it may have; `*` for all.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Accounts it may have them with; `*` for all.
    pub accounts: Option<Vec<String>>,
    /// Secret files it may have; `*` for all.
    #[serde(default)]
    pub secrets: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub owner: Option<String>,
    pub log_level: Option<Level>,
    pub on_missing: Option<OnMissing>,
    pub trust_annotations: Option<bool>,
    pub no_default_allow: Option<bool>,
    pub passthrough: Option<Passthrough>,
    pub keychain: Option<Vec<String>>,
    pub audit: Option<audit::Mode>,
    #[serde(default)]
    pub audit_log: AuditTable,
    #[serde(default)]
    pub store: StoreTable,
    #[serde(default)]
    pub delivery: Delivery,
    #[serde(default)]
    pub secrets: BTreeMap<SecretName, PathBuf>,
    #[serde(default)]
    pub templates: BTreeMap<TemplateName, TemplateTable>,
    #[serde(default)]
    pub agents: BTreeMap<AgentName, AgentTable>,
    #[serde(default)]
    pub engines: BTreeMap<String, EngineSettings>,
    #[serde(default)]
    pub allow: Vec<Allow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditTable {
    pub file: Option<PathBuf>,
    pub max_bytes: Option<u64>,
    pub keep: Option<u32>,
    pub journald: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivery {
    pub on_shadow: Option<OnShadow>,
    pub env: Option<Env>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreTable {
    pub backend: Option<Backend>,
    pub command: Option<CredentialHelper>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Env {
    Launcher,
    Spec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateTable {
    #[serde(default)]
    pub agents: BTreeMap<AgentName, AgentTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentTable {
    pub secret_name: Option<SecretName>,
    pub auth_env_var: Option<EnvName>,
    pub host_config_dir: Option<String>,
    pub host_config_dir_read_only: Option<bool>,
    #[serde(default)]
    pub trust_workspace: bool,
}

impl Allow {
    /// The account patterns that are no account, for an error.
    pub(super) fn bad_account(&self) -> Option<&str> {
        let fits = |text: &str| {
            let stem = text.strip_suffix('*').unwrap_or(text);
            stem.is_empty() || stem.parse::<Account>().is_ok()
        };
        self.accounts.iter().flatten().map(String::as_str).find(|text| !fits(text))
    }

    /// `account = "default"` would be whatever `keyslip auth switch` makes of it, and no one account.
    pub(super) fn gives_no_one_account(&self) -> bool {
        self.account.as_ref().is_some_and(Account::is_default)
    }
}
