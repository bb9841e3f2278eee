//! One stored login, and its file: the credential itself, or where it rests.
//!
//! ```json
//! {"token": "sk-ant-…", "createdAt": "2026-03-19T21:00:00Z", "expiresAt": "2027-03-19T21:00:00Z"}
//! {"keyring": "5f0c…", "createdAt": …}
//! {"keychain": "5f0c…", "createdAt": …}
//! {"encrypted": "…", "createdAt": …}
//! ```

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Instant;
use crate::json;
use crate::secret::Secret;

/// A stored login.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The credential, or where it rests.
    pub kept: Kept,
    /// When it was stored.
    pub created: Instant,
    /// Until when it is valid; for ever without it.
    pub expires: Option<Instant>,
    /// It holds a refresh token that nobody else has, so that it may be spent here.
    pub renewable: bool,
}

/// Where a credential rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the entry itself.
    Here(Secret),
    /// In the owner's keyring, as the item with this name.
    Keyring(String),
    /// In a macOS keychain, as the item with this name.
    Keychain(String),
    /// In the entry, sealed by `systemd-creds` (base64).
    Encrypted(String),
}

impl Kept {
    /// The name of the backend: `file`, `keyring`, `encrypted`.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Here(_) => "file",
            Self::Keyring(_) => "keyring",
            Self::Keychain(_) => "keychain",
            Self::Encrypted(_) => "encrypted",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    token: Option<String>,
    keyring: Option<String>,
    keychain: Option<String>,
    encrypted: Option<String>,
    created_at: Instant,
    expires_at: Option<Instant>,
    #[serde(default)]
    renewable: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rest {
    created_at: Instant,
    expires_at: Option<Instant>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renewable: bool,
}

impl Entry {
    /// Reads the content of an entry's file.
    ///
    /// # Errors
    /// What is wrong, without a word of the content.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let read: Read = serde_json::from_slice(bytes).map_err(|error| {
            // The error's text may quote the content; its place does not.
            format!("line {}, column {}", error.line(), error.column())
        })?;
        let places = [
            read.token.map(|token| Kept::Here(Secret::new(token.into_bytes()))),
            read.keyring.map(Kept::Keyring),
            read.keychain.map(Kept::Keychain),
            read.encrypted.map(Kept::Encrypted),
        ];
        let mut places = places.into_iter().flatten();
        let (Some(kept), None) = (places.next(), places.next()) else {
            return Err("it must have one of token, keyring, keychain and encrypted".to_owned());
        };
        Ok(Self { kept, created: read.created_at, expires: read.expires_at, renewable: read.renewable })
    }

    /// The content of the entry's file.
    pub(crate) fn text(&self) -> Zeroizing<Vec<u8>> {
        let rest = Rest { created_at: self.created, expires_at: self.expires, renewable: self.renewable };
        let rest = serde_json::to_string_pretty(&rest).expect("times and flags can be written");
        let (name, value) = match &self.kept {
            Kept::Here(token) => ("token", token.expose_text().unwrap_or_default()),
            Kept::Keyring(item) => ("keyring", item.as_str()),
            Kept::Keychain(item) => ("keychain", item.as_str()),
            Kept::Encrypted(sealed) => ("encrypted", sealed.as_str()),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(value.len() * 6 + rest.len() + 32));
        text.extend_from_slice(format!("{{\n  \"{name}\": ").as_bytes());
        json::quote_into(&mut text, value);
        text.push(b',');
        text.extend_from_slice(&rest.as_bytes()[1..]);
        text.push(b'\n');
        text
    }
}
