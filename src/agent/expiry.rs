//! Until when a credential is valid, by its own account.

use serde::Deserialize;

use super::{ExpiryUnit, Kind, has_refresh_token, member_text};
use crate::clock::Instant;
use crate::secret::Secret;

/// The end of `credential`, if it says so itself.
#[must_use]
pub fn expires_at(kind: &Kind, credential: &Secret) -> Option<Instant> {
    let expires = kind.expires.as_ref()?;
    if is_renewed_inside(kind, credential) {
        return None;
    }
    let raw = member_text(credential.expose_text()?, &expires.member)?;
    match expires.unit {
        ExpiryUnit::Seconds => number(raw).map(Instant),
        ExpiryUnit::Milliseconds => number(raw).map(|at| Instant(at / 1000)),
        ExpiryUnit::Jwt => jwt(raw.trim_matches('"')),
    }
}

/// Whether the client renews it by itself, with a refresh token that is delivered with it.
#[must_use]
pub fn is_renewed_inside(kind: &Kind, credential: &Secret) -> bool {
    kind.refresh.as_ref().is_some_and(|refresh| refresh.reusable) && has_refresh_token(kind, credential)
}

/// A number; a fraction is cut off.
fn number(raw: &str) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)]
    raw.parse::<i64>()
        .ok()
        .or_else(|| raw.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number as i64))
}

/// The claim `exp` of a JSON web token. Nothing is verified: it is our own credential.
fn jwt(token: &str) -> Option<Instant> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = zeroize::Zeroizing::new(base64url(token.split('.').nth(1)?)?);
    #[allow(clippy::cast_possible_truncation)]
    serde_json::from_slice::<Claims>(&payload).ok().map(|claims| Instant(claims.exp as i64))
}

/// Base64 with `-` and `_`, padding optional (RFC 4648, section 5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() * 3 / 4 + 3);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for (place, byte) in group.iter().enumerate() {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits |= u32::from(value) << (18 - 6 * place);
        }
        let bytes = bits.to_be_bytes();
        match group.len() {
            4 => out.extend_from_slice(&bytes[1..4]),
            3 => out.extend_from_slice(&bytes[1..3]),
            2 => out.push(bytes[1]),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_as_in_rfc_4648() {
        for (text, bytes) in
            [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base64url(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64url("a"), None);
        assert_eq!(base64url("a+b/"), None);
    }

    #[test]
    fn a_jwt_says_when_it_ends() {
        // {"alg":"none"} . {"exp":1790000000}
        assert_eq!(jwt("eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTAwMDAwMDB9."), Some(Instant(1_790_000_000)));
        assert_eq!(jwt("not-a-jwt"), None);
        // {"exp":1790000000.5}
        assert_eq!(jwt("eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTAwMDAwMDAuNX0."), Some(Instant(1_790_000_000)));
        assert_eq!((number("1.79e12"), number("1790000000123.7")), (Some(1_790_000_000_000), Some(1_790_000_000_123)));
        assert_eq!((number("null"), number("\"1\"")), (None, None));
    }
}
