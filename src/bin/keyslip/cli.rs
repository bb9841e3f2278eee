//! What can be typed: the commands, with their help. Man pages and completions are made from it (`manual.rs`).

use clap::{Parser, Subcommand};

use crate::{agents, audit, auth, cdi, credential, doctor, inject, install, live, output, plan, request, uninstall};

/// The examples below a command's help, one line each. Man pages have them too, and a test parses them.
macro_rules! examples {
    ($($line:literal),+ $(,)?) => { concat!("Examples:" $(, "\n  ", $line)+) };
}
pub(crate) use examples;

/// Put an AI coding agent's credential into its sandbox.
///
/// Log in once on the host; every container that asks, under any engine, starts authenticated. Without a command it shows
/// where you stand, as `keyslip status` does.
///
/// Exit code 0: done, 1: failed, 2: wrong usage; `plan` and `doctor` have more.
#[derive(Parser)]
#[command(
    version,
    after_help = examples!(
        "keyslip",
        "keyslip auth login claude",
        "keyslip install podman",
        "podman run -it --annotation dev.keyslip.agents=claude IMAGE",
        "keyslip list",
    )
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Log in; show, switch, renew, import and remove logins.
    #[command(subcommand, after_help = examples!("keyslip auth login claude", "keyslip auth status"))]
    Auth(auth::Auth),
    /// List the agents: what each takes, how it is recognised, where it goes, how to log in.
    #[command(after_help = examples!("keyslip agents", "keyslip agents claude", "keyslip agents --json | jq .[].name"))]
    Agents(agents::Args),
    /// Show what a bundle would get, without doing anything and without showing a value.
    ///
    /// Exit code 0: it would start, 1: failed, 3: denied by a rule, 4: a credential is missing.
    #[command(after_help = examples!(
        "keyslip plan --bundle JOB",
        "keyslip plan -v --bundle JOB --engine podman",
    ))]
    Plan(plan::Args),
    /// List the containers that hold credentials.
    #[command(after_help = examples!("keyslip list", "keyslip list --json | jq -r .[].container"))]
    List(output::Format),
    /// Show where you stand: engines, logins, containers, warnings, what to do next.
    #[command(after_help = examples!("keyslip status", "keyslip status --json | jq .counts"))]
    Status(output::Format),
    /// Find what is wrong with this installation, and say what to do.
    ///
    /// Reads only, unless --probe is given. Exit code 0: in order, 1: warnings, 2: something is broken.
    #[command(after_help = examples!("keyslip doctor", "keyslip doctor --probe", "keyslip doctor --probe podman --json"))]
    Doctor(doctor::Args),
    /// Prepare a bundle for a bare `crun run` or `runc run`, without a shim.
    #[command(after_help = examples!("keyslip inject --bundle JOB --agent claude && crun run --bundle JOB job"))]
    Inject(inject::Args),
    /// Print a path whose bind mount asks for an agent, for engines without annotations.
    #[command(after_help = examples!(
        "podman run -v $(keyslip request claude):/request:ro IMAGE",
        "docker run --runtime keyslip -v $(keyslip request --secret github):/request:ro IMAGE",
    ))]
    Request(request::Args),
    /// Bring new logins and changed secret files into containers that run.
    #[command(after_help = examples!("keyslip sync", "keyslip auth login claude && keyslip sync"))]
    Sync(output::Format),
    /// Take credentials away from containers that run.
    #[command(after_help = examples!("keyslip revoke --account claude@work", "keyslip revoke 3f9c"))]
    Revoke(live::RevokeArgs),
    /// Remove what is left of containers that are gone.
    #[command(after_help = examples!("keyslip sweep"))]
    Sweep(output::Format),
    /// Renew what is due, synchronise and sweep, and warn of logins that end soon.
    ///
    /// What keyslip-refresh.timer runs. Of a login that somebody has to renew it warns once a day. Exit code 1: something
    /// was not done.
    #[command(after_help = examples!("keyslip maintain"))]
    Maintain,
    /// Offer agents as devices of the Container Device Interface.
    #[command(subcommand, after_help = examples!("keyslip cdi generate"))]
    Cdi(cdi::Cdi),
    /// Set engines up, and prepare this host.
    #[command(subcommand, after_help = examples!("keyslip install podman", "keyslip install docker --dry-run"))]
    Install(install::Install),
    /// Leave engines as they were before `install`, byte for byte.
    #[command(after_help = examples!("keyslip uninstall podman", "keyslip uninstall --all --dry-run"))]
    Uninstall(uninstall::Args),
}

/// What the runtime shim and the hooks call; people do not, so no help and no completion has it.
#[derive(Parser)]
#[command(name = "keyslip")]
pub enum Inner {
    /// Write a line of the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Answer a question about keyrings and credential helpers.
    #[command(subcommand)]
    Credential(credential::Credential),
}

impl Inner {
    /// Whether one of them was called.
    pub fn called() -> bool {
        std::env::args_os().nth(1).is_some_and(|name| Self::has_subcommand(&name.to_string_lossy()))
    }
}
