//! What an import did, for people and programs.

use std::path::PathBuf;
use std::process::ExitCode;

use keyslip::clock::{Instant, span};
use keyslip::names::{Account, AgentName, AgentRef};
use keyslip::source::Life;
use serde::Serialize;

use crate::output;

/// What became of one login.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    pub agent: AgentName,
    pub account: Account,
    pub kind: String,
    pub from: String,
    /// `imported`, `would-import`, `same`, `not-replaced`.
    pub result: &'static str,
    /// Where it is now: `file`, `keyring`, `encrypted`.
    pub rests: Option<&'static str>,
    pub created_at: Option<Instant>,
    pub expires_at: Option<Instant>,
    /// `left-out`, `kept`, or none.
    pub refresh_token: Option<&'static str>,
    pub left_out: Vec<String>,
}

/// What became of Forage's configuration.
#[derive(Serialize)]
pub struct Configuration {
    pub path: PathBuf,
    /// `written`, `would-write`, `same`.
    pub result: &'static str,
    /// What would be written.
    pub text: Option<String>,
}

/// Everything that was done.
#[derive(Default, Serialize)]
pub struct Report {
    pub logins: Vec<Login>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// What was left out of the configuration, and why.
    pub notes: Vec<String>,
    /// What could not be imported, and why.
    pub errors: Vec<String>,
}

impl Report {
    /// Prints it; fails when something is not stored now that was found.
    pub fn print(&self, json: bool) -> anyhow::Result<ExitCode> {
        if json {
            output::json(self)?;
        } else {
            self.logins.iter().for_each(|login| println!("{}", output::plain(&login.sentence())));
            if let Some(configuration) = &self.configuration {
                configuration.print();
            }
        }
        for (what, texts) in [("note", &self.notes), ("keyslip", &self.errors)] {
            texts.iter().for_each(|text| eprintln!("{what}: {}", output::plain(text)));
        }
        let whole = self.errors.is_empty() && self.logins.iter().all(|login| login.result != "not-replaced");
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Login {
    fn sentence(&self) -> String {
        let Self { kind, from, .. } = self;
        let who = AgentRef { agent: self.agent.clone(), account: self.account.clone() };
        let done = match self.result {
            "same" => return format!("the {kind} for {who} from {from} is stored already"),
            "not-replaced" => {
                return format!(
                    "the {kind} for {who} from {from} was not imported: another login is stored; --force replaces it"
                );
            }
            "would-import" => "would import",
            _ => "imported",
        };
        let rests = match self.rests {
            Some("keyring") => " into the keyring",
            Some("encrypted") => ", sealed by systemd-creds",
            _ => "",
        };
        let end = match (self.expires_at, self.created_at) {
            (None, _) => "it does not expire".to_owned(),
            (Some(end), None) if self.refresh_token.is_none() => format!("it ends at {end} at the latest"),
            (Some(end), _) => format!("valid until {end}"),
        };
        let life = Life::of(self.expires_at, Instant::now());
        let soon = if let Life::Expiring { left } = life { format!(" ({} left)", span(left)) } else { String::new() };
        let refresh = match self.refresh_token {
            Some("left-out") => {
                "; without its refresh token, which stays where it was: when the login ends, import it again"
            }
            Some(_) => "; with its refresh token, which can be used by several",
            None => "",
        };
        let beside = match &self.left_out[..] {
            [] => String::new(),
            names => format!("; what stands beside it stayed there: {}", names.join(", ")),
        };
        format!("{done} the {kind} for {who} from {from}{rests}; {end}{soon}{refresh}{beside}")
    }
}

impl Configuration {
    fn print(&self) {
        let path = self.path.display();
        match (self.result, &self.text) {
            (_, Some(text)) => print!("would write {path}:\n{text}"),
            ("same", _) => println!("{path} is there already and says the same"),
            _ => println!("wrote {path}"),
        }
    }
}
