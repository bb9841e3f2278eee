//! The command line: log in, look, plan.

#![forbid(unsafe_code)]

mod agents;
mod audit;
mod auth;
mod cdi;
mod credential;
mod doctor;
mod import;
mod inject;
mod install;
mod list;
mod live;
mod maintain;
mod output;
mod plan;
mod request;
mod status;
mod uninstall;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use keyslip::journal::sentence;
use keyslip::site::Site;

/// Puts an AI coding agent's credential into its sandbox. Log in once on the host; every container
/// that asks, under any engine, starts authenticated.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage; `plan` also 3 denied, 4 credential missing; `doctor` 1 \
                  warnings, 2 something is broken."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Log in; show, switch, renew, import and remove logins.
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Write a line of the audit log for the runtime shim and the hooks.
    #[command(subcommand, hide = true)]
    Audit(audit::Audit),
    /// List the agents: what each takes, how it is recognised, where it goes, how to log in.
    Agents(agents::Args),
    /// Answer questions of the runtime shim and the hooks about keyrings and credential helpers.
    #[command(subcommand, hide = true)]
    Credential(credential::Credential),
    /// Show what a bundle would get, without doing anything and without showing a value.
    Plan(plan::Args),
    /// List the containers that hold credentials.
    List(output::Format),
    /// Show where you stand: logins, containers, warnings, what to do next.
    Status(output::Format),
    /// Find what is wrong with this installation, and say what to do.
    ///
    /// Reads only, unless --probe is given. Exit code 0: in order, 1: warnings, 2: something is broken.
    Doctor(doctor::Args),
    /// Prepare a bundle for a bare `crun run` or `runc run`, without a shim.
    ///
    /// Example: keyslip inject --bundle . --agent claude && crun run job
    Inject(inject::Args),
    /// Print a path whose bind mount asks for an agent, for engines without annotations.
    ///
    /// Example: podman run -v $(keyslip request claude):/request:ro IMAGE
    Request(request::Args),
    /// Bring new logins and changed secret files into containers that run.
    Sync(output::Format),
    /// Take credentials away from containers that run.
    ///
    /// Example: keyslip revoke --account claude@work
    Revoke(live::RevokeArgs),
    /// Remove what is left of containers that are gone.
    Sweep(output::Format),
    /// Renew what is due, synchronise and sweep, and warn of logins that end soon.
    ///
    /// What keyslip-refresh.timer runs. Of a login that somebody has to renew it warns once a day. Exit code 1: something
    /// was not done.
    Maintain,
    /// Offer agents as devices of the Container Device Interface.
    #[command(subcommand)]
    Cdi(cdi::Cdi),
    /// Set engines up, and prepare this host.
    #[command(subcommand)]
    Install(install::Install),
    /// Leave engines as they were before `install`, byte for byte.
    Uninstall(uninstall::Args),
}

fn main() -> ExitCode {
    keyslip::sys::conceal();
    // A reader that goes away, as in `keyslip list | head`, ends this program like any other.
    keyslip::sys::end_on_closed_pipe();
    keyslip::sys::wait_for_children();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("keyslip: {}", sentence(error.chain()));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match &command {
        Command::Credential(command) => return credential::run(command),
        Command::Audit(command) => return audit::run(command),
        Command::Doctor(args) => return doctor::run(args),
        _ => {}
    }
    let site = Site::here(std::env::var_os("HOME").as_ref().map(Path::new))?;
    match command {
        Command::Auth(command) => auth::run(&command, &site),
        Command::Audit(command) => audit::run(&command),
        Command::Agents(args) => agents::run(&args, &site),
        Command::Credential(command) => credential::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Plan(args) => plan::run(&args, &site),
        Command::List(format) => list::run(format, &site),
        Command::Status(format) => status::run(format, &site),
        Command::Inject(args) => inject::run(&args, &site),
        Command::Request(args) => request::run(&args, &site),
        Command::Sync(format) => live::sync(format, &site),
        Command::Revoke(args) => live::revoke(&args, &site),
        Command::Sweep(format) => live::sweep(format, &site),
        Command::Maintain => maintain::run(&site),
        Command::Cdi(command) => cdi::run(&command, &site),
        Command::Install(command) => install::run(&command, &site),
        Command::Uninstall(args) => uninstall::run(&args, &site),
    }
}
