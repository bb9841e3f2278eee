//! `keyslip status`: where you stand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keyslip::agent;
use keyslip::audit::{Problem, problems};
use keyslip::clock::DAY;
use keyslip::config;
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

#[derive(Serialize)]
struct Report {
    configuration: PathBuf,
    store: PathBuf,
    runtime: PathBuf,
    logins: Vec<Login>,
    containers: Vec<Sandbox>,
    problems: Vec<Problem>,
    next: Vec<String>,
}

pub fn run(format: Format, site: &Site) -> anyhow::Result<ExitCode> {
    let config = config::load(&site.config)?;
    let store = store_of(&config, site)?;
    let logins = auth::logins(&config, &store, site)?;
    let Found { found: containers, problems: missing } = list::sandboxes(site);
    let exit = if output::unread(&missing) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    let next = next_steps(&logins, &containers, &site.runtime);
    let report = Report {
        configuration: site.config_file(),
        store: store.dir().to_owned(),
        runtime: site.runtime.clone(),
        logins,
        containers,
        problems: problems(&site.state, &config.audit, DAY),
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

fn next_steps(logins: &[Login], containers: &[Sandbox], runtime: &Path) -> Vec<String> {
    let mut next = Vec::new();
    if logins.is_empty() {
        next.push(format!("store a login: keyslip auth login AGENT (agents: {})", agent::built_in_names()));
    }
    if runtime.exists() && is_memory_backed(runtime).is_ok_and(|memory| !memory) {
        next.push(format!("{} is not on a tmpfs; run `keyslip install tmpfs` as root", runtime.display()));
    }
    if containers.iter().any(|sandbox| sandbox.state == "dead") {
        next.push("some containers ended without a clean-up; `keyslip sweep` removes what they had".to_owned());
    }
    next
}
