//! The ways to a credential: the agent's own login program, the login of the host's client, a person.

use std::fs::{self, File};
use std::io::{IsTerminal, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use keyslip::agent::{Definition, Method};
use keyslip::config::Config;
use keyslip::ledger::Ledger;
use keyslip::login;
use keyslip::login::terminal::{self, Program};
use keyslip::names::AgentName;
use keyslip::secret::Secret;
use keyslip::site::Site;
use keyslip::source::{LONGEST_SECRET, Store, host_login};
use zeroize::Zeroizing;

use super::login::Got;

/// The name of the method that takes anything.
pub const PASTE: &str = "paste";

/// The login of the host's own client, copied.
pub fn of_host(definition: &Definition, method: &Method, config: &Config, store: &Store) -> anyhow::Result<Got> {
    let mut looked = Vec::new();
    for place in host_login::places(&definition.host, store.keeper(), config) {
        looked.push(place.name());
        let host_login::Place::Files(files) = &place else { continue };
        let login = host_login::read_files(files, store.keeper()).map_err(anyhow::Error::msg)?;
        if let Some(value) = login.filter(|login| definition.recognise(login).is_some()) {
            return Ok(Got { value, sole: false, kind: Some(method.kind.clone()) });
        }
    }
    bail!("{} has no login on this host (looked in {}); {}", definition.title, looked.join(", "), definition.login)
}

/// What the agent's login program writes or prints. If there is no such program and nobody insisted on
/// it, the credential is asked for.
pub fn by_program(
    agent: &AgentName,
    definition: &Definition,
    method: &Method,
    asked: bool,
    site: &Site,
) -> anyhow::Result<Got> {
    let result = match (&method.private_dir, &method.file) {
        (Some(variable), Some(file)) => written(definition, method, (variable, file), site),
        _ => taken_from_print(definition, method),
    };
    match result {
        Err(error) if !asked && is_not_found(&error) => {
            eprintln!(
                "{} is not installed here; run `{}` where it is, and paste what it gives",
                method.command[0],
                method.command.join(" ")
            );
            ask(agent, None)
        }
        other => other,
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    let captured = error.downcast_ref().is_some_and(|error| match error {
        login::Error::Terminal(error) => matches!(error, terminal::Error::NotFound(_)),
        _ => false,
    });
    captured || matches!(error.downcast_ref(), Some(terminal::Error::NotFound(_)))
}

fn taken_from_print(definition: &Definition, method: &Method) -> anyhow::Result<Got> {
    let kind = definition.kinds.iter().find(|kind| kind.name == method.kind);
    let prefix = kind.and_then(|kind| kind.recognise.prefix.as_deref());
    let (Some(prefix), Some(length)) = (prefix, method.length) else {
        bail!("the method {} needs a kind with a prefix, and a length, to find what is printed", method.name);
    };
    let program = Program { argv: &method.command, env: &[] };
    let value = login::capture(&program, prefix, length)?;
    Ok(Got { value, sole: false, kind: Some(method.kind.clone()) })
}

fn written(
    definition: &Definition,
    method: &Method,
    (variable, file): (&str, &str),
    site: &Site,
) -> anyhow::Result<Got> {
    let dir = PrivateDir::make(site)?;
    let env = [(variable.into(), dir.0.clone().into_os_string())];
    let status = terminal::run(&Program { argv: &method.command, env: &env }, |_| {})?;
    let path = dir.0.join(file);
    let opened = match File::open(&path) {
        Ok(opened) => opened,
        Err(_) if !status.success() => {
            bail!("{} ended with {status}; nothing was stored", method.command.join(" "))
        }
        Err(_) => bail!(
            "{} ended without a login in {file}; if it keeps logins in a keyring, set it to files. Nothing was stored",
            method.command.join(" ")
        ),
    };
    let mut text = Zeroizing::new(String::new());
    opened
        .take(LONGEST_SECRET)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}'s login", definition.title))?;
    Ok(Got { value: Secret::from_text(text.trim()), sole: true, kind: Some(method.kind.clone()) })
}

/// A directory for one login, in memory, gone when it is dropped.
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn make(site: &Site) -> anyhow::Result<Self> {
        let ledger = Ledger::at(&site.runtime);
        ledger.make().context("the login needs a directory in memory")?;
        ledger.remove_logins();
        let all = ledger.logins();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&all)?;
        let path = all.join(std::process::id().to_string());
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A line from a hidden prompt, or everything on standard input.
pub fn ask(agent: &AgentName, method: Option<&Method>) -> anyhow::Result<Got> {
    let kind = method.map(|method| method.kind.clone());
    if std::io::stdin().is_terminal() {
        let what = method.map_or("credential", |method| method.title.as_str());
        let line = Zeroizing::new(rpassword::prompt_password(format!("{what} for {agent} (not shown): "))?);
        return Ok(Got { value: Secret::from_text(line.trim()), sole: false, kind });
    }
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(LONGEST_SECRET + 1)
        .read_to_string(&mut text)
        .context("cannot read the credential from standard input")?;
    if text.len() as u64 > LONGEST_SECRET {
        bail!("the credential on standard input is longer than {LONGEST_SECRET} bytes (1 MiB)");
    }
    if text.trim().is_empty() {
        bail!("there is no credential on standard input; pipe it in, or run this in a terminal to paste it");
    }
    Ok(Got { value: Secret::from_text(text.trim()), sole: false, kind })
}
