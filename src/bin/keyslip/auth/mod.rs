//! `keyslip auth`: logging in, and the logins there are.

mod login;
mod logout;
mod refresh;
mod status;
mod switch;
mod ways;

use std::process::ExitCode;

use clap::Subcommand;
use keyslip::config;
use keyslip::names::{Account, AgentName};
use keyslip::site::Site;
use keyslip::source::store_of;

use crate::cli::examples;
use crate::output::Format;

pub use login::Rests;
pub use status::{Login, STATES, logins, print_logins};

#[derive(Subcommand)]
pub enum Auth {
    /// Log in and store the credential.
    ///
    /// In a terminal the agent's own login program is run, and the credential is taken from it. A
    /// credential on standard input is stored as it is.
    #[command(after_help = examples!(
        "keyslip auth login claude",
        "keyslip auth login codex --method device",
        "keyslip auth login claude --account work < FILE",
    ))]
    Login(login::Args),
    /// Choose which account is meant by an agent's name alone.
    #[command(after_help = examples!("keyslip auth switch claude work", "keyslip auth switch claude default"))]
    Switch {
        /// The agent.
        agent: AgentName,
        /// The account; `default` for the one that is stored without a name.
        account: Account,
    },
    /// Renew logins whose refresh token Keyslip alone holds, and bring them into containers that run.
    #[command(after_help = examples!("keyslip auth refresh --due", "keyslip auth refresh codex --account work"))]
    Refresh(refresh::Args),
    /// Show the logins of this host and how long they last.
    #[command(after_help = examples!("keyslip auth status", "keyslip auth status claude --json"))]
    Status {
        /// Only this agent.
        agent: Option<AgentName>,
        #[command(flatten)]
        format: Format,
    },
    /// Remove a login from everywhere it was put, containers that run included.
    #[command(after_help = examples!("keyslip auth logout claude", "keyslip auth logout claude --account work"))]
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
    #[command(after_help = examples!("keyslip auth import forage --dry-run", "keyslip auth import claude --account work"))]
    Import(crate::import::Args),
}

/// Renews what is due, and brings everything into the containers that run; whether all went well.
pub fn refresh_due(site: &Site) -> anyhow::Result<bool> {
    let config = config::load(&site.config)?;
    refresh::due(&config, &store_of(&config, site)?, site)
}

pub fn run(command: &Auth, site: &Site) -> anyhow::Result<ExitCode> {
    let config = config::load(&site.config)?;
    let store = store_of(&config, site)?;
    match command {
        Auth::Login(args) => login::run(args, &config, &store, site),
        Auth::Switch { agent, account } => switch::run(agent, account, &store),
        Auth::Refresh(args) => refresh::run(args, &config, &store, site),
        Auth::Status { agent, format } => status::run(agent.as_ref(), *format, &config, &store, site),
        Auth::Logout { agent, account } => logout::run(agent, account, &config, &store, site),
        Auth::Import(args) => crate::import::run(args, config, &store, site),
    }
}
