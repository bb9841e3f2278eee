//! `keyslip auth status`.

use std::process::ExitCode;

use keyslip::agent::{self, Definition};
use keyslip::clock::{DAY, Instant, span};
use keyslip::config::{Config, Passthrough};
use keyslip::journal::Journal;
use keyslip::names::{Account, AgentName, AgentRef};
use keyslip::site::Site;
use keyslip::source::{self, Life, Store};
use serde::Serialize;

use crate::output::{self, Format};

/// What a login can be.
pub const STATES: [&str; 5] = ["valid", "expiring", "expired", "unavailable", "broken"];

/// A login, for people and programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The agent.
    pub agent: AgentName,
    /// The account.
    pub account: Account,
    /// The agent's name alone means this account.
    pub selected: bool,
    /// One of [`STATES`].
    pub state: &'static str,
    /// The credential's kind.
    pub kind: Option<String>,
    /// Where it rests: `file`, `keyring`, `keychain`, `encrypted`, or `host` for the login of the host's own client.
    pub store: &'static str,
    /// `keyslip auth refresh` renews it.
    pub renewable: bool,
    /// When it was stored.
    pub created_at: Option<Instant>,
    /// Until when it is valid.
    pub expires_at: Option<Instant>,
    /// Whole days until then; negative when it is over.
    pub days_left: Option<i64>,
    /// What to do, if anything.
    pub advice: Option<String>,
}

/// Every login of this host.
pub fn logins(config: &Config, store: &Store, site: &Site) -> anyhow::Result<Vec<Login>> {
    let mut all: Vec<Login> =
        store.list()?.into_iter().filter_map(|login| stored(login, config, store, site)).collect();
    for agent in agent::built_in() {
        if !all.iter().any(|login| login.agent == agent && login.account.is_default()) {
            all.extend(of_host(agent, config, store, site));
        }
    }
    for login in &mut all {
        let name = AgentRef { agent: login.agent.clone(), account: Account::default() };
        login.selected = store.resolve(&name).is_ok_and(|account| account == login.account);
    }
    all.sort_by(|one, two| (&one.agent, &one.account).cmp(&(&two.agent, &two.account)));
    Ok(all)
}

/// A stored login; nothing if it has been removed since it was listed.
fn stored(AgentRef { agent, account }: AgentRef, config: &Config, store: &Store, site: &Site) -> Option<Login> {
    let definition = Definition::find(&agent, &site.config).ok().flatten();
    let mut login = Login {
        agent,
        account,
        selected: false,
        state: "broken",
        kind: None,
        store: "file",
        renewable: false,
        created_at: None,
        expires_at: None,
        days_left: None,
        advice: None,
    };
    let entry = match store.read(&login.agent, &login.account) {
        Ok(entry) => entry?,
        Err(error) => return Some(Login { advice: Some(error.to_string()), ..login }),
    };
    let life = Life::of(entry.expires, Instant::now());
    login.store = entry.kept.backend();
    login.renewable = entry.renewable;
    login.created_at = Some(entry.created);
    login.expires_at = entry.expires;
    login.days_left = days_left(entry.expires);
    login.state = life.name();
    match source::open(&entry, (&login.agent, &login.account), store, config, site) {
        Ok(value) => {
            let kind = definition.as_ref().and_then(|it| it.recognise(&value));
            login.kind = kind.map(|kind| kind.title.clone());
        }
        Err(_) if store.has_changed(&login.agent, &login.account, &entry) => {
            return stored(AgentRef { agent: login.agent, account: login.account }, config, store, site);
        }
        Err(why) => {
            login.state = "unavailable";
            login.advice = Some(why);
            return Some(login);
        }
    }
    let at_its_end = match life {
        Life::Expired { .. } => true,
        Life::Expiring { .. } => !entry.renewable,
        Life::Valid { .. } => false,
    };
    if at_its_end {
        login.advice = if entry.renewable {
            Some("to renew it, run `keyslip auth refresh`".to_owned())
        } else {
            definition.map(|it| format!("to renew it, {}{}", it.login, with_account(&login.account)))
        };
    }
    Some(login)
}

fn days_left(expires: Option<Instant>) -> Option<i64> {
    expires.map(|end| end.since(Instant::now()).div_euclid(DAY))
}

fn with_account(account: &Account) -> String {
    if account.is_default() { String::new() } else { format!(" (with --account {account})") }
}

/// The login of the host's own client, if containers would get it.
fn of_host(agent: AgentName, config: &Config, store: &Store, site: &Site) -> Option<Login> {
    if config.passthrough == Passthrough::Off {
        return None;
    }
    let definition = Definition::find(&agent, &site.config).ok().flatten()?;
    let name = AgentRef { agent: agent.clone(), account: Account::default() };
    let look = source::Look { agent: &name, definition: Some(&definition), config, site };
    let found = look.of_host_alone(store, &mut Journal::default())?;
    let kind = definition.recognise(&found.value).map(|kind| kind.title.clone());
    Some(Login {
        agent,
        account: Account::default(),
        selected: false,
        state: Life::of(found.expires, Instant::now()).name(),
        kind,
        store: "host",
        renewable: false,
        created_at: None,
        expires_at: found.expires,
        days_left: days_left(found.expires),
        advice: None,
    })
}

pub fn run(
    only: Option<&AgentName>,
    format: Format,
    config: &Config,
    store: &Store,
    site: &Site,
) -> anyhow::Result<ExitCode> {
    let mut logins = logins(config, store, site)?;
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
    let mut rows = vec![output::row(["AGENT", "ACCOUNT", "STATE", "STORE", "KIND", "EXPIRES"])];
    for login in logins {
        let expires = match login.expires_at {
            _ if login.state == "broken" => "?".to_owned(),
            Some(end) if end > now => format!("{end} (in {})", span(end.since(now))),
            Some(end) => format!("{end}"),
            None => "never".to_owned(),
        };
        let several = logins.iter().filter(|other| other.agent == login.agent).count() > 1;
        let mark = if several && login.selected { "*" } else { "" };
        rows.push(output::row([
            login.agent.as_str(),
            &format!("{}{mark}", login.account),
            login.state,
            login.store,
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
