//! `keyslip list`: containers that hold credentials.

use std::process::ExitCode;

use keyslip::ledger::{Found, Ledger, Liveness, Record, Status, liveness};
use keyslip::site::Site;
use serde::Serialize;

use crate::output::{self, Format};

/// What a container can be.
pub const STATES: [&str; 4] = ["live", "pending", "dead", "unknown"];

/// A container, for people and programs.
#[derive(Debug, Serialize)]
pub struct Sandbox {
    /// One of [`STATES`].
    pub state: &'static str,
    /// What is written down.
    #[serde(flatten)]
    pub record: Record,
}

/// Every container, the oldest first.
pub fn sandboxes(site: &Site) -> Found<Sandbox> {
    let ledger = Ledger::at(&site.runtime);
    let Found { found: mut records, problems } = ledger.records();
    records.sort_by(|one, two| (one.created, &one.id).cmp(&(two.created, &two.id)));
    let found = records.into_iter().map(|record| Sandbox { state: state(&ledger, &record), record }).collect();
    Found { found, problems }
}

fn state(ledger: &Ledger, record: &Record) -> &'static str {
    match liveness(ledger, record) {
        Liveness::Dead => "dead",
        Liveness::Unknown => "unknown",
        Liveness::Alive if record.is_pending() => "pending",
        Liveness::Alive => "live",
    }
}

pub fn run(format: Format, site: &Site) -> anyhow::Result<ExitCode> {
    let Found { found: sandboxes, problems } = sandboxes(site);
    let unread = output::unread(&problems);
    if format.json {
        output::json(&sandboxes)?;
    } else if sandboxes.is_empty() && !unread {
        println!("no container holds a credential");
    } else {
        print(&sandboxes);
    }
    Ok(if unread { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints containers as a table, then their warnings.
pub fn print(sandboxes: &[Sandbox]) {
    let mut rows = vec![output::row(["CONTAINER", "ENGINE", "STATE", "HOLDS", "SINCE"])];
    for Sandbox { state, record } in sandboxes {
        let pending = |status| match status {
            Status::Delivered => "",
            Status::Pending => " (pending)",
            Status::Revoked => " (revoked)",
        };
        let agents = record.agents.iter().map(|agent| {
            let held = agent.held();
            format!("{}@{}{}", held.agent, held.account, pending(agent.status))
        });
        let secrets = record.secrets.iter().map(|secret| format!("secret {}{}", secret.name, pending(secret.status)));
        let holds: Vec<String> = agents.chain(secrets).collect();
        let short: String = match record.container.as_str() {
            "" => "(not started yet)".to_owned(),
            id => id.chars().take(24).collect(),
        };
        rows.push(output::row([&short, &record.engine, state, &holds.join(", "), &record.created.to_string()]));
    }
    output::table(&rows);
    for Sandbox { record, .. } in sandboxes {
        for warning in &record.warnings {
            println!("{}", output::plain(&format!("{:.24}: {warning}", record.container)));
        }
    }
}
