//! A credential helper: a program of the operator's choice that is asked for a credential, for secret
//! managers of all kinds. `docs/credential-helpers.md` has the protocol.
//!
//! In: the agent and the account. Out: a credential, perhaps with its end, or that there is none.
//! What can go wrong: the program does not start, fails, takes too long, prints too much, or answers
//! something that is no answer. No message holds what it printed to its standard output.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::process;
use crate::clock::Instant;
use crate::names::{Account, AgentName};
use crate::secret::Secret;

/// Variables that a helper gets from this process; everything else is for the configuration to name.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR"];

/// How a helper is run.
#[derive(Clone, Debug)]
pub struct Helper {
    /// The program, an absolute path, and its arguments. In an argument `{agent}` and `{account}` stand
    /// for what is asked for.
    pub argv: Vec<String>,
    /// What it prints.
    pub output: Output,
    /// How long it may take.
    pub limit: Duration,
    /// Variables for it, besides `PATH`, `HOME`, `LANG` and `XDG_RUNTIME_DIR`, which it gets as they are.
    pub env: Vec<(OsString, OsString)>,
}

/// What a helper prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// One JSON object: `{"credential": "…", "expiresAt": "2027-03-19T21:00:00Z"}`.
    #[default]
    Json,
    /// The credential, and perhaps a newline; nothing at all means that there is none.
    Text,
}

/// What a helper has.
#[derive(Debug)]
pub enum Found {
    /// This credential.
    Credential {
        /// The value.
        value: Secret,
        /// Until when it is valid, if the helper says so.
        expires: Option<Instant>,
    },
    /// None for this agent and account.
    None,
}

/// Why a helper gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program, or a relative path, which would mean another program in another directory.
    #[error("the credential helper {0:?} must be an absolute path, as /usr/libexec/keyslip/helpers/vault is")]
    Relative(String),
    /// Anybody could put another program there.
    #[error("the credential helper {0} can be written by everybody; run: chmod o-w {0}")]
    Writable(String),
    /// It could not be run to its end.
    #[error("the credential helper {0}")]
    Process(#[from] process::Error),
    /// It ended with another code than 0.
    #[error("the credential helper {program} failed with {how}{said}")]
    Failed {
        /// The program.
        program: String,
        /// The code or the signal.
        how: String,
        /// The first line of its standard error.
        said: String,
    },
    /// What it printed is no answer.
    #[error("the credential helper {program} gave no answer that can be used: {reason}")]
    Answer {
        /// The program.
        program: String,
        /// What is wrong, without a word of the answer.
        reason: String,
    },
}

/// The answer of a helper.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Must be there, even if it is `null`.
    #[serde(deserialize_with = "secret")]
    credential: Option<Secret>,
    expires_at: Option<Instant>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|text| Secret::new(text.into_bytes())))
}

impl Helper {
    /// Asks for a credential.
    ///
    /// # Errors
    /// When the helper cannot be run, fails, or gives no answer that can be used.
    pub fn get(&self, agent: &AgentName, account: &Account) -> Result<Found, Error> {
        let program = self.argv.first().map(String::as_str).unwrap_or_default();
        check(program)?;
        let mut command = Command::new(program);
        command
            .args(self.argv[1..].iter().map(|argument| filled(argument, agent, account)))
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(self.env.iter().cloned())
            // Some programs read settings from where they are; that is no place of the helper's.
            .current_dir("/");
        let request =
            format!("{}\n", serde_json::json!({"version": 1, "operation": "get", "agent": agent, "account": account}));
        let ended = process::run(command, request.as_bytes(), self.limit)?;
        if !ended.status.success() {
            return Err(Error::Failed { program: program.to_owned(), how: ended.how(), said: ended.complaint() });
        }
        let answer = match self.output {
            Output::Json => json(&ended.stdout),
            Output::Text => Ok(text(&ended.stdout)),
        };
        answer.map_err(|reason| Error::Answer { program: program.to_owned(), reason })
    }
}

/// Whether a program may be a helper. What it must be besides, executable, the kernel says.
fn check(program: &str) -> Result<(), Error> {
    if !Path::new(program).is_absolute() {
        return Err(Error::Relative(program.to_owned()));
    }
    match std::fs::metadata(program) {
        Ok(about) if about.mode() & 0o002 != 0 => Err(Error::Writable(program.to_owned())),
        _ => Ok(()),
    }
}

/// Both names are slugs, so nothing of them can be taken for a placeholder or for an option.
fn filled(argument: &str, agent: &AgentName, account: &Account) -> String {
    argument.replace("{agent}", agent.as_str()).replace("{account}", account.as_str())
}

fn json(printed: &Secret) -> Result<Found, String> {
    let answer: Answer = serde_json::from_slice(printed.expose()).map_err(|error| {
        // The error's text may quote the answer; its place does not.
        let (line, column) = (error.line(), error.column());
        format!(r#"it must be {{"credential": "...", "expiresAt": "2027-03-19T21:00:00Z"}} or {{"credential": null}}, and is not at line {line}, column {column}"#)
    })?;
    match answer.credential {
        None => Ok(Found::None),
        Some(value) if value.is_empty() => Err("the credential is empty; for none it must be null".to_owned()),
        Some(value) => Ok(Found::Credential { value, expires: answer.expires_at }),
    }
}

fn text(printed: &Secret) -> Found {
    let bytes = printed.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Found::None;
    }
    Found::Credential { value: Secret::new(bytes.to_vec()), expires: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Option<(String, Option<String>)>, String> {
        json(&Secret::from_text(text)).map(|found| match found {
            Found::None => None,
            Found::Credential { value, expires } => {
                Some((value.expose_text().unwrap().to_owned(), expires.map(|at| at.to_string())))
            }
        })
    }

    #[test]
    fn answers() {
        assert_eq!(answer(r#"{"credential": null}"#), Ok(None));
        assert_eq!(answer(r#"{"credential": "FAKE"}"#), Ok(Some(("FAKE".to_owned(), None))));
        assert_eq!(
            answer(r#"{"credential": "FAKE", "expiresAt": "2027-03-19T21:00:00Z", "later": 1}"#),
            Ok(Some(("FAKE".to_owned(), Some("2027-03-19T21:00:00Z".to_owned()))))
        );
        assert_eq!(answer(r#"{"credential": "FAKE", "expiresAt": null}"#), Ok(Some(("FAKE".to_owned(), None))));
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_none() {
        for bad in [
            "",
            "{}",
            "null",
            "FAKE-0123",
            r#"{"credential": ""}"#,
            r#"{"credential": 5}"#,
            r#"{"credential": "FAKE-0123""#,
            r#"{"credential": "FAKE-0123"} FAKE"#,
            r#"{"credential": "FAKE-0123", "expiresAt": "tomorrow"}"#,
        ] {
            let error = answer(bad).unwrap_err();
            assert!(!error.contains("FAKE"), "{bad}: {error}");
        }
    }

    #[test]
    fn of_a_text_one_newline_is_taken_away() {
        let of = |text_: &str| match text(&Secret::from_text(text_)) {
            Found::Credential { value, .. } => Some(value.expose_text().unwrap().to_owned()),
            Found::None => None,
        };
        assert_eq!(of("FAKE\n").as_deref(), Some("FAKE"));
        assert_eq!(of("FAKE\n\n").as_deref(), Some("FAKE\n"));
        assert_eq!(of(" FAKE").as_deref(), Some(" FAKE"));
        assert_eq!(of("\n"), None);
    }

    #[test]
    fn names_are_filled_in() {
        let (agent, account) = ("claude".parse().unwrap(), "work".parse().unwrap());
        assert_eq!(filled("a/{agent}/{account}?{agent}{x}", &agent, &account), "a/claude/work?claude{x}");
    }
}
