//! The encrypted files of the Go library 99designs/keyring: one JWE in compact form (RFC 7516), its key
//! derived from a password.
//!
//! Of its many algorithms the library writes one pair, PBES2-HS256+A128KW with A256GCM, so that is
//! what is read here: four calls of RustCrypto's `pbkdf2`, `aes-kw` and `aes-gcm`. `josekit`, which
//! knows them all, is built on OpenSSL, a C library that nothing else here needs.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use aes_kw::KwAes128;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clock::Instant;
use crate::secret::Secret;

const ALGORITHM: &str = "PBES2-HS256+A128KW";
const ENCRYPTION: &str = "A256GCM";

/// Most rounds of the key derivation that are done; the library writes 8,192, and reads as many.
const MOST_ROUNDS: u32 = 1_300_000;

/// What an envelope held.
pub(super) struct Opened {
    /// Its content.
    pub content: Secret,
    /// When it was closed, by its own account.
    pub created: Option<Instant>,
}

/// Why an envelope stays closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It is none that the library writes.
    Form(&'static str),
    /// The password is wrong, or somebody has changed it.
    Password,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    p2c: u32,
    p2s: String,
    created: Option<String>,
    zip: Option<String>,
}

/// Opens `envelope`.
pub(super) fn open(envelope: &str, password: &[u8]) -> Result<Opened, Closed> {
    let parts: Vec<&str> = envelope.trim().split('.').collect();
    let [protected, wrapped, nonce, sealed, tag] = parts[..] else {
        return Err(Closed::Form("is no encrypted file of Headjack's"));
    };
    let broken = || Closed::Form("has parts that are no base64");
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| broken());
    let header: Header = serde_json::from_slice(&decode(protected)?)
        .map_err(|_| Closed::Form("has a header that is not that of a password-encrypted file"))?;
    if header.alg != ALGORITHM || header.enc != ENCRYPTION || header.zip.is_some() {
        return Err(Closed::Form("is encrypted in a way that is not known here"));
    }
    if header.p2c > MOST_ROUNDS {
        return Err(Closed::Form("asks for more rounds of key derivation than are done here"));
    }
    // RFC 7518, section 4.8.1.1: the algorithm's name is a part of the salt.
    let salt = [ALGORITHM.as_bytes(), &[0], &decode(&header.p2s)?].concat();
    let mut outer = Zeroizing::new([0_u8; 16]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, header.p2c, &mut *outer);
    let mut inner = Zeroizing::new([0_u8; 32]);
    let wrapped = decode(wrapped)?;
    if wrapped.len() != inner.len() + 8 {
        return Err(broken());
    }
    KwAes128::new(&(*outer).into()).unwrap_key(&wrapped, &mut *inner).map_err(|_| Closed::Password)?;
    let mut content = Zeroizing::new(decode(sealed)?);
    let nonce = Nonce::try_from(&decode(nonce)?[..]).map_err(|_| broken())?;
    let tag = Tag::try_from(&decode(tag)?[..]).map_err(|_| broken())?;
    // The header is authenticated as it stands in the text.
    Aes256Gcm::new(&(*inner).into())
        .decrypt_inout_detached(&nonce, protected.as_bytes(), (&mut content[..]).into(), &tag)
        .map_err(|_| Closed::Password)?;
    Ok(Opened {
        content: Secret::new(std::mem::take(&mut *content)),
        created: header.created.as_deref().and_then(go_time),
    })
}

/// `2026-11-23 02:43:51.397802147 +0000 UTC m=+0.000426627`, as Go prints a time.
fn go_time(text: &str) -> Option<Instant> {
    let mut fields = text.split(' ');
    let (date, time, zone) = (fields.next()?, fields.next()?, fields.next()?);
    let (hours, minutes) = zone.split_at_checked(3)?;
    Instant::parse(&format!("{date}T{time}{hours}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by jose2go 1.5, the library below 99designs/keyring, with the password `FAKE password`.
    const WRITTEN: &str = include_str!("../../tests/import/headjack/claude-credential");

    #[test]
    fn what_the_real_library_wrote_is_opened() {
        let opened = open(WRITTEN, b"FAKE password").ok().unwrap();
        let content: serde_json::Value = serde_json::from_slice(opened.content.expose()).unwrap();
        assert_eq!(content["Key"], "claude-credential");
        assert_eq!(opened.created, Instant::parse("2026-11-23T02:43:51Z"));
    }

    #[test]
    fn a_wrong_password_and_a_changed_header_are_refused() {
        assert_eq!(open(WRITTEN, b"FAKE other").err(), Some(Closed::Password));
        // `created` in the header is readable by all, and believed only as long as nobody has changed it.
        let (header, rest) = WRITTEN.split_once('.').unwrap();
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        let later = BASE64_URL_SAFE_NO_PAD.encode(text.replace("2026-11", "2036-11"));
        assert_eq!(open(&format!("{later}.{rest}"), b"FAKE password").err(), Some(Closed::Password));
        let many = BASE64_URL_SAFE_NO_PAD.encode(text.replace("8192", "4000000000"));
        assert!(matches!(open(&format!("{many}.{rest}"), b"FAKE password").err(), Some(Closed::Form(_))));
        for text in ["", "default_agent: claude\n", "a.b.c.d.e", "e30.e30.e30.e30.e30"] {
            assert!(matches!(open(text, b"FAKE password").err(), Some(Closed::Form(_))), "{text}");
        }
    }

    #[test]
    fn times_as_go_prints_them() {
        assert_eq!(
            go_time("2026-01-05 13:35:45.123456789 -0830 PST m=+0.012345678"),
            Instant::parse("2026-01-05T22:05:45Z")
        );
        assert_eq!(go_time("2026-01-05"), None);
        assert_eq!(go_time(""), None);
    }
}
