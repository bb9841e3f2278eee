//! `keyslip status`: where you stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keyslip::agent;
use keyslip::audit::{Problem, problems};
use keyslip::clock::{DAY, Instant};
use keyslip::config;
use keyslip::engine::{Engine, Mode, Receipt, receipts};
use keyslip::ledger::Found;
use keyslip::site::Site;
use keyslip::source::store_of;
use keyslip::sys::is_memory_backed;
use serde::Serialize;

use crate::auth::{self, Login};
use crate::list::{self, Sandbox};
use crate::output::{self, Format};

/// Most problems shown to people; JSON has all of them.
const SHOWN: usize = 10;

/// Everything; what somebody is to be alerted of is in `counts` and, for each login, in `daysLeft`.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    time: Instant,
    counts: Counts,
    engines: Vec<Installed>,
    configuration: PathBuf,
    store: PathBuf,
    runtime: PathBuf,
    logins: Vec<Login>,
    containers: Vec<Sandbox>,
    problems: Vec<Problem>,
    next: Vec<String>,
}

/// An engine that Keyslip was installed for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Installed {
    engine: Engine,
    mode: Mode,
    /// The engine's version at that time.
    version: Option<String>,
    installed_at: Instant,
    /// The installation was cut short.
    pending: bool,
}

/// How many there are of what.
#[derive(Serialize)]
struct Counts {
    containers: BTreeMap<&'static str, usize>,
    logins: BTreeMap<&'static str, usize>,
    /// Refused in the last day.
    denied: usize,
    /// Failed in the last day.
    failed: usize,
}

/// How many there are in each of `states`, those with none included.
fn count<'a>(states: &[&'static str], seen: impl Iterator<Item = &'a str> + Clone) -> BTreeMap<&'static str, usize> {
    states.iter().map(|state| (*state, seen.clone().filter(|it| it == state).count())).collect()
}

impl From<Receipt> for Installed {
    fn from(Receipt { engine, mode, version, installed_at, pending, .. }: Receipt) -> Self {
        Self { engine, mode, version, installed_at, pending }
    }
}

impl Counts {
    fn of(logins: &[Login], containers: &[Sandbox], problems: &[Problem]) -> Self {
        let events = |event: &str| problems.iter().filter(|problem| problem.event == event).count();
        Self {
            containers: count(&list::STATES, containers.iter().map(|sandbox| sandbox.state)),
            logins: count(&auth::STATES, logins.iter().map(|login| login.state)),
            denied: events("denied"),
            failed: events("failed"),
        }
    }
}

pub fn run(format: Format, site: &Site) -> anyhow::Result<ExitCode> {
    let config = config::load(&site.config)?;
    let store = store_of(&config, site)?;
    let logins = auth::logins(&config, &store, site)?;
    let Found { found: containers, problems: missing } = list::sandboxes(site);
    let exit = if output::unread(&missing) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    let engines: Vec<Installed> = receipts(site).into_iter().map(Installed::from).collect();
    let next = next_steps(&engines, &logins, &containers, &site.runtime);
    let problems = problems(&site.state, &config.audit, DAY);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        time: Instant::now(),
        counts: Counts::of(&logins, &containers, &problems),
        engines,
        configuration: site.config_file(),
        store: store.dir().to_owned(),
        runtime: site.runtime.clone(),
        logins,
        containers,
        problems,
        next,
    };
    if format.json {
        output::json(&report)?;
        return Ok(exit);
    }
    let missing = |path: &Path| if path.exists() { "" } else { " (not there)" };
    for (what, path) in
        [("configuration", &report.configuration), ("store", &report.store), ("runtime", &report.runtime)]
    {
        println!("{what:13}  {}{}", path.display(), missing(path));
    }
    if !report.engines.is_empty() {
        let shown = report.engines.iter().map(|it| format!("{} ({})", it.engine, it.mode));
        println!("{:13}  {}", "engines", shown.collect::<Vec<_>>().join(", "));
    }
    if !report.logins.is_empty() {
        println!();
        auth::print_logins(&report.logins);
    }
    if !report.containers.is_empty() {
        println!();
        list::print(&report.containers);
    }
    if !report.problems.is_empty() {
        println!("\nrefused or failed in the last day:");
    }
    for Problem { time, event, engine, container, reason } in report.problems.iter().rev().take(SHOWN) {
        let container = if container.is_empty() { "a container" } else { container };
        println!("{time}  {event}  {engine}  {container:.24}  {}", reason.as_deref().unwrap_or("the runtime said why"));
    }
    if !report.next.is_empty() {
        println!();
    }
    for step in &report.next {
        println!("next: {step}");
    }
    Ok(exit)
}

fn next_steps(engines: &[Installed], logins: &[Login], containers: &[Sandbox], runtime: &Path) -> Vec<String> {
    let mut next = Vec::new();
    if logins.is_empty() {
        next.push(format!("store a login: keyslip auth login AGENT (agents: {})", agent::built_in_names()));
    }
    for Installed { engine, .. } in engines.iter().filter(|it| it.pending) {
        next.push(format!("the installation for {engine} was cut short; `keyslip install {engine}` finishes it"));
    }
    if engines.is_empty() && containers.is_empty() {
        next.push(format!(
            "tell an engine: keyslip install ENGINE (engines: {})",
            Engine::ALL.map(Engine::name).join(", ")
        ));
    }
    if runtime.exists() && is_memory_backed(runtime).is_ok_and(|memory| !memory) {
        next.push(format!("{} is not on a tmpfs; run `keyslip install tmpfs` as root", runtime.display()));
    }
    if containers.iter().any(|sandbox| sandbox.state == "dead") {
        next.push("some containers ended without a clean-up; `keyslip sweep` removes what they had".to_owned());
    }
    next
}
