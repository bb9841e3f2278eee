//! Bringing what has changed in the store into running containers.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, agent_file, at, env, in_place, token_end};
use crate::audit::{self, Entry, Event};
use crate::config::Config;
use crate::deliver::AgentOrder;
use crate::journal::Journal;
use crate::ledger::{AgentRecord, FileRecord, Ledger, Process, Record, SecretRecord, Status};
use crate::pipeline::Finder;
use crate::site::Site;

/// What became of one thing that a container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It holds what the store has.
    Current,
    /// It was brought up to date.
    Updated,
    /// It was pending and has been delivered.
    Filled,
    /// There is still no credential.
    Pending,
    /// There is none any more, or nobody can get at it; the container keeps what it has.
    Kept,
    /// It was taken away before and is left alone.
    Revoked,
    /// It was pending, and the user has logged in inside.
    OwnLogin,
}

/// What became of one container.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Synced {
    /// Its id in the engine.
    pub container: String,
    /// What it holds, and what became of that.
    pub changes: Vec<(String, Change)>,
    /// Variables whose old value its running processes still have; only a restart changes that.
    pub old_env: Vec<String>,
    /// Why there is no credential for what is pending or kept.
    pub reasons: Vec<String>,
    /// What failed.
    pub problems: Vec<String>,
}

impl Synced {
    /// Keeps the reasons that explain `change`.
    fn add_reasons(&mut self, change: Change, journal: Journal) {
        if matches!(change, Change::Pending | Change::Kept) {
            self.reasons.extend(journal.warnings);
        }
    }
}

/// The container that is brought up to date.
struct Container<'a> {
    dir: PathBuf,
    process: Option<Process>,
    config: &'a Config,
    site: &'a Site,
    engine: String,
    name: String,
    audit: audit::Settings,
}

impl Container<'_> {
    /// The line about a login or secret that it is about to be given.
    fn line(&self) -> Entry<'_> {
        Entry::new(Event::Synced, &self.engine, &self.name)
    }

    fn announce(&self, line: &Entry<'_>) -> Result<(), Error> {
        Ok(line.write(&self.site.state, &self.audit)?)
    }
}

/// Compares everything the container of `record` holds with the sources, and updates it. What it is given is in the
/// audit log before.
///
/// # Errors
/// When the record cannot be written. What fails for one agent or secret is told in the result.
pub fn sync(ledger: &Ledger, record: &mut Record, config: &Config, site: &Site) -> Result<Synced, Error> {
    let dir = ledger.sandbox(&record.id);
    let mut result = Synced { container: record.container.clone(), ..Synced::default() };
    let held: Vec<_> = record.agents.iter().map(|agent| (agent.held(), agent.expires)).collect();
    let container = Container {
        dir: dir.clone(),
        process: record.process,
        config,
        site,
        engine: record.engine.clone(),
        name: record.container.clone(),
        audit: record.audit.clone(),
    };
    let mut old = Vec::new();
    for agent in &mut record.agents {
        let name = agent.asked();
        let mut journal = Journal::default();
        match sync_agent(&container, agent, &mut journal, &mut old) {
            Ok(change) => {
                if matches!(change, Change::Updated | Change::Filled) {
                    result.old_env.extend(agent.env.iter().cloned());
                }
                result.add_reasons(change, journal);
                result.changes.push((name.to_string(), change));
            }
            Err(error) => result.problems.push(format!("{name}: {error}")),
        }
    }
    for secret in &mut record.secrets {
        let mut journal = Journal::default();
        match sync_secret(&container, secret, &mut journal) {
            Ok(change) => {
                result.changes.push((format!("secret {}", secret.name), change));
                result.add_reasons(change, journal);
            }
            Err(error) => result.problems.push(format!("secret {}: {error}", secret.name)),
        }
    }
    // A file that was mounted anew is written down even when a later one failed.
    let changed = result.changes.iter().any(|(_, change)| matches!(change, Change::Updated | Change::Filled));
    let held_otherwise = !record.agents.iter().map(|agent| (agent.held(), agent.expires)).eq(held);
    if changed || held_otherwise || !old.is_empty() {
        record.write(&dir)?;
    }
    for path in old {
        let _ = fs::remove_file(path);
    }
    Ok(result)
}

fn sync_agent(
    container: &Container<'_>,
    agent: &mut AgentRecord,
    journal: &mut Journal,
    old: &mut Vec<PathBuf>,
) -> Result<Change, Error> {
    let Container { dir, process, config, site, .. } = container;
    if agent.status == Status::Revoked {
        return Ok(Change::Revoked);
    }
    // What was not delivered as a variable at the start has to be in a file.
    let with_env = !agent.env.is_empty();
    let order = Finder::new(config, site, with_env, journal).agent(agent.asked(), agent.settings.clone())?;
    if order.origin.is_none() {
        return Ok(if agent.status == Status::Pending { Change::Pending } else { Change::Kept });
    }
    // Without a key for fingerprints nobody can say that it is the same.
    let is_same = agent.fingerprint.is_some() && agent.fingerprint == order.fingerprint;
    if agent.status == Status::Delivered && is_same {
        // The same value may be another login's by now.
        (agent.login, agent.origin, agent.expires) = (order.login, order.origin, order.expires);
        return Ok(Change::Current);
    }
    // A login that the user made inside meanwhile is theirs.
    let own_login = |file: &FileRecord| file.path.is_some() && !in_place::is_blank(&dir.join(&file.host), file.empty());
    if agent.status == Status::Pending && agent.files.iter().any(own_login) {
        return Ok(Change::OwnLogin);
    }
    if let Some(place) = without_a_place(agent, &order) {
        return Err(Error::OtherKind(place));
    }
    // The record names one login: what a revoke of another one would not find must not stay.
    if let Some(place) = left_behind(dir, agent, &order) {
        return Err(Error::LeftBehind(place));
    }
    let account = order.login.as_ref().unwrap_or(&agent.account);
    container.announce(&container.line().agent(&agent.agent, account, order.fingerprint.as_deref()))?;
    for file in &mut agent.files {
        if let Some(defined) = &file.path {
            if let Some(rendered) = order.rendering.files.iter().find(|rendered| rendered.path == *defined) {
                agent_file::update(dir, file, &rendered.content, *process, old)?;
            }
        } else if let Some((_, content)) = &order.secret_file {
            let path = dir.join(&file.host);
            in_place::replace(&path, content, 0o400, file.owner).map_err(at(&path))?;
        }
    }
    add_secret_file(dir, agent, &order)?;
    token_end::follow(dir, agent, order.rendering.token_end.as_ref())?;
    env::update(dir, |var| {
        order.rendering.env.iter().find(|new| new.name == var.name).map_or(Some(var.clone()), |new| Some(new.clone()))
    })?;
    let change = if agent.status == Status::Pending { Change::Filled } else { Change::Updated };
    agent.status = Status::Delivered;
    agent.login = order.login;
    agent.origin = order.origin;
    agent.expires = order.expires;
    agent.fingerprint = order.fingerprint;
    Ok(change)
}

/// What the credential needs that the container was not given when it was made: a file of another
/// kind of credential can be written, but a variable or a mount cannot be added.
fn without_a_place(agent: &AgentRecord, order: &AgentOrder) -> Option<String> {
    let has_file = |path: &str| agent.files.iter().any(|file| file.path.as_deref() == Some(path));
    let file = order.rendering.files.iter().find(|file| !has_file(&file.path)).map(|file| file.path.clone());
    // A pending container was given no variable, but the files that the agent reads too.
    let has_env = |name: &str| agent.env.iter().any(|held| held == name) || agent.env.is_empty();
    let env = order.rendering.env.iter().map(|var| var.name.as_str()).find(|name| !has_env(name)).map(str::to_owned);
    file.or(env)
}

/// What would keep the credential that the container holds now, because the new one has no part there.
fn left_behind(dir: &Path, agent: &AgentRecord, order: &AgentOrder) -> Option<String> {
    let renewed = |file: &FileRecord| match &file.path {
        Some(path) => order.rendering.files.iter().any(|rendered| rendered.path == *path),
        None => order.secret_file.is_some(),
    };
    let keeps = |file: &&FileRecord| !renewed(file) && !in_place::is_blank(&dir.join(&file.host), file.empty());
    let file = agent.files.iter().find(keeps).map(|file| file.inside.clone());
    let has = |name: &str| order.rendering.env.iter().any(|var| var.name.as_str() == name);
    file.or_else(|| agent.env.iter().find(|name| !has(name)).cloned())
}

/// A pending agent has no secret file yet; the directory it belongs into is mounted.
fn add_secret_file(dir: &Path, agent: &mut AgentRecord, order: &AgentOrder) -> Result<(), Error> {
    let Some((name, content)) = &order.secret_file else { return Ok(()) };
    let host = Path::new("secrets").join(name.as_str());
    if agent.files.iter().any(|file| file.host == host) {
        return Ok(());
    }
    let Some(owner) = agent.files.first().map(|file| file.owner) else { return Ok(()) };
    let path = dir.join(&host);
    in_place::replace(&path, content, 0o400, owner).map_err(at(&path))?;
    agent.files.push(crate::ledger::FileRecord {
        inside: format!("/run/secrets/{name}"),
        host,
        path: None,
        empty: None,
        owner,
    });
    Ok(())
}

fn sync_secret(container: &Container<'_>, secret: &mut SecretRecord, journal: &mut Journal) -> Result<Change, Error> {
    let Container { dir, config, site, .. } = container;
    if secret.status == Status::Revoked {
        return Ok(Change::Revoked);
    }
    let order = Finder::new(config, site, true, journal).secret(&secret.name)?;
    let Some(content) = &order.content else {
        return Ok(if secret.status == Status::Pending { Change::Pending } else { Change::Kept });
    };
    let is_same = secret.fingerprint.is_some() && secret.fingerprint == order.fingerprint;
    if secret.status == Status::Delivered && is_same {
        return Ok(Change::Current);
    }
    container.announce(&container.line().secret(&secret.name))?;
    let path = dir.join(&secret.file.host);
    in_place::replace(&path, content, 0o400, secret.file.owner).map_err(at(&path))?;
    let change = if secret.status == Status::Pending { Change::Filled } else { Change::Updated };
    secret.status = Status::Delivered;
    secret.fingerprint = order.fingerprint;
    Ok(change)
}
