//! Our part of a file: is it in there, and what is the file without it?
//!
//! A file that nobody has touched since is put back as it was, byte for byte. This is for the others.

use serde::{Deserialize, Serialize};

use crate::cdi;
use crate::json::{Object, get};

use super::members;

/// What of a file is ours, so that it can be taken out of one that was edited later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ours {
    /// Pieces of text, each of which stands in it once.
    Text(Vec<String>),
    /// All of it, whatever it says now: Keyslip makes such a file anew whenever logins change.
    Generated,
    /// Members of the JSON object that it is.
    Members {
        /// Those that were set.
        set: Vec<Member>,
        /// Objects that were made to put them into, by the keys that lead to them, inner ones last.
        made: Vec<Vec<String>>,
    },
}

/// A member of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The keys that lead to it.
    pub keys: Vec<String>,
    /// Its value, as JSON.
    pub value: String,
    /// The value it had, as it was written; nothing where it was not there.
    pub was: Option<String>,
}

impl Ours {
    /// Whether all of it stands in `text`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Text(pieces) => pieces.iter().all(|piece| text.matches(piece.as_str()).count() == 1),
            Self::Generated => cdi::offered(text).is_ok(),
            Self::Members { set, .. } => set.iter().all(|member| member.is_in(text)),
        }
    }

    /// `text` without it; nothing if it is not in there whole.
    #[must_use]
    pub fn taken_out(&self, text: &str) -> Option<String> {
        if !self.is_in(text) {
            return None;
        }
        match self {
            Self::Text(pieces) => {
                Some(pieces.iter().fold(text.to_owned(), |text, piece| text.replacen(piece.as_str(), "", 1)))
            }
            Self::Generated => Some(String::new()),
            Self::Members { set, made } => {
                let mut text = text.to_owned();
                for member in set.iter().rev() {
                    text = match &member.was {
                        Some(was) => members::replace(&text, &member.keys, was)?,
                        None => members::remove(&text, &member.keys)?,
                    };
                }
                for keys in made.iter().rev() {
                    if Object::read(at(&text, keys)?).is_ok_and(|object| object.0.is_empty()) {
                        text = members::remove(&text, keys)?;
                    }
                }
                Some(text)
            }
        }
    }

    /// Whether somebody has taken it out already.
    #[must_use]
    pub fn is_gone_from(&self, text: &str) -> bool {
        !text.contains("keyslip")
    }

    /// It, for a person who has to take it out by hand.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Text(pieces) => pieces.concat(),
            Self::Generated => "all of it".to_owned(),
            Self::Members { set, .. } => {
                let lines: Vec<String> =
                    set.iter().map(|member| format!("{}: {}", member.keys.join("."), member.value)).collect();
                lines.join("\n")
            }
        }
    }
}

impl Member {
    fn is_in(&self, text: &str) -> bool {
        let same = |there: &str| same(there, &self.value);
        at(text, &self.keys).is_some_and(same)
    }
}

/// The JSON text at `keys`.
pub(super) fn at<'a>(text: &'a str, keys: &[String]) -> Option<&'a str> {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    get(text, &keys).ok().flatten()
}

/// Whether two pieces of JSON mean the same.
pub(super) fn same(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    value(one).is_some() && value(one) == value(other)
}
