//! An agent as data: `config/agents/NAME.toml`. This file is also compiled into the build script,
//! which turns the definitions that ship with Keyslip into the form the programs read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How an agent takes its credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name for people.
    pub title: String,
    /// How to get a credential, as the rest of the sentence "to log in, …".
    pub login: String,
    /// Variables that would send its requests somewhere else.
    #[serde(default)]
    pub redirect_env: Vec<String>,
    /// Settings that keep it from asking before it starts.
    #[serde(default)]
    pub settings: Vec<SettingsFile>,
    /// The kinds of credential it takes, the best one first. The first that recognises a credential
    /// is its kind.
    pub kinds: Vec<Kind>,
}

/// A kind of credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name: `token`, `login`, `api-key`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// How to know it.
    pub recognise: Recognise,
    /// How long one lasts that does not say so itself; without it, for ever.
    #[serde(default)]
    pub lifetime_days: Option<u32>,
    /// Where it says until when it is valid.
    #[serde(default)]
    pub expires: Option<Expires>,
    /// Variables, each with the member it takes (`""` for the whole).
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables that the agent prefers to this.
    #[serde(default)]
    pub shadow_env: Vec<String>,
    /// Files.
    #[serde(default)]
    pub files: Vec<CredentialFile>,
    /// Settings that this kind needs.
    #[serde(default)]
    pub settings: Vec<SettingsFile>,
}

/// How a credential shows its kind: by its first characters, or by a member of its JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// What it begins with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// A member it has, as `outer.inner`.
    #[serde(default)]
    pub member: Option<String>,
}

/// Where a credential says until when it is valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expires {
    /// The member, as `outer.inner`.
    pub member: String,
    /// What it holds.
    pub unit: ExpiryUnit,
}

/// The form of a time in a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpiryUnit {
    /// Milliseconds since 1970.
    Milliseconds,
    /// Seconds since 1970.
    Seconds,
    /// A JSON web token with the claim `exp`.
    Jwt,
}

/// A file below the home directory that holds a credential. Its content is the whole credential,
/// or one `member` of it, or `template` with `{{token}}` and `{{expires_ms}}` filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialFile {
    /// Its path below the home directory.
    pub path: String,
    /// A variable that moves it.
    #[serde(default)]
    pub moved_by: Option<MovedBy>,
    /// A member of the credential's JSON.
    #[serde(default)]
    pub member: Option<String>,
    /// JSON with places to fill in.
    #[serde(default)]
    pub template: Option<String>,
    /// Members that are emptied: refresh tokens.
    #[serde(default)]
    pub blank: Vec<String>,
    /// Members that are set to a JSON value.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// The agent writes it.
    #[serde(default)]
    pub writable: bool,
    /// Only where the variable cannot be delivered.
    #[serde(default)]
    pub only_without_env: bool,
}

/// A settings file of the agent, into which values are merged where they are missing. Nothing in
/// it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// Its path below the home directory.
    pub path: String,
    /// A variable that moves it.
    #[serde(default)]
    pub moved_by: Option<MovedBy>,
    /// Members and the JSON values they shall have.
    pub set: BTreeMap<String, String>,
}

/// A variable that moves a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovedBy {
    /// The variable, which names a directory.
    pub env: String,
    /// The file's path below that directory.
    pub path: String,
}
