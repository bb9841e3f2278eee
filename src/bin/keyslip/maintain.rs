//! `keyslip maintain`: what a host with containers needs now and then, in one go. A timer runs it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use keyslip::clock::{DAY, Instant, span};
use keyslip::config;
use keyslip::journal::sentence;
use keyslip::site::Site;
use keyslip::source::store_of;
use serde::{Deserialize, Serialize};

use crate::auth::{self, Login};
use crate::live;

/// In the state directory: what was warned of, and when.
const WARNED: &str = "warned.json";

/// The last warning about a login.
#[derive(Clone, Serialize, Deserialize)]
struct Warned {
    state: String,
    time: Instant,
}

/// Renews and synchronises, sweeps, and warns. What fails does not keep the rest from being done.
pub fn run(site: &Site) -> anyhow::Result<ExitCode> {
    let steps = [auth::refresh_due(site), live::sweep_quietly(site), warn(site)];
    let mut exit = ExitCode::SUCCESS;
    for step in steps {
        match step {
            Ok(true) => {}
            Ok(false) => exit = ExitCode::FAILURE,
            Err(error) => {
                eprintln!("keyslip: {}", sentence(error.chain()));
                exit = ExitCode::FAILURE;
            }
        }
    }
    Ok(exit)
}

/// Says which logins end soon, or have ended, that nobody renews: each once a day, and at once when it gets worse.
fn warn(site: &Site) -> anyhow::Result<bool> {
    let config = config::load(&site.config)?;
    let logins = auth::logins(&config, &store_of(&config, site)?, site)?;
    let file = site.state.join(WARNED);
    // What cannot be read warns once more.
    let before: BTreeMap<String, Warned> =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let now = Instant::now();
    let mut after = BTreeMap::new();
    let mut said = false;
    for login in logins.iter().filter(|login| needs_somebody(login)) {
        let name = format!("{}@{}", login.agent, login.account);
        let known = before.get(&name).filter(|it| it.state == login.state && now.since(it.time).saturating_abs() < DAY);
        if known.is_none() {
            eprintln!("{}keyslip: {}", priority(), sentence_of(login, now));
            said = true;
        }
        after.insert(name, known.cloned().unwrap_or_else(|| Warned { state: login.state.to_owned(), time: now }));
    }
    if said || after.len() != before.len() {
        write(&file, &after).with_context(|| format!("{}: the next run will warn again", file.display()))?;
    }
    Ok(true)
}

/// Whether a person has to do something. The host's own client looks after its login, and what Keyslip renews
/// needs nobody as long as that goes well.
fn needs_somebody(login: &Login) -> bool {
    login.store != "host" && login.state != "valid" && !(login.renewable && login.state == "expiring")
}

fn sentence_of(login: &Login, now: Instant) -> String {
    let Login { agent, account, state, expires_at, advice, .. } = login;
    let when = match (expires_at, *state) {
        (Some(end), "expiring") => format!("ends in {}", span(end.since(now))),
        (Some(end), "expired") => format!("ended on {end}"),
        _ => format!("is {state}"),
    };
    let advice = advice.as_deref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("the login for {agent} ({account}) {when}{advice}")
}

/// The journal reads a level from the beginning of a line (`sd-daemon(3)`).
fn priority() -> &'static str {
    if std::env::var_os("JOURNAL_STREAM").is_some() { "<4>" } else { "" }
}

fn write(file: &Path, warned: &BTreeMap<String, Warned>) -> anyhow::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    // With `owner` the logins are elsewhere, and nothing may have been written here yet.
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all(&serde_json::to_vec(warned)?)?;
    new.persist(file)?;
    Ok(())
}
