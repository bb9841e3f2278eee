//! What Forage has stored: one token, and a configuration.
//!
//! In: its state directory, with `tokens/claude-oauth.json` in the form of our own store, and its
//! configuration directory, which its NixOS module writes: `config.json` with the secrets and
//! `templates/NAME.json`. Out: the token, and what of the configuration is about credentials, with a
//! note on each thing that was left out. What can go wrong: a token that others can read, a file that
//! is no JSON; a part that makes no sense is left out alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Error, Found, read};
use crate::names::{Account, AgentName, EnvName, SecretName, TemplateName};
use crate::source::{Keeper, Kept, Store};

/// Its configuration directory.
pub const CONFIG_DIR: &str = "/etc/firefly-forage";
/// Its state directory, unless `config.json` says otherwise.
pub const STATE_DIR: &str = "/var/lib/firefly-forage";

/// What of Forage's configuration is about credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Its state directory.
    pub state_dir: Option<PathBuf>,
    /// Secret files by name.
    pub secrets: BTreeMap<SecretName, String>,
    /// Templates by name, with their agents.
    pub templates: BTreeMap<TemplateName, BTreeMap<AgentName, Agent>>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// An agent of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The secret that it gets.
    pub secret_name: Option<SecretName>,
    /// The variable that holds it.
    pub auth_env_var: Option<EnvName>,
    /// The host's directory that is mounted.
    pub host_config_dir: Option<String>,
    /// Whether it is mounted read-only.
    pub host_config_dir_read_only: bool,
}

/// The stored token. It is read with the rights of whoever its directory belongs to, for a link of
/// theirs leads where they may go.
///
/// # Errors
/// When others can get at it, or it is broken.
pub fn token(state_dir: &Path) -> Result<Option<Found>, Error> {
    let dir = state_dir.join("tokens");
    let owner = match fs::symlink_metadata(&dir) {
        Ok(about) => (about.uid(), about.gid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path: dir, source }),
    };
    let us = rustix::process::geteuid().as_raw();
    let user = (us == 0 && owner.0 != 0).then_some(owner);
    let store = Store::of(Keeper { home: state_dir.to_owned(), state: state_dir.to_owned(), user });
    let claude: AgentName = "claude".parse().expect("a valid name");
    let from = store.path(&claude, &Account::default()).display().to_string();
    let Some(entry) = store.read(&claude, &Account::default())? else { return Ok(None) };
    let Kept::Here(value) = entry.kept else {
        return Err(Error::Form { from, reason: "holds no token".to_owned() });
    };
    Ok(Some(Found { agent: claude, value, created: Some(entry.created), expires: entry.expires, from }))
}

/// Members of Forage's files that have nothing to do with credentials.
const HOST: [&str; 11] = [
    "user",
    "uid",
    "gid",
    "authorizedKeys",
    "extraContainerPath",
    "nixpkgsPath",
    "nixpkgsRev",
    "agentIdentity",
    "containerUsername",
    "workspacePath",
    "stateVersion",
];
const TEMPLATE: [&str; 12] = [
    "name",
    "description",
    "network",
    "allowedHosts",
    "extraPackages",
    "agentIdentity",
    "tmuxWindows",
    "multiplexer",
    "readOnlyWorkspace",
    "resourceLimits",
    "initCommands",
    "workspaceMounts",
];

/// Reads the configuration; nothing when there is no `config.json` and no template.
///
/// # Errors
/// When a file cannot be read or is no JSON object.
pub fn setup(config_dir: &Path) -> Result<Option<Setup>, Error> {
    let mut setup = Setup::default();
    let host = object(&config_dir.join("config.json"))?;
    let mut any = host.is_some();
    let host = host.unwrap_or_default();
    setup.host(&host);
    let user = host.get("containerUsername").and_then(Value::as_str).unwrap_or("agent");
    let templates = config_dir.join("templates");
    let mut paths: Vec<PathBuf> = match fs::read_dir(&templates) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::Io { path: templates, source }),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in paths {
        any = true;
        let Some(template) = object(&path)? else { continue };
        // Forage itself falls back on the file's name.
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = template.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or(&stem);
        match name.parse() {
            Ok(name) => setup.template(name, &template, user),
            Err(error) => setup.notes.push(format!("{}: {error}; the template was left out", path.display())),
        }
    }
    Ok(any.then_some(setup))
}

/// The object in the JSON file at `path`.
fn object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    let Some(text) = read(path)? else { return Ok(None) };
    serde_json::from_slice(text.expose()).map(Some).map_err(|error| Error::Form {
        from: path.display().to_string(),
        // The error's own text may quote the content.
        reason: format!("is no JSON object (line {}, column {})", error.line(), error.column()),
    })
}

impl Setup {
    fn host(&mut self, host: &Map<String, Value>) {
        for (key, value) in host {
            match (key.as_str(), value) {
                ("secrets", Value::Object(secrets)) => secrets.iter().for_each(|(name, path)| self.secret(name, path)),
                ("stateDir", Value::String(dir)) => self.state_dir = Some(PathBuf::from(dir)),
                ("proxyUrl", _) => self.notes.push("proxyUrl: Keyslip has no proxy; it was left out".to_owned()),
                (key, _) if HOST.contains(&key) => {}
                (key, _) => self.notes.push(format!("{key} in config.json was not recognised and was left out")),
            }
        }
    }

    fn secret(&mut self, name: &str, path: &Value) {
        let usable = path.as_str().filter(|path| path.starts_with('/') && !path.chars().any(char::is_control));
        match (name.parse::<SecretName>(), usable) {
            (Ok(name), Some(path)) => drop(self.secrets.insert(name, path.to_owned())),
            (Err(error), _) => self.notes.push(format!("{error}; the secret was left out")),
            (Ok(name), None) => self.notes.push(format!("secret {name} has no absolute path and was left out")),
        }
    }

    fn template(&mut self, name: TemplateName, template: &Map<String, Value>, user: &str) {
        let mut agents = BTreeMap::new();
        for (key, value) in template {
            match (key.as_str(), value) {
                ("agents", Value::Object(all)) => {
                    for (agent, value) in all {
                        let place = format!("template {name}, agent {agent}");
                        match (agent.parse(), value.as_object()) {
                            (Ok(agent), Some(value)) => drop(agents.insert(agent, self.agent(&place, value, user))),
                            (Err(error), _) => self.notes.push(format!("{place}: {error}; it was left out")),
                            (_, None) => self.notes.push(format!("{place} was not recognised and was left out")),
                        }
                    }
                }
                ("useProxy", Value::Bool(true)) => {
                    self.notes.push(format!("template {name}: Keyslip has no proxy; useProxy was left out"));
                }
                ("useProxy", _) => {}
                (key, _) if TEMPLATE.contains(&key) => {}
                (key, _) => self.notes.push(format!("template {name}: {key} was not recognised and was left out")),
            }
        }
        self.templates.insert(name, agents);
    }

    fn agent(&mut self, place: &str, agent: &Map<String, Value>, user: &str) -> Agent {
        let mut out = Agent::default();
        let mut container_dir = None;
        for (key, value) in agent {
            // Nix writes what is not set as null, Go as the empty string.
            let text = value.as_str().filter(|text| !text.is_empty());
            let unset = value.is_null() || value.as_str() == Some("");
            match (key.as_str(), text) {
                (_, None) if unset => {}
                ("packagePath" | "permissions", _) => {}
                ("secretName", Some(name)) => out.secret_name = self.parsed(place, name),
                ("authEnvVar", Some(name)) => out.auth_env_var = self.parsed(place, name),
                ("hostConfigDir", Some(dir)) => out.host_config_dir = self.directory(place, dir),
                ("containerConfigDir", Some(dir)) => container_dir = Some(dir),
                ("hostConfigDirReadOnly", _) if value.is_boolean() => {
                    out.host_config_dir_read_only = value == &Value::Bool(true);
                }
                (key, _) => self.notes.push(format!("{place}: {key} was not recognised and was left out")),
            }
        }
        let base = out.host_config_dir.as_deref().and_then(|dir| Path::new(dir).file_name());
        if let (Some(dir), Some(base)) = (container_dir, base)
            && Path::new(dir) != Path::new("/home").join(user).join(base)
        {
            self.notes.push(format!("{place}: containerConfigDir was left out; Keyslip puts it where the agent looks"));
        }
        out
    }

    fn parsed<T: std::str::FromStr<Err = crate::names::InvalidName>>(&mut self, place: &str, name: &str) -> Option<T> {
        name.parse().map_err(|error| self.notes.push(format!("{place}: {error}; it was left out"))).ok()
    }

    fn directory(&mut self, place: &str, dir: &str) -> Option<String> {
        let usable = (dir.starts_with('/') || dir.starts_with("~/")) && !dir.chars().any(char::is_control);
        if !usable {
            self.notes.push(format!("{place}: hostConfigDir is no absolute path and was left out"));
        }
        usable.then(|| dir.to_owned())
    }
}
