//! The command line: log in, look, plan.

#![forbid(unsafe_code)]

mod agents;
mod audit;
mod auth;
mod cdi;
mod cli;
mod credential;
mod doctor;
mod import;
mod inject;
mod install;
mod list;
mod live;
mod maintain;
mod output;
mod place;
mod plan;
mod request;
mod status;
mod uninstall;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, Inner};
use keyslip::journal::sentence;
use keyslip::site::Site;

fn main() -> ExitCode {
    keyslip::sys::conceal();
    // A reader that goes away, as in `keyslip list | head`, ends this program like any other.
    keyslip::sys::end_on_closed_pipe();
    keyslip::sys::wait_for_children();
    // Alone it shows where you stand.
    let alone = Command::Status(output::Format { json: false });
    let done = if Inner::called() { inner(&Inner::parse()) } else { run(Cli::parse().command.unwrap_or(alone)) };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("keyslip: {}", sentence(error.chain()));
            ExitCode::FAILURE
        }
    }
}

fn inner(command: &Inner) -> anyhow::Result<ExitCode> {
    match command {
        Inner::Audit(command) => audit::run(command),
        Inner::Credential(command) => credential::run(command),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    if let Command::Doctor(args) = &command {
        return doctor::run(args);
    }
    let site = Site::here(std::env::var_os("HOME").as_ref().map(Path::new))?;
    match command {
        Command::Auth(command) => auth::run(&command, &site),
        Command::Agents(args) => agents::run(&args, &site),
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
