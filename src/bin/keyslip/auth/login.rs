//! `keyslip auth login`: get a credential, make sure that it is one, put it to rest.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use keyslip::agent::{
    self, Definition, Kind, Method, expires_at, has_refresh_token, is_renewed_inside, only_the_login, unwrap,
    without_refresh_token,
};
use keyslip::cdi;
use keyslip::clock::{DAY, Instant, span};
use keyslip::config::{Backend, Config};
use keyslip::names::{Account, AgentName, AgentRef};
use keyslip::secret::Secret;
use keyslip::site::{Site, Whose};
use keyslip::source::{Custody, Entry, Kept, Life, Store};

use super::ways;

/// Where to put a login.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Rests {
    /// In a file, mode 0600.
    File,
    /// In the keyring of the desktop session, or the macOS keychain where one is configured.
    Keyring,
    /// In a file, sealed by systemd-creds.
    Encrypted,
    /// In the keyring if it is reachable and unlocked, else in a file.
    Auto,
}

#[derive(clap::Args)]
pub struct Args {
    /// The agent: claude, codex, gemini, …
    agent: AgentName,
    /// The credential. Better leave it out: arguments are seen by every user of this host.
    token: Option<String>,
    /// Which of several accounts.
    #[arg(long, default_value_t)]
    account: Account,
    /// How to log in; without a name, the list of what this agent supports.
    #[arg(long, num_args = 0..=1, default_missing_value = "list", value_name = "NAME")]
    method: Option<String>,
    /// Where to keep it; else what the configuration says.
    #[arg(long, value_enum)]
    store: Option<Rests>,
}

/// A credential, and whether it has a refresh token that nobody else holds.
pub struct Got {
    pub value: Secret,
    pub sole: bool,
    /// It must be of this kind.
    pub kind: Option<String>,
}

pub fn run(args: &Args, config: &Config, store: &Store, site: &Site) -> anyhow::Result<ExitCode> {
    let Some(definition) = Definition::find(&args.agent, &site.config)? else {
        return Err(agent::Error::Unknown(args.agent.clone(), site.config.join("agents.d")).into());
    };
    if args.method.as_deref() == Some("list") {
        list(&definition);
        return Ok(ExitCode::SUCCESS);
    }
    let custody = Custody::new(store, config, site);
    let wanted = args.store.map_or(config.backend, Backend::from);
    // Known before anybody logs in: a login that cannot be kept would be lost.
    let (rests, why) = custody.choose(wanted)?;
    let got = get(args, &definition, config, store, site)?;
    let (kind, value) = recognise(&definition, &got)?;
    check_whole(kind, &value)?;
    let (left_out, mut value) = only_the_login(kind, value);
    let has_token = has_refresh_token(kind, &value);
    let reusable = kind.refresh.as_ref().is_some_and(|refresh| refresh.reusable);
    let renewable = has_token && (got.sole || reusable);
    let shared = has_token && !renewable;
    if shared {
        value = without_refresh_token(kind, value)
            .context("its refresh token cannot be taken out, as it is no JSON object. Nothing was stored")?;
    }
    let created = Instant::now();
    let expires = end_of(kind, &value, created, &definition)?;
    let entry = custody.put((&args.agent, &args.account), &value, (created, expires, renewable), rests)?;
    report(args, kind, &entry, why.as_deref(), store, site);
    if !left_out.is_empty() {
        println!("what stands beside it in the same file was left out: {}", left_out.join(", "));
    }
    if shared {
        println!(
            "its refresh token was left out: it can be used once, and the program that made this login has it too; \
             `keyslip auth login {} --method` lists ways to a login of its own",
            args.agent
        );
    }
    Ok(ExitCode::SUCCESS)
}

impl From<Rests> for Backend {
    fn from(rests: Rests) -> Self {
        match rests {
            Rests::File => Self::File,
            Rests::Keyring => Self::Keyring,
            Rests::Encrypted => Self::Encrypted,
            Rests::Auto => Self::Auto,
        }
    }
}

fn list(definition: &Definition) {
    for (index, method) in definition.methods.iter().enumerate() {
        let default = if index == 0 { " (the default)" } else { "" };
        println!("{:10} {}{default}", method.name, method.title);
    }
    println!(
        "{:10} any credential it takes, from standard input or a hidden prompt: {}",
        ways::PASTE,
        definition.kinds_text()
    );
}

/// Gets the credential in the way that was asked for, or in the one that fits.
fn get(args: &Args, definition: &Definition, config: &Config, store: &Store, site: &Site) -> anyhow::Result<Got> {
    if let Some(token) = &args.token {
        eprintln!(
            "warning: the credential was an argument, which every user of this host can see; leave it out and paste it instead"
        );
        return Ok(Got { value: Secret::from_text(token.trim()), sole: false, kind: None });
    }
    let method = match args.method.as_deref() {
        Some(ways::PASTE) => None,
        Some(name) => Some(named(definition, name)?),
        // Something is piped in.
        None if !std::io::stdin().is_terminal() => None,
        None => definition.methods.first(),
    };
    let asked = args.method.is_some();
    match method {
        Some(method) if method.host => ways::of_host(definition, method, config, store),
        Some(method) if !method.command.is_empty() => ways::by_program(&args.agent, definition, method, asked, site),
        _ => ways::ask(&args.agent, method),
    }
}

fn named<'a>(definition: &'a Definition, name: &str) -> anyhow::Result<&'a Method> {
    let found = definition.methods.iter().find(|method| method.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = definition.methods.iter().map(|method| method.name.as_str()).collect();
        anyhow::anyhow!("{} has no login method {name}; it has {}, {}", definition.title, names.join(", "), ways::PASTE)
    })
}

fn recognise<'a>(definition: &'a Definition, got: &Got) -> anyhow::Result<(&'a Kind, Secret)> {
    match (unwrap(definition, &got.value), &got.kind) {
        (None, None) => bail!(
            "this is no credential that {} takes; it takes {}. Nothing was stored",
            definition.title,
            definition.kinds_text()
        ),
        (Some(known), None) => Ok(known),
        (Some(known), Some(wanted)) if known.0.name == *wanted => Ok(known),
        (_, Some(wanted)) => {
            let wanted = definition.kinds.iter().find(|kind| kind.name == *wanted);
            let title = wanted.map_or("credential", |kind| kind.title.as_str());
            let prefix = wanted.and_then(|kind| kind.recognise.prefix.as_deref());
            let form = prefix.map(|prefix| format!(" ({prefix}…)")).unwrap_or_default();
            bail!("this is no {title}{form} of {}. Nothing was stored", definition.title)
        }
    }
}

/// A token is one piece: a variable cannot carry it otherwise, and the container would not start.
fn check_whole(kind: &Kind, value: &Secret) -> anyhow::Result<()> {
    let Some(prefix) = &kind.recognise.prefix else { return Ok(()) };
    if value.len() == prefix.len() || !value.expose().iter().all(u8::is_ascii_graphic) {
        bail!(
            "this {} is cut off or has white space in it, as a copy from a narrow window has; copy it again. Nothing was stored",
            kind.title
        );
    }
    Ok(())
}

/// Until when the credential is valid. One that has ended is not stored.
fn end_of(kind: &Kind, value: &Secret, now: Instant, definition: &Definition) -> anyhow::Result<Option<Instant>> {
    let said = expires_at(kind, value);
    if kind.expires.is_some() && said.is_none() && !is_renewed_inside(kind, value) {
        bail!("this {} does not say until when it is valid; {}. Nothing was stored", kind.title, definition.login);
    }
    let lifetime = kind.lifetime_days.map(|days| Instant(now.0 + i64::from(days) * DAY));
    let expires = said.or(lifetime);
    if let Life::Expired { since } = Life::of(expires, now) {
        bail!("this {} expired {} ago; {}. Nothing was stored", kind.title, span(since), definition.login);
    }
    Ok(expires)
}

fn report(args: &Args, kind: &Kind, entry: &Entry, why: Option<&str>, store: &Store, site: &Site) {
    let login = AgentRef { agent: args.agent.clone(), account: args.account.clone() };
    let place = match &entry.kept {
        Kept::Here(_) => store.path(&args.agent, &args.account).display().to_string(),
        Kept::Keyring(_) => "the keyring".to_owned(),
        Kept::Keychain(_) => "the macOS keychain".to_owned(),
        Kept::Encrypted(_) => format!("{}, sealed by systemd-creds", store.path(&args.agent, &args.account).display()),
    };
    let until = entry.expires.map_or("it does not expire".to_owned(), |end| format!("valid until {end}"));
    println!("stored the {} for {login} in {place}; {until}", kind.title);
    if let Some(why) = why {
        println!("--store auto chose {}: {why}", entry.kept.backend());
    }
    if matches!(entry.kept, Kept::Keyring(_) | Kept::Keychain(_)) {
        println!(
            "containers that start before you have logged in and unlocked the keyring start without it; `keyslip sync` brings \
             it then, and --store file has it at any time"
        );
    }
    if entry.renewable && entry.expires.is_some() {
        println!("`keyslip auth refresh --due` renews it; the timer keyslip-refresh.timer runs that");
    }
    if let Some(path) = cdi::lacking(site, &login) {
        let account = if site.whose == Whose::System { String::new() } else { format!(" --account {}", args.account) };
        println!(
            "engines do not know it as a device yet: {} has none for it; `keyslip cdi generate{account}`{} adds it",
            path.display(),
            if path == cdi::path(site) { "" } else { " as root" },
        );
    }
    let system = site.whose == Whose::System;
    if system && store.keeper().user.is_none() && std::env::var_os("SUDO_UID").is_some() {
        println!("this is root's login, for root's engines; rootless engines of a user use that user's own");
    }
}
