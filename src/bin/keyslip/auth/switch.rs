//! `keyslip auth switch`.

use std::process::ExitCode;

use anyhow::bail;
use keyslip::names::{Account, AgentName};
use keyslip::source::Store;

pub fn run(agent: &AgentName, account: &Account, store: &Store) -> anyhow::Result<ExitCode> {
    if !store.switch(agent, account)? {
        bail!(
            "there is no stored login for {agent}@{account}; `keyslip auth status {agent}` lists those there are, \
             `keyslip auth login {agent} --account {account}` stores one"
        );
    }
    println!("{agent} now means the account {account}; `keyslip sync` brings it into containers that run");
    Ok(ExitCode::SUCCESS)
}
