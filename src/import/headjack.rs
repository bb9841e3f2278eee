//! What Headjack has stored: items of a keyring, or files encrypted with a password.
//!
//! It knows three agents. An earlier version kept the bare credential, as `claude-oidc-token`,
//! `gemini-oauth-creds` and `codex-oauth-creds`; a later one `{"type": "subscription" | "apikey",
//! "value": …}`, as `<agent>-credential`. Its program uses the service `com.headjack.cli`, its
//! documentation shows `com.headjack`.
//!
//! The library below it, 99designs/keyring 1.2, wraps the value for the Secret Service and in files:
//! `{"Key": …, "Data": base64, …}`. In the Secret Service an item has one attribute, `profile`, the
//! key. The kernel's keyring, which Headjack names too, never holds anything: the library refuses to
//! open it without a scope, and Headjack gives none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::jwe::{self, Closed};
use super::{Ask, Error, Found, read, string};
use crate::clock::Instant;
use crate::json::Text;
use crate::names::AgentName;
use crate::secret::Secret;
use crate::source::question::Question;

/// The names of its service, the one of the program first.
pub const SERVICES: [&str; 2] = ["com.headjack.cli", "com.headjack"];

/// Its agents, with the keys of their credentials, the newest first.
const KEYS: [(&str, [&str; 2]); 3] = [
    ("claude", ["claude-credential", "claude-oidc-token"]),
    ("codex", ["codex-credential", "codex-oauth-creds"]),
    ("gemini", ["gemini-credential", "gemini-oauth-creds"]),
];

/// Its directory below the home directory: encrypted files, beside its own configuration.
pub const FILES: &str = ".config/headjack";

/// A place that may keep items.
pub trait Place {
    /// Its name in messages, as in "the keyring".
    fn name(&self) -> String;

    /// The value at `key` of `service`, and when it was stored, if that is known.
    ///
    /// # Errors
    /// When the place cannot be opened: nothing else of it is asked for then.
    fn look(&self, service: &str, key: &str) -> Result<Option<(Secret, Option<Instant>)>, Error>;
}

/// Looks through `place`. The newest form of each agent's credential is taken; what else there is of
/// the same agent is not.
pub fn find(place: &dyn Place) -> Vec<Result<Found, Error>> {
    let mut found = Vec::new();
    for (agent, keys) in KEYS {
        match newest(place, agent, keys) {
            Ok(Some(item)) => found.push(Ok(item)),
            Ok(None) => {}
            Err(error) => {
                let over = matches!(error, Error::Closed { .. } | Error::Io { .. });
                found.push(Err(error));
                if over {
                    break;
                }
            }
        }
    }
    found
}

fn newest(place: &dyn Place, agent: &str, keys: [&str; 2]) -> Result<Option<Found>, Error> {
    for key in keys {
        for service in SERVICES {
            let Some((value, created)) = place.look(service, key)? else { continue };
            let from = format!("{key} in {}", place.name());
            let value = parse_item(key, &value).map_err(|reason| Error::Form { from: from.clone(), reason })?;
            let agent: AgentName = agent.parse().expect("a name of the table above");
            return Ok(Some(Found { agent, value, created, expires: None, from }));
        }
    }
    Ok(None)
}

/// An item as the library writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapped<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    data: Text<'a>,
}

/// The credential in the value of the item `key`, in any of the forms there are.
///
/// # Errors
/// What is wrong with it, as a part of a sentence.
pub fn parse_item(key: &str, value: &Secret) -> Result<Secret, String> {
    let no_text = || "is no text".to_owned();
    let text = value.expose_text().ok_or_else(no_text)?.trim();
    let unwrapped = match serde_json::from_str::<Wrapped<'_>>(text) {
        Ok(wrapped) if wrapped.key.0 != key => return Err("says that it is another item".to_owned()),
        Ok(wrapped) => base64(&wrapped.data.0).ok_or("has data that are no base64")?,
        Err(_) => Secret::from_text(text),
    };
    let text = unwrapped.expose_text().ok_or_else(no_text)?;
    Ok(match (string(text, "type"), string(text, "value")) {
        (Some(_), Some(value)) => value,
        _ => unwrapped,
    })
}

fn base64(text: &str) -> Option<Secret> {
    // Room for all of it, so that no piece is left behind by a growing buffer.
    let mut bytes = Zeroizing::new(vec![0; text.len()]);
    let length = BASE64_STANDARD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(Secret::new(std::mem::take(&mut *bytes)))
}

/// The Secret Service.
pub struct Keyring<'a> {
    /// Asks it.
    pub ask: Ask<'a>,
}

impl Place for Keyring<'_> {
    fn name(&self) -> String {
        "the keyring".to_owned()
    }

    fn look(&self, service: &str, key: &str) -> Result<Option<(Secret, Option<Instant>)>, Error> {
        // The library's own attribute, and the two that others give to an item of a service.
        let by_profile = (service == SERVICES[0]).then(|| vec![("profile", key)]);
        let by_service = ["account", "username"].map(|name| vec![("service", service), (name, key)]);
        for attributes in by_profile.into_iter().chain(by_service) {
            let attributes: BTreeMap<String, String> =
                attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            if let Some(value) = asked(self.ask, &Question::Keyring(attributes), || self.name())? {
                return Ok(Some((value, None)));
            }
        }
        Ok(None)
    }
}

/// A macOS keychain.
pub struct Keychain<'a> {
    /// The program that reads it, with its arguments.
    pub program: &'a [String],
    /// Asks it.
    pub ask: Ask<'a>,
}

impl Place for Keychain<'_> {
    fn name(&self) -> String {
        "the macOS keychain".to_owned()
    }

    fn look(&self, service: &str, key: &str) -> Result<Option<(Secret, Option<Instant>)>, Error> {
        let (program, service, account) = (self.program.to_vec(), service.to_owned(), key.to_owned());
        let value = asked(self.ask, &Question::Keychain { program, service, account }, || self.name())?;
        Ok(value.map(|value| (value, None)))
    }
}

fn asked(ask: Ask<'_>, question: &Question, from: impl Fn() -> String) -> Result<Option<Secret>, Error> {
    ask(question).map_err(|reason| Error::Closed { from: from(), reason })
}

/// The files of the library's own backend. They say nothing of the service.
pub struct Files<'a> {
    /// Their directory.
    pub dir: PathBuf,
    /// Asks for the password, once it is needed.
    pub password: &'a dyn Fn() -> Result<Zeroizing<String>, String>,
}

impl Place for Files<'_> {
    fn name(&self) -> String {
        self.dir.display().to_string()
    }

    fn look(&self, service: &str, key: &str) -> Result<Option<(Secret, Option<Instant>)>, Error> {
        if service != SERVICES[0] {
            return Ok(None);
        }
        let path = self.dir.join(key);
        let Some(envelope) = read(&path)? else { return Ok(None) };
        let from = path.display().to_string();
        let password = (self.password)().map_err(|reason| Error::Closed { from: from.clone(), reason })?;
        match jwe::open(envelope.expose_text().unwrap_or_default(), password.as_bytes()) {
            Ok(opened) => Ok(Some((opened.content, opened.created))),
            Err(Closed::Form(reason)) => Err(Error::Form { from, reason: reason.to_owned() }),
            Err(Closed::Password) => Err(Error::Closed {
                from,
                reason: "the password is not the one Headjack was given; run this again with the right one".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "sk-ant-oat01-FAKE-headjack";

    fn parsed(key: &str, value: &str) -> Result<String, String> {
        parse_item(key, &Secret::from_text(value)).map(|secret| secret.expose_text().unwrap().to_owned())
    }

    fn wrapped(key: &str, value: &str) -> String {
        let data = BASE64_STANDARD.encode(value);
        format!(
            r#"{{"Key":"{key}","Data":"{data}","Label":"Headjack - {key}","Description":"Headjack CLI credential","KeychainNotTrustApplication":false,"KeychainNotSynchronizable":false}}"#
        )
    }

    #[test]
    fn both_forms_bare_and_wrapped() {
        let old = "claude-oidc-token";
        let new = "claude-credential";
        let typed = format!(r#"{{"type":"subscription","value":"{TOKEN}"}}"#);
        for (key, value) in [(old, TOKEN), (new, &typed)] {
            assert_eq!(parsed(key, value).unwrap(), TOKEN);
            assert_eq!(parsed(key, &wrapped(key, value)).unwrap(), TOKEN);
            assert_eq!(parsed(key, &format!("{value}\n")).unwrap(), TOKEN);
        }
        let login = r#"{"tokens":{"access_token":"FAKE"}}"#;
        let typed = serde_json::json!({"type": "subscription", "value": login}).to_string();
        assert_eq!(parsed("codex-credential", &wrapped("codex-credential", &typed)).unwrap(), login);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let error = parsed("claude-credential", &wrapped("other", TOKEN)).unwrap_err();
        assert!(error.contains("another item") && !error.contains("FAKE"), "{error}");
        let error = parsed("k", r#"{"Key":"k","Data":"sk-ant-oat01-FAKE!"}"#).unwrap_err();
        assert!(error.contains("no base64") && !error.contains("FAKE"), "{error}");
        assert!(parse_item("k", &Secret::new(vec![0xff, 0xfe])).is_err());
    }
}
