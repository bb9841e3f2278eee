//! `keyslip sync`, `revoke` and `sweep`: containers that run, and what is left of those that do not.

use std::process::ExitCode;

use anyhow::bail;
use keyslip::audit::{self, Entry, Event};
use keyslip::config;
use keyslip::ledger::{Found, Ledger, Liveness, Record, liveness};
use keyslip::lifetime::{self, Change, Revoked, Swept, Synced};
use keyslip::names::AgentRef;
use keyslip::site::Site;
use keyslip::source::Origin;

use crate::output::{self, Format};

/// Which containers, or which login, to revoke.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// A container: its id, or the beginning of it.
    container: Option<String>,
    /// Every container that holds this login: AGENT or AGENT@ACCOUNT.
    #[arg(long)]
    account: Option<AgentRef>,
}

#[derive(clap::Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    format: Format,
}

fn live(ledger: &Ledger) -> Found<Record> {
    let mut records = ledger.records();
    records.found.retain(|record| liveness(ledger, record) != Liveness::Dead);
    records
}

/// Brings the store's state into every container that runs, and says so.
pub fn sync(format: Format, site: &Site) -> anyhow::Result<ExitCode> {
    let Found { found: results, problems } = sync_all(site)?;
    let unread = output::unread(&problems);
    let failed = unread || results.iter().any(|synced| !synced.problems.is_empty());
    if format.json {
        output::json(&results)?;
    } else if results.is_empty() && !unread {
        println!("no container holds a credential");
    } else {
        print_synced(&results);
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// By the audit rules that hold now, whatever held when it was made.
fn sync_one(
    ledger: &Ledger,
    record: &mut Record,
    config: &config::Config,
    site: &Site,
) -> Result<Synced, lifetime::Error> {
    record.audit.clone_from(&config.audit);
    lifetime::sync(ledger, record, config, site)
}

/// Brings the store's state into every container that runs.
pub fn sync_all(site: &Site) -> anyhow::Result<Found<Synced>> {
    let config = config::load(&site.config)?;
    let ledger = Ledger::at(&site.runtime);
    let mut results: Vec<Synced> = Vec::new();
    let Found { found, mut problems } = live(&ledger);
    for record in found {
        // What another command has just changed is read again.
        let _changing = ledger.change(&record.id);
        let mut record = match Record::read(&ledger.sandbox(&record.id)) {
            Ok(record) => record,
            Err(error) => {
                problems.extend((!error.is_missing()).then_some(error));
                continue;
            }
        };
        let synced = sync_one(&ledger, &mut record, &config, site).unwrap_or_else(|error| Synced {
            container: record.container.clone(),
            problems: vec![error.to_string()],
            ..Synced::default()
        });
        for problem in &synced.problems {
            let _ = Entry::of(Event::Failed, &record).because(problem).write(&site.state, &config.audit);
        }
        results.push(synced);
    }
    Ok(Found { found: results, problems })
}

/// Prints what became of containers.
pub fn print_synced(results: &[Synced]) {
    for Synced { container, changes, old_env, reasons, problems } in results {
        for (what, change) in changes {
            let text = match change {
                Change::Current => "is current",
                Change::Updated => "was updated",
                Change::Filled => "was pending and is delivered now",
                Change::Pending => "is still pending",
                Change::Kept => "is kept as it is; `keyslip revoke` takes it away",
                Change::OwnLogin => "was pending and has a login of its own now; it is left alone",
                Change::Revoked => "was revoked and is left alone",
            };
            println!("{container:.24}: {what} {text}");
        }
        if !old_env.is_empty() {
            println!(
                "{container:.24}: processes that run keep the old {}; restart it to change that",
                old_env.join(", ")
            );
        }
        for line in reasons.iter().chain(problems) {
            println!("{}", output::plain(&format!("{container:.24}: {line}")));
        }
    }
}

/// Takes credentials away from containers that run.
pub fn revoke(args: &RevokeArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let ledger = Ledger::at(&site.runtime);
    let Found { found: mut records, problems } = live(&ledger);
    let unread = output::unread(&problems);
    if let Some(prefix) = &args.which.container {
        records.retain(|record| record.container.starts_with(prefix.as_str()));
        let exact = records.iter().any(|record| record.container == *prefix);
        records.retain(|record| !exact || record.container == *prefix);
        match records.len() {
            0 => bail!("no container {prefix} holds a credential; `keyslip list` shows those that do"),
            1 => {}
            _ => bail!("{prefix} is the beginning of several containers' ids; give more of it"),
        }
    }
    let wanted = |name: Option<&AgentRef>| args.which.account.as_ref().is_none_or(|account| name == Some(account));
    let done = revoke_from(&ledger, records, wanted, site);
    for problem in &done.problems {
        eprintln!("keyslip: {problem}");
    }
    if args.format.json {
        output::json(&done.results)?;
    } else if done.results.is_empty() && !unread {
        println!("no container that runs holds it");
    } else {
        print_revoked(&done.results);
    }
    Ok(if done.problems.is_empty() && !unread { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was taken away, and where that failed.
pub struct Done {
    pub results: Vec<Revoked>,
    pub problems: Vec<String>,
}

/// Takes a login away from every container that holds it.
pub fn revoke_login(ledger: &Ledger, login: &AgentRef, site: &Site) -> Done {
    let Found { found: mut records, problems } = live(ledger);
    // What the host's own client has logged in with is not this login, whatever its name.
    records.retain(|record| {
        record.agents.iter().any(|agent| agent.held() == *login && agent.origin != Some(Origin::HostLogin))
    });
    let mut done = revoke_from(ledger, records, |name| name == Some(login), site);
    done.problems.extend(problems.iter().map(ToString::to_string));
    done
}

fn revoke_from(ledger: &Ledger, records: Vec<Record>, wanted: impl Fn(Option<&AgentRef>) -> bool, site: &Site) -> Done {
    let mut done = Done { results: Vec::new(), problems: Vec::new() };
    for record in records {
        let _changing = ledger.change(&record.id);
        let mut record = match Record::read(&ledger.sandbox(&record.id)) {
            Ok(record) => record,
            Err(error) if error.is_missing() => continue,
            Err(error) => {
                done.problems.push(format!("{:.24}: {error}", record.container));
                continue;
            }
        };
        let before = record.clone();
        // One container must not keep the others from being revoked.
        let revoked = match lifetime::revoke(ledger, &mut record, &wanted) {
            Ok(revoked) => revoked,
            Err(error) => {
                done.problems.push(format!("{:.24}: {error}", record.container));
                continue;
            }
        };
        if !revoked.taken.is_empty() {
            if let Err(error) = taken(&before, &record).write(&site.state, &record.audit) {
                done.problems.push(format!("{:.24}: {error}", record.container));
            }
            done.results.push(revoked);
        }
    }
    done
}

/// The line about what `before` has and `after` has no more.
fn taken<'a>(before: &'a Record, after: &Record) -> Entry<'a> {
    let mut line = Entry::new(Event::Revoked, &before.engine, &before.container);
    for (had, _) in before.agents.iter().zip(&after.agents).filter(|(had, has)| had.status != has.status) {
        line = line.agent(&had.agent, had.login.as_ref().unwrap_or(&had.account), had.fingerprint.as_deref());
    }
    for (had, _) in before.secrets.iter().zip(&after.secrets).filter(|(had, has)| had.status != has.status) {
        line = line.secret(&had.name);
    }
    line
}

/// Prints what was taken away, and what nobody can take away.
pub fn print_revoked(results: &[Revoked]) {
    for Revoked { container, taken, held_in_env } in results {
        println!("{container:.24}: took away {}", taken.join(", "));
        if !held_in_env.is_empty() {
            println!(
                "{container:.24}: processes that run still hold {}; end the container to take that",
                held_in_env.join(", ")
            );
        }
    }
}

/// Removes what containers left behind that are gone.
pub fn sweep(format: Format, site: &Site) -> anyhow::Result<ExitCode> {
    let swept = sweep_all(site);
    if format.json {
        output::json(&swept)?;
    } else {
        print_swept(&swept);
    }
    Ok(if swept.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same, saying nothing when nothing was removed; whether all went well.
pub fn sweep_quietly(site: &Site) -> anyhow::Result<bool> {
    let swept = sweep_all(site);
    if swept.removed > 0 {
        print_swept(&swept);
    }
    Ok(swept.problems.is_empty())
}

fn sweep_all(site: &Site) -> Swept {
    let swept = lifetime::sweep(&Ledger::at(&site.runtime), |record| {
        audit::gone(std::slice::from_ref(record), &site.state);
    });
    for problem in &swept.problems {
        eprintln!("keyslip: left for the next sweep: {}", output::plain(problem));
    }
    swept
}

fn print_swept(swept: &Swept) {
    println!("removed {}, alive {}, left for later {}", swept.removed, swept.alive, swept.left);
}
