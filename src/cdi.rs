//! Agents as devices: the file of the Container Device Interface (CDI) by which
//! `--device keyslip.dev/agent=claude` calls the hook.
//!
//! In: the agents and accounts that this host knows, and where the hook is. Out: the text of a CDI
//! specification, the same for the same input, with no secret in it. What can go wrong: a name that CDI
//! cannot say. One such name would have the engines drop the whole file, so it is left out with a note,
//! or refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent;
use crate::config::{Allow, Config};
use crate::names::{Account, AgentName, AgentRef};
use crate::request;
use crate::site::{Site, Whose};
use crate::source::{self, Keeper, Store, StoreError};

/// The kind of the devices: vendor and class.
pub const KIND: &str = "keyslip.dev/agent";

/// The version of the CDI specification that the file follows: the one of podman 4.3. Engines refuse a
/// file that is newer than they are.
pub const VERSION: &str = "0.5.0";

/// Who calls when the file lies where every engine reads it.
pub const ENGINE: &str = "cdi";

/// Where every engine looks: podman from 4.1 on, docker 25, containerd 1.7, CRI-O. Rootless engines too.
const SHARED: &str = "/etc/cdi";

/// The file's name.
const FILE: &str = "keyslip.json";

/// How long the hook may take, in seconds: a credential helper has 20 at most.
const DELIVERY_SECONDS: u32 = 30;

/// How long cleaning up may take, in seconds.
const CLEANUP_SECONDS: u32 = 10;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// CDI has no such names.
    #[error("{agent} cannot be a CDI device: device names end with a letter or a digit; give it another name")]
    Name {
        /// What should be a device.
        agent: AgentRef,
    },
    /// A path that cannot stand in the file.
    #[error("{0:?} cannot stand in a CDI file: it must be an absolute path in UTF-8")]
    Path(PathBuf),
    /// The owner of the logins is nobody.
    #[error(transparent)]
    Keeper(#[from] source::Error),
    /// The store cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that is no CDI specification of Keyslip's.
    #[error("this is no CDI file of Keyslip's: {0}")]
    Foreign(String),
}

/// How the hook is called.
#[derive(Clone, Copy, Debug)]
pub struct Hook<'a> {
    /// The program.
    pub program: &'a Path,
    /// Who calls: [`ENGINE`], or `cri` for a file that a CRI alone reads.
    pub engine: &'a str,
    /// The home directory of the user whose file this is. None for the file that all users share.
    pub home: Option<&'a Path>,
}

/// What can be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Agents with their accounts, each once.
    pub agents: Vec<AgentRef>,
    /// What had to be left out, a sentence each.
    pub notes: Vec<String>,
}

/// Where the file belongs: for root, where every engine reads it. A user's engines read that one too; a
/// directory of the user's own is read by podman from 5.5 on, if its configuration says so.
#[must_use]
pub fn path(site: &Site) -> PathBuf {
    match site.whose {
        Whose::System => Path::new(SHARED).join(FILE),
        Whose::User(_) => site.home.join(".config/cdi").join(FILE),
    }
}

/// The files that the engines of this site may read, whether they are there or not.
#[must_use]
pub fn paths(site: &Site) -> Vec<PathBuf> {
    let mut paths = vec![Path::new(SHARED).join(FILE), path(site)];
    paths.dedup();
    paths
}

/// The name of a device: `claude`, `claude.work`. An `@` would make the whole file invalid.
///
/// # Errors
/// When CDI has no such name.
pub fn device(agent: &AgentRef) -> Result<String, Error> {
    let name = match agent.account.is_default() {
        true => agent.agent.to_string(),
        false => format!("{}.{}", agent.agent, agent.account),
    };
    // Of what CDI demands, the names of agents and accounts promise all but this.
    match name.ends_with(|last: char| last.is_ascii_alphanumeric()) {
        true => Ok(name),
        false => Err(Error::Name { agent: agent.clone() }),
    }
}

/// Everything that containers of this site can ask for: each agent with its default account, with every
/// account that has a stored login, with those that a rule names, and with those in `also`.
///
/// # Errors
/// When the store cannot be listed.
pub fn devices(site: &Site, config: &Config, also: &[Account]) -> Result<Devices, Error> {
    let stored = Store::of(Keeper::of(config, site)?).list()?;
    let mut agents: BTreeSet<AgentName> = agent::built_in().collect();
    agents.extend(agent::described(&site.config));
    agents.extend(config.agents.iter().filter(|(_, it)| it.secret_name.is_some()).map(|(name, _)| name.clone()));
    let mut all: BTreeSet<AgentRef> = BTreeSet::new();
    for agent in &agents {
        let named = config.allow.iter().flat_map(|rule| accounts(rule, agent));
        let accounts = named.chain(also.iter().cloned()).chain([Account::default()]);
        all.extend(accounts.map(|account| AgentRef { agent: agent.clone(), account }));
    }
    all.extend(stored);
    let mut devices = Devices::default();
    for agent in all {
        match device(&agent) {
            Ok(_) => devices.agents.push(agent),
            Err(error) => devices.notes.push(error.to_string()),
        }
    }
    Ok(devices)
}

/// The text of the file. The clean-up stands beside the devices, so that a container has it once,
/// however many devices it has.
///
/// # Errors
/// When CDI cannot say it.
pub fn document(agents: &[AgentRef], hook: &Hook<'_>) -> Result<String, Error> {
    let mut devices = BTreeMap::new();
    for agent in agents {
        devices.insert(device(agent)?, agent);
    }
    let deliver = |name: &str| call(hook, "createRuntime", Some(name), DELIVERY_SECONDS);
    let document = Document {
        cdi_version: VERSION.to_owned(),
        kind: KIND.to_owned(),
        container_edits: Edits { hooks: vec![call(hook, "poststop", None, CLEANUP_SECONDS)?] },
        devices: devices
            .into_keys()
            .map(|name| Ok(Device { container_edits: Edits { hooks: vec![deliver(&name)?] }, name }))
            .collect::<Result<_, Error>>()?,
    };
    let mut text = serde_json::to_string_pretty(&document).expect("texts and numbers always serialise");
    text.push('\n');
    Ok(text)
}

/// The agents that a file of ours offers.
///
/// # Errors
/// When it is none.
pub fn offered(text: &str) -> Result<Vec<AgentRef>, Error> {
    let document: Document = serde_json::from_str(text).map_err(|error| Error::Foreign(error.to_string()))?;
    if document.kind != KIND {
        return Err(Error::Foreign(format!("its kind is {:?}", document.kind)));
    }
    let read = |device: &Device| request::device(&device.name).map_err(|error| Error::Foreign(error.to_string()));
    document.devices.iter().map(read).collect()
}

/// A file of this site's engines that is there and does not offer `agent`, if none of them does. They are
/// the engines' configuration, so a login changes none of them.
#[must_use]
pub fn lacking(site: &Site, agent: &AgentRef) -> Option<PathBuf> {
    device(agent).ok()?;
    let read = |path: PathBuf| Some((offered(&fs::read_to_string(&path).ok()?).ok()?, path));
    let files: Vec<(Vec<AgentRef>, PathBuf)> = paths(site).into_iter().filter_map(read).collect();
    match files.iter().any(|(agents, _)| agents.contains(agent)) {
        true => None,
        false => files.into_iter().next_back().map(|(_, path)| path),
    }
}

/// The accounts of `agent` that a rule names in full: some of them are a helper's to give.
fn accounts(rule: &Allow, agent: &AgentName) -> Vec<Account> {
    let fits = |pattern: &String| match pattern.strip_suffix('*') {
        Some(stem) => agent.as_str().starts_with(stem),
        None => pattern == agent.as_str(),
    };
    if !rule.agents.iter().any(fits) {
        return Vec::new();
    }
    let named = rule.accounts.iter().flatten().filter_map(|pattern| pattern.parse().ok());
    named.chain(rule.account.clone()).collect()
}

fn call(hook: &Hook<'_>, stage: &str, device: Option<&str>, timeout: u32) -> Result<Call, Error> {
    let mut args = vec!["keyslip-hook", stage, "--engine", hook.engine];
    if let Some(home) = hook.home {
        args.extend(["--home", text(home)?]);
    }
    args.extend(device.iter().flat_map(|device| ["--device", device]));
    Ok(Call {
        hook_name: stage.to_owned(),
        path: text(hook.program)?.to_owned(),
        args: args.into_iter().map(str::to_owned).collect(),
        // Without any, some runtimes give a hook their own environment.
        env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        timeout,
    })
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| Error::Path(path.to_owned()))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    cdi_version: String,
    kind: String,
    container_edits: Edits,
    devices: Vec<Device>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    container_edits: Edits,
}

#[derive(Serialize, Deserialize)]
struct Edits {
    hooks: Vec<Call>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    hook_name: String,
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: u32,
}

#[cfg(test)]
#[path = "cdi_tests.rs"]
mod tests;
