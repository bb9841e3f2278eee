//! `keyslip auth`: the logins in the store.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use keyslip::agent::{self, Definition, expires_at};
use keyslip::clock::{DAY, Instant, span};
use keyslip::config;
use keyslip::names::{Account, AgentName, AgentRef};
use keyslip::secret::Secret;
use keyslip::site::Site;
use keyslip::source::{LONGEST_SECRET, Life, Store, Entry, Kept, store_of};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::output::{self, Format};

#[derive(Subcommand)]
pub enum Auth {
    /// Store a credential, read from standard input or asked for without showing it.
    ///
    /// Example: claude setup-token, then: keyslip auth login claude
    Login {
        /// The agent: claude, codex, gemini, …
        agent: AgentName,
        /// The credential. Better leave it out: arguments are seen by every user of this host.
        token: Option<String>,
        /// Which of several accounts.
        #[arg(long, default_value_t)]
        account: Account,
    },
    /// Show the stored logins and how long they last.
    Status {
        /// Only this agent.
        agent: Option<AgentName>,
        #[command(flatten)]
        format: Format,
    },
    /// Remove a stored login.
    Logout {
        /// The agent.
        agent: AgentName,
        /// Which of several accounts.
        #[arg(long, default_value_t)]
        account: Account,
    },
    /// Take over logins that another tool has stored, and leave them there.
    ///
    /// An OAuth login comes without a refresh token that can be used once: whoever has it keeps it.
    Import(crate::import::Args),
}

pub fn run(command: &Auth, site: &Site) -> anyhow::Result<ExitCode> {
    let config = config::load(&site.config)?;
    let store = store_of(&config, site)?;
    match command {
        Auth::Login { agent, token, account } => login(agent, account, token.as_deref(), &store, site),
        Auth::Status { agent, format } => status(agent.as_ref(), *format, &store, site),
        Auth::Logout { agent, account } => logout(agent, account, &store),
        Auth::Import(args) => crate::import::run(args, site),
    }
}

fn login(
    agent: &AgentName,
    account: &Account,
    given: Option<&str>,
    store: &Store,
    site: &Site,
) -> anyhow::Result<ExitCode> {
    let Some(definition) = Definition::find(agent, &site.config)? else {
        return Err(agent::Error::Unknown(agent.clone(), site.config.join("agents.d")).into());
    };
    let token = match given {
        Some(token) => {
            eprintln!(
                "warning: the credential was an argument, which every user of this host can see; leave it out and paste it instead"
            );
            trimmed(token)
        }
        None => read_token(agent)?,
    };
    let Some(kind) = definition.recognise(&token) else {
        bail!(
            "this is no credential that {} takes; it takes {}. Nothing was stored",
            definition.title,
            definition.kinds_text()
        );
    };
    let created = Instant::now();
    if kind.expires.is_some() && expires_at(kind, &token).is_none() {
        bail!("this {} does not say until when it is valid; {}. Nothing was stored", kind.title, definition.login);
    }
    let lifetime = kind.lifetime_days.map(|days| Instant(created.0 + i64::from(days) * DAY));
    let expires = expires_at(kind, &token).or(lifetime);
    if let Life::Expired { since } = Life::of(expires, created) {
        bail!("this {} expired {} ago; {}. Nothing was stored", kind.title, span(since), definition.login);
    }
    store.write(agent, account, &Entry { kept: Kept::Here(token), created, expires, renewable: false })?;
    let until = expires.map_or("it does not expire".to_owned(), |end| format!("valid until {end}"));
    println!(
        "stored the {} for {} in {}; {until}",
        kind.title,
        AgentRef { agent: agent.clone(), account: account.clone() },
        store.path(agent, account).display()
    );
    Ok(ExitCode::SUCCESS)
}

/// A line from a hidden prompt, or everything on standard input.
fn read_token(agent: &AgentName) -> anyhow::Result<Secret> {
    if std::io::stdin().is_terminal() {
        let line = Zeroizing::new(rpassword::prompt_password(format!("credential for {agent} (not shown): "))?);
        return Ok(trimmed(&line));
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
    Ok(trimmed(&text))
}

fn trimmed(text: &str) -> Secret {
    Secret::from_text(text.trim())
}

fn logout(agent: &AgentName, account: &Account, store: &Store) -> anyhow::Result<ExitCode> {
    let what = AgentRef { agent: agent.clone(), account: account.clone() };
    if !store.remove(agent, account)? {
        bail!("there is no stored login for {what}; `keyslip auth status` lists those there are");
    }
    println!(
        "removed the stored login for {what}; containers that run keep what they have; `keyslip revoke --account {what}` takes it from them"
    );
    Ok(ExitCode::SUCCESS)
}

/// A stored login, for people and programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The agent.
    pub agent: AgentName,
    /// The account.
    pub account: Account,
    /// `valid`, `expiring`, `expired` or `broken`.
    pub state: &'static str,
    /// The credential's kind.
    pub kind: Option<String>,
    /// When it was stored.
    pub created_at: Option<Instant>,
    /// Until when it is valid.
    pub expires_at: Option<Instant>,
    /// What to do, if anything.
    pub advice: Option<String>,
}

/// Every stored login.
pub fn logins(store: &Store, site: &Site) -> anyhow::Result<Vec<Login>> {
    let now = Instant::now();
    let each = |AgentRef { agent, account }: AgentRef| {
        let definition = Definition::find(&agent, &site.config).ok().flatten();
        let (state, kind, stored, problem) = match store.read(&agent, &account) {
            Ok(Some(stored)) => {
                let kind =
                    match &stored.kept { Kept::Here(token) => definition.as_ref().and_then(|it| it.recognise(token)).map(|kind| kind.title.clone()), _ => None };
                (Life::of(stored.expires, now).name(), kind, Some(stored), None)
            }
            Ok(None) => ("broken", None, None, Some("it has just been removed".to_owned())),
            Err(error) => ("broken", None, None, Some(error.to_string())),
        };
        let renew = (state == "expiring" || state == "expired").then(|| definition.map(|it| it.login)).flatten();
        Login {
            agent,
            account,
            state,
            kind,
            created_at: stored.as_ref().map(|stored| stored.created),
            expires_at: stored.and_then(|stored| stored.expires),
            advice: problem.or(renew.map(|login| format!("to renew it, {login}"))),
        }
    };
    Ok(store.list()?.into_iter().map(each).collect())
}

fn status(only: Option<&AgentName>, format: Format, store: &Store, site: &Site) -> anyhow::Result<ExitCode> {
    let mut logins = logins(store, site)?;
    logins.retain(|login| only.is_none_or(|agent| *agent == login.agent));
    if format.json {
        output::json(&logins)?;
    } else if logins.is_empty() {
        println!(
            "no stored login{}; `keyslip auth login AGENT` stores one (agents: {})",
            only.map(|agent| format!(" for {agent}")).unwrap_or_default(),
            agent::built_in_names()
        );
    } else {
        print_logins(&logins);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints logins as a table, then what to do about them.
pub fn print_logins(logins: &[Login]) {
    let now = Instant::now();
    let mut rows = vec![output::row(["AGENT", "ACCOUNT", "STATE", "KIND", "EXPIRES"])];
    for login in logins {
        let expires = match login.expires_at {
            Some(end) if end > now => format!("{end} (in {})", span(end.since(now))),
            Some(end) => format!("{end}"),
            None => "never".to_owned(),
        };
        rows.push(output::row([
            login.agent.as_str(),
            login.account.as_str(),
            login.state,
            login.kind.as_deref().unwrap_or("?"),
            &expires,
        ]));
    }
    output::table(&rows);
    for login in logins {
        if let Some(advice) = &login.advice {
            println!("{} ({}): {advice}", login.agent, login.account);
        }
    }
}
