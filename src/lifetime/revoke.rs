//! Taking a credential away from a running container.

use std::fs;
use std::io;

use super::{Error, at, env, in_place, token_end};
use crate::ledger::{Ledger, Record, Status};
use crate::names::AgentRef;

/// What was taken away, and what could not be.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// Its id in the engine.
    pub container: String,
    /// What was taken away.
    pub taken: Vec<String>,
    /// Variables that its running processes keep until they end.
    pub held_in_env: Vec<String>,
}

/// Takes everything in `record` that `which` accepts: files are blanked or removed, processes that are
/// started later get no variable. A client that is started now is logged out.
///
/// # Errors
/// When a file or the record cannot be written; what was done before stays done.
pub fn revoke(
    ledger: &Ledger,
    record: &mut Record,
    which: impl Fn(Option<&AgentRef>) -> bool,
) -> Result<Revoked, Error> {
    let dir = ledger.sandbox(&record.id);
    let mut result = Revoked { container: record.container.clone(), ..Revoked::default() };
    for agent in &mut record.agents {
        let name = agent.held();
        if agent.status == Status::Revoked || !which(Some(&name)) {
            continue;
        }
        for file in &agent.files {
            let path = dir.join(&file.host);
            match file.path {
                Some(_) => in_place::blank(&path, file.empty()).map_err(at(&path))?,
                None => remove(&path).map_err(at(&path))?,
            }
        }
        token_end::follow(&dir, agent, None)?;
        agent.status = Status::Revoked;
        agent.fingerprint = None;
        result.held_in_env.extend(agent.env.iter().cloned());
        result.taken.push(name.to_string());
    }
    for secret in record.secrets.iter_mut().filter(|secret| secret.status != Status::Revoked && which(None)) {
        let path = dir.join(&secret.file.host);
        remove(&path).map_err(at(&path))?;
        secret.status = Status::Revoked;
        secret.fingerprint = None;
        result.taken.push(format!("secret {}", secret.name));
    }
    if !result.taken.is_empty() {
        env::update(&dir, |var| {
            (!result.held_in_env.iter().any(|name| name == var.name.as_str())).then(|| var.clone())
        })?;
        record.write(&dir)?;
    }
    Ok(result)
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
