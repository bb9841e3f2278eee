//! `keyslip auth refresh`: logins that Keyslip renews, and then the containers that hold them.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use keyslip::agent::Definition;
use keyslip::audit::{Entry, Event};
use keyslip::clock::{Instant, span};
use keyslip::config::Config;
use keyslip::ledger::{Fingerprinter, Found};
use keyslip::lifetime::{Change, Synced};
use keyslip::names::{Account, AgentName, AgentRef};
use keyslip::renew::{self, Http, Job, Limits, Outcome, Vault};
use keyslip::secret::Secret;
use keyslip::site::Site;
use keyslip::source::{self, Custody, Kept, Store};
use serde::Serialize;

use crate::live;
use crate::output::{self, Format};

/// In seconds.
const TIMEOUT: u64 = 30;

#[derive(clap::Args)]
pub struct Args {
    /// Only this agent's logins.
    agent: Option<AgentName>,
    /// Only this one of several accounts.
    #[arg(long, requires = "agent")]
    account: Option<Account>,
    /// Only those of which less than a quarter of their life, or half an hour, is left.
    #[arg(long)]
    due: bool,
    /// Longest wait for a server, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(flatten)]
    format: Format,
}

/// What became of one login.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refreshed {
    agent: AgentName,
    account: Account,
    /// The outcome's name, or `failed`.
    outcome: &'static str,
    expires_at: Option<Instant>,
    problem: Option<String>,
    /// Only a new login helps.
    log_in_again: bool,
}

#[derive(Serialize)]
struct Report {
    logins: Vec<Refreshed>,
    containers: Vec<Synced>,
}

pub fn run(args: &Args, config: &Config, store: &Store, site: &Site) -> anyhow::Result<ExitCode> {
    let Done { logins, containers, failed } = refresh_all(args, |_| !args.format.json, config, store, site)?;
    if args.format.json {
        output::json(&Report { logins, containers })?;
    } else {
        if logins.is_empty() {
            println!("no stored login is Keyslip's to renew");
        }
        live::print_synced(&notable(containers));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is due, and the containers that hold it; says nothing of what needs nothing. Whether all went well.
pub fn due(config: &Config, store: &Store, site: &Site) -> anyhow::Result<bool> {
    let args = Args { agent: None, account: None, due: true, timeout: TIMEOUT, format: Format { json: false } };
    let notable_login = |refreshed: &Refreshed| refreshed.outcome != "not-due";
    let Done { containers, failed, .. } = refresh_all(&args, notable_login, config, store, site)?;
    live::print_synced(&notable(containers));
    Ok(!failed)
}

struct Done {
    logins: Vec<Refreshed>,
    containers: Vec<Synced>,
    failed: bool,
}

/// Prints what became of each login that `says` yes to, once that is known.
fn refresh_all(
    args: &Args,
    says: impl Fn(&Refreshed) -> bool,
    config: &Config,
    store: &Store,
    site: &Site,
) -> anyhow::Result<Done> {
    let total = Duration::from_secs(args.timeout);
    let http = Http::new(Limits { connect: Limits::default().connect.min(total), total });
    let mut logins = Vec::new();
    for login in wanted(args, store)? {
        let vault = InCustody { custody: Custody::new(store, config, site), login: &login, sealed: Cell::default() };
        let refreshed = refresh(&login, args, store, &http, &vault, site);
        if let (Some(kept), "superseded" | "gone") = (vault.sealed.take(), refreshed.outcome) {
            // A new login, or none, is there now; the renewed one must not stay in the keyring.
            vault.custody.drop_kept((&login.agent, &login.account), &kept)?;
        }
        note(&login, &refreshed, &vault.custody, store, config, site);
        // What is not Keyslip's to renew is of interest to whoever asks for it.
        if args.agent.is_some() || !matches!(refreshed.outcome, "not-ours" | "gone") {
            if says(&refreshed) {
                print(&login, &refreshed);
            }
            logins.push(refreshed);
        }
    }
    // A thread that looks up a name, or one of a keyring's, may still be there.
    keyslip::sys::own_directories();
    let Found { found: containers, problems } = live::sync_all(site)?;
    let failed = output::unread(&problems)
        || logins.iter().any(|login| login.problem.is_some())
        || containers.iter().any(|synced| !synced.problems.is_empty());
    Ok(Done { logins, containers, failed })
}

/// The logins that the arguments mean, and those of which a renewal has left something behind.
fn wanted(args: &Args, store: &Store) -> anyhow::Result<Vec<AgentRef>> {
    let mut logins = store.list()?;
    let meant = |login: &AgentRef| {
        args.agent.as_ref().is_none_or(|agent| *agent == login.agent)
            && args.account.as_ref().is_none_or(|account| *account == login.account)
    };
    logins.retain(meant);
    if let (Some(agent), true) = (&args.agent, logins.is_empty()) {
        let account = args.account.as_ref().map(|account| format!(", account {account}")).unwrap_or_default();
        bail!("there is no stored login for {agent}{account}; `keyslip auth status` lists those there are");
    }
    logins.extend(store.renewals()?.into_iter().filter(meant));
    logins.sort();
    logins.dedup();
    Ok(logins)
}

/// Logins wherever they rest.
struct InCustody<'a> {
    custody: Custody<'a>,
    login: &'a AgentRef,
    /// Where the renewed login was put.
    sealed: Cell<Option<Kept>>,
}

impl Vault for InCustody<'_> {
    fn open(&self, entry: &source::Entry) -> Result<Secret, String> {
        self.custody.open((&self.login.agent, &self.login.account), entry)
    }

    fn seal(&self, entry: &source::Entry, login: &Secret) -> Result<Kept, String> {
        let name = (&self.login.agent, &self.login.account);
        let kept = self.custody.keep_again(name, entry, login).map_err(|error| error.to_string())?;
        self.sealed.set(Some(kept.clone()));
        Ok(kept)
    }
}

fn refresh(login: &AgentRef, args: &Args, store: &Store, http: &Http, vault: &dyn Vault, site: &Site) -> Refreshed {
    let renewed = match Definition::find(&login.agent, &site.config) {
        Ok(Some(definition)) => {
            let job = Job { store, login, definition: &definition, http, vault, forced: !args.due };
            renew::one(&job).map_err(|error| (error.to_string(), error.is_final()))
        }
        // A token of an agent that is known by its configuration alone.
        Ok(None) => Ok(Outcome::NotOurs),
        Err(error) => Err((error.to_string(), false)),
    };
    let AgentRef { agent, account } = login.clone();
    match renewed {
        Ok(outcome) => Refreshed {
            agent,
            account,
            outcome: outcome.name(),
            expires_at: outcome.expires(),
            problem: None,
            log_in_again: false,
        },
        Err((problem, log_in_again)) => {
            Refreshed { agent, account, outcome: "failed", expires_at: None, problem: Some(problem), log_in_again }
        }
    }
}

/// Writes a line into the audit log about what was renewed, or could not be.
fn note(login: &AgentRef, refreshed: &Refreshed, custody: &Custody<'_>, store: &Store, config: &Config, site: &Site) {
    let event = match refreshed.outcome {
        "renewed" | "recovered" => Event::Refreshed,
        "failed" => Event::Failed,
        _ => return,
    };
    let name = (&login.agent, &login.account);
    let entry = store.read(name.0, name.1).ok().flatten();
    let value = entry.and_then(|entry| custody.open(name, &entry).ok());
    let print = value.and_then(|value| Fingerprinter::open(&site.state).of(&value));
    let line = Entry::new(event, "", "").agent(name.0, name.1, print.as_deref());
    let _ = line.because_of(refreshed.problem.as_deref()).write(&site.state, &config.audit);
}

fn print(login: &AgentRef, refreshed: &Refreshed) {
    let text = match refreshed.outcome {
        "renewed" => "was renewed",
        "recovered" => "was renewed by an attempt that had been cut off",
        "current" => "was renewed by somebody else meanwhile",
        "not-due" => "is not due",
        "superseded" => "was replaced by a new login meanwhile, which is kept",
        "not-ours" => "is not Keyslip's to renew",
        "gone" => "was removed meanwhile",
        _ => {
            return eprintln!("keyslip: {login} was not renewed: {}", refreshed.problem.as_deref().unwrap_or_default());
        }
    };
    let left = refreshed.expires_at.map(|end| format!("; it is valid for {}", span(end.since(Instant::now()))));
    println!("{login} {text}{}", left.unwrap_or_default());
}

/// Without containers that had everything already: the timer runs often.
fn notable(containers: Vec<Synced>) -> Vec<Synced> {
    let quiet = |synced: &Synced| {
        synced.problems.is_empty() && synced.changes.iter().all(|(_, change)| *change == Change::Current)
    };
    containers.into_iter().filter(|synced| !quiet(synced)).collect()
}
