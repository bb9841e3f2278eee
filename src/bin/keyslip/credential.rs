//! `keyslip credential get`: what the static programs have asked for, because they can speak neither to
//! a keyring nor to other programs. One JSON question on standard input, one JSON answer on standard
//! output, which is a pipe. It runs as whoever keeps the logins and reads nothing but the question.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use keyslip::backend::{command, encrypted, keychain, keyring};
use keyslip::config::{CredentialHelper, HelperOutput};
use keyslip::secret::Secret;
use keyslip::source::question::{Answer, Question};
use zeroize::Zeroizing;

/// Longest question; a sealed credential is in it.
const LONGEST: u64 = 8 << 20;

#[derive(Subcommand)]
pub enum Credential {
    /// Answer the question on standard input.
    Get,
}

pub fn run(Credential::Get: &Credential) -> anyhow::Result<ExitCode> {
    if std::io::stdout().is_terminal() {
        bail!("`keyslip credential get` answers other programs; it does not show a credential on a terminal");
    }
    let mut text = String::new();
    std::io::stdin().take(LONGEST).read_to_string(&mut text).context("cannot read the question")?;
    let question: Question = serde_json::from_str(&text).context("standard input is no question")?;
    let answer = Zeroizing::new(serde_json::to_vec(&answer(&question))?);
    std::io::stdout().write_all(&answer).context("cannot write the answer")?;
    Ok(ExitCode::SUCCESS)
}

fn answer(question: &Question) -> Answer {
    let found: Result<Option<Secret>, String> = match question {
        Question::Keyring(attributes) => {
            let attributes: Vec<(&str, &str)> = attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let items = keyring::Keyring::open().and_then(|keyring| keyring.find(&attributes));
            let wanted = |item: &keyring::Item| question.means(&item.attributes);
            items.map(|items| items.into_iter().find(wanted).map(|item| item.secret)).map_err(|error| error.to_string())
        }
        Question::Encrypted { name, sealed } => {
            encrypted::open(name, sealed).map(Some).map_err(|error| error.to_string())
        }
        Question::Keychain { program, service, account } => {
            let limit = Duration::from_secs(question.limit());
            keychain::find(program, service, account, limit).map_err(|error| error.to_string())
        }
        Question::Command { helper, agent, account } => {
            return match helper_of(helper).get(agent, account) {
                Ok(command::Found::Credential { value, expires }) => found_with(&value, expires),
                Ok(command::Found::None) => Answer::None,
                Err(error) => Answer::Unavailable(error.to_string()),
            };
        }
    };
    match found {
        Ok(Some(value)) => found_with(&value, None),
        Ok(None) => Answer::None,
        Err(why) => Answer::Unavailable(why),
    }
}

fn helper_of(settings: &CredentialHelper) -> command::Helper {
    command::Helper {
        argv: settings.argv.clone(),
        output: match settings.output {
            HelperOutput::Json => command::Output::Json,
            HelperOutput::Text => command::Output::Text,
        },
        limit: Duration::from_secs(settings.timeout_seconds),
        env: settings.env.iter().map(|(name, value)| (name.as_str().into(), value.into())).collect(),
    }
}

fn found_with(value: &Secret, expires_at: Option<keyslip::clock::Instant>) -> Answer {
    match value.expose_text() {
        Some(text) => Answer::Found { credential: Zeroizing::new(text.to_owned()), expires_at },
        None => Answer::Unavailable("what is there is not text".to_owned()),
    }
}
