//! Forage's configuration as a drop-in for ours, `conf.d/forage.toml`.
//!
//! In: what of Forage's configuration is about credentials, and our own as it is. Out: the text, valid
//! beside what is there, which it never overrides: a later file would win. What can go wrong: a drop-in
//! that is there already and says something else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::Error;
use super::forage::{Agent, Setup};
use crate::config::{self, AgentSettings, Config};
use crate::json::quote;
use crate::names::{AgentName, SecretName};

/// Its name.
const FILE: &str = "forage.toml";

const HEAD: &str = "# Written by `keyslip auth import forage`, from Forage's own configuration. It is yours to edit.\n";

/// A drop-in that is not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIn {
    /// What it says; nothing when there is nothing to say.
    pub text: Option<String>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Where the drop-in goes.
#[must_use]
pub fn path(config_dir: &Path) -> PathBuf {
    config_dir.join("conf.d").join(FILE)
}

/// Turns `setup` into a drop-in beside `existing`. `known` says whether an agent has a definition.
pub fn plan(setup: Setup, existing: &Config, known: &dyn Fn(&AgentName) -> bool) -> DropIn {
    let Setup { mut secrets, templates, mut notes, .. } = setup;
    secrets.retain(|name, path| {
        let same = existing.secrets.get(name).is_none_or(|other| other == Path::new(&*path));
        if !same {
            notes.push(format!("secret {name} is configured already, with another path, which stays"));
        }
        same
    });
    let has = |name: &SecretName| secrets.contains_key(name) || existing.secrets.contains_key(name);
    let mut text = String::new();
    if !secrets.is_empty() {
        text.push_str("\n[secrets]\n");
        secrets.iter().for_each(|(name, path)| text.push_str(&format!("{} = {}\n", key(name.as_str()), quote(path))));
    }
    for (template, agents) in templates {
        for (agent, mut settings) in agents {
            let place = format!("template {template}, agent {agent}");
            if let Some(name) = settings.secret_name.take_if(|name| !has(name)) {
                notes.push(format!("{place}: there is no secret {name}; its name was left out"));
            }
            if settings.secret_name.is_none() && settings.auth_env_var.take().is_some() {
                notes.push(format!("{place}: authEnvVar was left out, for there is no secret to put into it"));
            }
            if settings.secret_name.is_none() && !known(&agent) {
                notes.push(format!("{place} was left out: Keyslip has no definition for it; describe it in agents.d"));
                continue;
            }
            let there = existing.templates.get(&template);
            if there.is_some_and(|there| there.agents.get(&agent).is_none_or(|there| !same(&settings, there))) {
                notes.push(format!(
                    "{place} was left out: template {template} is configured already and stays as it is"
                ));
                continue;
            }
            let table = table(&settings);
            let header = format!("templates.{}.agents.{}", key(template.as_str()), key(agent.as_str()));
            text.push_str(&format!("\n[{header}]\n{table}"));
        }
    }
    DropIn { text: (!text.is_empty()).then(|| format!("{HEAD}{text}")), notes }
}

/// Whether an agent is configured so already.
fn same(agent: &Agent, there: &AgentSettings) -> bool {
    (&agent.secret_name, &agent.auth_env_var) == (&there.secret_name, &there.auth_env_var)
        && agent.host_config_dir == there.host_config_dir
        && agent.host_config_dir_read_only == there.host_config_dir_read_only.unwrap_or_default()
}

fn table(agent: &Agent) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name} = {value}\n"));
    if let Some(name) = &agent.secret_name {
        line("secret_name", quote(name.as_str()));
    }
    if let Some(name) = &agent.auth_env_var {
        line("auth_env_var", quote(name.as_str()));
    }
    if let Some(dir) = &agent.host_config_dir {
        line("host_config_dir", quote(dir));
        if agent.host_config_dir_read_only {
            line("host_config_dir_read_only", "true".to_owned());
        }
    }
    text
}

/// A name as a key of TOML: quoted if it has a dot.
fn key(name: &str) -> String {
    if name.contains('.') { quote(name) } else { name.to_owned() }
}

/// Writes a drop-in; says whether it was not there yet. With it, the configuration must still be valid,
/// or it is taken away again.
///
/// # Errors
/// When there is another one, it cannot be written, or the configuration is not valid with it.
pub fn write(config_dir: &Path, text: &str) -> Result<bool, Error> {
    let path = path(config_dir);
    let failed = |source| Error::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(there) if there == text => return Ok(false),
        Ok(_) => return Err(Error::DropIn(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    place(&path, text).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::DropIn(path.clone()),
        _ => failed(error),
    })?;
    match config::load(config_dir) {
        Ok(_) => Ok(true),
        Err(error) => {
            let _ = fs::remove_file(&path);
            Err(error.into())
        }
    }
}

/// Puts `text` at `path`, whole or not at all and over nothing.
fn place(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir)?;
    let temporary = dir.join(format!(".{FILE}-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(&temporary)?;
    let result = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE)?));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}
