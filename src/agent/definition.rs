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
    /// The client that this was run with, as `claude-code 2.1.197`; without it nobody has seen it work.
    #[serde(default)]
    pub proven: Option<String>,
    /// Variables that would send its requests somewhere else.
    #[serde(default)]
    pub redirect_env: Vec<String>,
    /// With an empty `HOME` it does not look for its files below the home directory of the user.
    #[serde(default)]
    pub needs_home: bool,
    /// Its own settings that win over a credential or send it away.
    #[serde(default)]
    pub shadow_settings: Vec<ShadowSettings>,
    /// Settings that keep it from asking before it starts.
    #[serde(default)]
    pub settings: Vec<SettingsFile>,
    /// Settings that make it trust every directory, for containers whose operator says so (`trust_workspace`).
    #[serde(default)]
    pub trust: Vec<SettingsFile>,
    /// The ways to log in, the best one first.
    #[serde(default)]
    pub methods: Vec<Method>,
    /// Where the host's own client keeps its login.
    #[serde(default)]
    pub host: HostLogin,
    /// Its configuration directory, and what of it may be shared from the host.
    #[serde(default)]
    pub config_dir: Option<ConfigDir>,
    /// The kinds of credential it takes, the best one first. The first that recognises a credential
    /// is its kind.
    pub kinds: Vec<Kind>,
}

/// A way to log in. With a `command`, that program runs in a terminal, and the credential is taken
/// from the file it writes or from what it prints; with `host`, the login of the host's own client is
/// copied; else the credential is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Its name: `token`, `browser`, `api-key`.
    pub name: String,
    /// What it does, for a list.
    pub title: String,
    /// The kind of credential it gives.
    pub kind: String,
    /// The program and its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// The variable that gives the program a private directory, which is removed afterwards.
    #[serde(default)]
    pub private_dir: Option<String>,
    /// The file below the private directory that holds the login in the end. Without it the credential
    /// is taken out of what the program prints.
    #[serde(default)]
    pub file: Option<String>,
    /// How long a printed credential is, in characters; anything else is refused.
    #[serde(default)]
    pub length: Option<(usize, usize)>,
    /// Copies the login of the host's own client.
    #[serde(default)]
    pub host: bool,
}

/// Where the host's own client keeps its login; looked at in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLogin {
    /// In the macOS keychain.
    #[serde(default)]
    pub keychain: Option<KeychainItem>,
    /// In the Secret Service.
    #[serde(default)]
    pub secret_service: Option<KeychainItem>,
    /// In files below the home directory, each with the member of the login that it is (`""` for the
    /// whole).
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The variable that moves the directory of these files.
    #[serde(default)]
    pub moved_by: Option<MovedBy>,
}

/// An entry of a keychain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeychainItem {
    /// Its service. `{hash8}` stands for `-` and the first 8 hexadecimal digits of the SHA-256 of the
    /// directory that `hashed` names, or for nothing where the variable is not set.
    pub service: String,
    /// Its account. `{user}` is the user's name; `{hash16}` the first 16 hexadecimal digits.
    pub account: String,
    /// The variable whose directory is hashed.
    #[serde(default)]
    pub hashed: Option<String>,
    /// The directory below the home directory that is meant when the variable is not set; without it
    /// nothing is hashed then.
    #[serde(default)]
    pub hashed_default: Option<String>,
}

/// A configuration directory. Only what is listed is ever shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigDir {
    /// Its path below the home directory.
    pub path: String,
    /// A variable that moves it.
    #[serde(default)]
    pub moved_by: Option<MovedBy>,
    /// Directories and files that are data: history, sessions.
    #[serde(default)]
    pub data: Vec<String>,
    /// Directories and files that the client obeys or executes: settings, commands, instructions. Who
    /// writes them acts as the host's client.
    #[serde(default)]
    pub code: Vec<String>,
}

/// How a login is renewed: a grant of OAuth 2.0 (RFC 6749, section 6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The member that holds the refresh token.
    pub token: String,
    /// Where to send it: an https address.
    pub endpoint: String,
    /// How it is sent: as `json`, or as a `form`.
    pub body: RefreshBody,
    /// The client's id.
    pub client_id: String,
    /// The client's secret; an installed program's is no secret (RFC 8252, section 8.5).
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The scope to ask for.
    #[serde(default)]
    pub scope: Option<String>,
    /// Members of the login, each with the member of the answer that it takes. What the answer does not
    /// have stays as it is.
    pub set: BTreeMap<String, String>,
    /// The member that takes the time of the renewal, as RFC 3339.
    #[serde(default)]
    pub renewed_at: Option<String>,
    /// The refresh token can be used many times and by several, so it is delivered with the login, and
    /// the client renews the login itself.
    #[serde(default)]
    pub reusable: bool,
}

/// How a refresh token is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefreshBody {
    /// `application/json`.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
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
    /// How it is renewed.
    #[serde(default)]
    pub refresh: Option<Refresh>,
    /// The member that is the variable's value with `passthrough = "env"`.
    #[serde(default)]
    pub passthrough_env: BTreeMap<String, String>,
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
    /// What it does not begin with, where another vendor's begin with the same.
    #[serde(default)]
    pub except: Option<String>,
    /// A member it has, as `outer.inner`.
    #[serde(default)]
    pub member: Option<String>,
    /// A member that each of its members has: an object of logins by their providers' names.
    #[serde(default)]
    pub each_member: Option<String>,
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
    /// Members that are emptied, where there is an object they belong into: refresh tokens.
    #[serde(default)]
    pub blank: Vec<String>,
    /// Members that are set to a JSON value.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// What the agent takes for no login at all, where that is not `{}`.
    #[serde(default)]
    pub empty: Option<String>,
    /// The agent writes it.
    #[serde(default)]
    pub writable: bool,
    /// Only where the variable cannot be delivered.
    #[serde(default)]
    pub only_without_env: bool,
}

/// A settings file of the agent, into which values are merged where they are missing. A list gets what it
/// lacks. The settings of a kind may hold `{{token_end_20}}`, the last 20 characters of the credential, by
/// which Claude Code remembers that a key may be used; see [`super::TokenEnd`].
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

/// Members of settings files that stand in the way of a credential, as far as the container has the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowSettings {
    /// The file's path below the home directory.
    pub path: String,
    /// A variable that moves it.
    #[serde(default)]
    pub moved_by: Option<MovedBy>,
    /// Other files that are obeyed like it: with `./` below the working directory, with `/` anywhere.
    #[serde(default)]
    pub also: Vec<String>,
    /// Members, as `outer.inner`, that the agent prefers to what is delivered.
    #[serde(default)]
    pub shadow: Vec<String>,
    /// Members that send its requests somewhere else.
    #[serde(default)]
    pub redirect: Vec<String>,
    /// Members that have to be missing or to have this JSON value.
    #[serde(default)]
    pub unless: BTreeMap<String, String>,
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
