//! `keyslip auth logout`: a login is removed from everywhere it was put.

use std::process::ExitCode;

use anyhow::bail;
use keyslip::agent::Definition;
use keyslip::config::{Config, Passthrough};
use keyslip::ledger::Ledger;
use keyslip::names::{Account, AgentName, AgentRef};
use keyslip::site::{Site, Whose};
use keyslip::source::{Custody, Store, host_login};

use crate::live;

pub fn run(
    agent: &AgentName,
    account: &Account,
    config: &Config,
    store: &Store,
    site: &Site,
) -> anyhow::Result<ExitCode> {
    let what = AgentRef { agent: agent.clone(), account: account.clone() };
    let removed = Custody::new(store, config, site).remove(agent, account)?;
    // What was put into containers is taken away even when the store has forgotten it.
    let revoked = live::revoke_login(&Ledger::at(&site.runtime), &what, site);
    let nothing = !removed.entry && removed.from.is_empty() && removed.left.is_empty();
    if nothing && revoked.results.is_empty() && revoked.problems.is_empty() {
        bail!("there is no stored login for {what}; `keyslip auth status` lists those there are");
    }
    if removed.entry {
        let places: String = removed.from.iter().map(|place| format!(" and from {place}")).collect();
        println!("removed the login for {what} from the store{places}");
    } else if let Some(place) = removed.from.first() {
        println!("removed from {place} what was left there of the login for {what}");
    }
    live::print_revoked(&revoked.results);
    let mut left = removed.left;
    left.extend(revoked.problems);
    for place in &left {
        println!("not reached: {place}");
    }
    for note in notes(agent, account, config, store, site) {
        println!("{note}");
    }
    Ok(if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What else there is, that is not ours to remove.
fn notes(agent: &AgentName, account: &Account, config: &Config, store: &Store, site: &Site) -> Vec<String> {
    let mut notes = Vec::new();
    let definition = Definition::find(agent, &site.config).ok().flatten();
    if let (Some(definition), true) = (&definition, account.is_default() && config.passthrough != Passthrough::Off) {
        for place in host_login::places(&definition.host, store.keeper(), config) {
            if let host_login::Place::Files(files) = &place
                && let Ok(Some(_)) = host_login::read_files(files, store.keeper())
            {
                notes.push(format!(
                    "the host's own login in {} is left alone; containers that ask for {agent} get that from now on, \
                     unless the configuration says passthrough = \"off\"",
                    place.name()
                ));
            }
        }
    }
    if site.whose != Whose::System {
        notes.push(
            "containers of root's engines, if root lets them use this store (`owner`), are only reached by root: \
             `keyslip revoke --account`"
                .to_owned(),
        );
    }
    notes
}
