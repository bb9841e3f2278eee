//! The grant itself, RFC 6749 section 6: a refresh token goes out, a new login comes back.

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Error;
use super::http::{Http, LONGEST_ANSWER, Response, is_object, server};
use crate::agent::{ExpiryUnit, Kind, Refresh, RefreshBody, expires_at};
use crate::clock::{DAY, Instant};
use crate::json::{self, Object};
use crate::secret::Secret;

/// How long an access token is taken to last whose answer does not say: RFC 6749 only recommends that
/// it does.
const UNSAID_LIFE: i64 = 3600;

/// Longest life that is believed.
const LONGEST_LIFE: i64 = 10 * 365 * DAY;

/// A login that has been renewed.
#[derive(Debug)]
pub struct Renewed {
    /// Its JSON; what the answer says nothing about is as it was.
    pub credential: Secret,
    /// Until when it is valid.
    pub expires: Option<Instant>,
}

/// What the server gave for the refresh token, not yet looked into.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Secret,
    pub(super) received: Instant,
}

/// Sends the refresh token of `credential` and returns the login that came of it.
///
/// # Errors
/// When the login is gone, when the server cannot be reached or fails, or when what it says is of no
/// use.
pub fn renew(kind: &Kind, credential: &Secret, http: &Http) -> Result<Renewed, Error> {
    let refresh = kind.refresh.as_ref().ok_or(Error::NotRenewable)?;
    let answer = ask(refresh, &refresh_token(refresh, credential)?, http)?;
    apply(kind, credential, &answer)
}

/// The refresh token of a login.
pub(super) fn refresh_token(refresh: &Refresh, credential: &Secret) -> Result<Secret, Error> {
    let path: Vec<&str> = refresh.token.split('.').collect();
    let text = credential.expose_text().ok_or(Error::Credential)?;
    let raw = json::get(text, &path).map_err(|_| Error::Credential)?;
    raw.and_then(string).ok_or(Error::NoRefreshToken)
}

/// Sends a refresh token.
pub(super) fn ask(refresh: &Refresh, token: &Secret, http: &Http) -> Result<Answer, Error> {
    let (media_type, body) = request(refresh, token)?;
    let response = http.post(&refresh.endpoint, media_type, &body)?;
    let Response { server, status, body, cut_off } = response;
    if !(200..300).contains(&status) {
        return Err(refusal(server, status, &body));
    }
    let received = Instant::now();
    if is_object(body.expose()) {
        // A whole answer is whole, however the connection ended.
        return Ok(Answer { body, received });
    }
    let reason = if body.len() > LONGEST_ANSWER { "is longer than 64 KiB" } else { "is no JSON object" };
    Err(cut_off.unwrap_or(Error::Answer { server, reason }))
}

/// The request's media type and body.
fn request(refresh: &Refresh, token: &Secret) -> Result<(&'static str, Secret), Error> {
    let token = token.expose_text().ok_or(Error::Credential)?;
    let mut members =
        vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &refresh.client_id)];
    members.extend(refresh.client_secret.as_deref().map(|secret| ("client_secret", secret)));
    members.extend(refresh.scope.as_deref().map(|scope| ("scope", scope)));
    let longest: usize = members.iter().map(|(name, value)| name.len() + 6 * value.len() + 8).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(longest + 2));
    for (name, value) in members {
        let first = body.is_empty();
        match refresh.body {
            RefreshBody::Json => {
                body.extend_from_slice(if first { b"{" } else { b"," });
                json::quote_into(&mut body, name);
                body.push(b':');
                json::quote_into(&mut body, value);
            }
            RefreshBody::Form => {
                body.extend_from_slice(if first { b"" } else { b"&" });
                body.extend_from_slice(name.as_bytes());
                body.push(b'=');
                percent_into(&mut body, value);
            }
        }
    }
    let media_type = match refresh.body {
        RefreshBody::Json => {
            body.push(b'}');
            "application/json"
        }
        RefreshBody::Form => "application/x-www-form-urlencoded",
    };
    Ok((media_type, Secret::new(std::mem::take(&mut *body))))
}

/// Appends `text` as a value of a form.
fn percent_into(out: &mut Vec<u8>, text: &str) {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    for piece in utf8_percent_encode(text, ESCAPED) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Error codes that are known, so that none is repeated that the server made up: those of RFC 6749,
/// section 5.2, and those of auth.openai.com, as codex 0.169.0 has them.
const LOGIN_IS_GONE: [&str; 4] =
    ["invalid_grant", "refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated"];
const CLIENT_IS_WRONG: [&str; 5] =
    ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"];

/// Why the server gave no token.
fn refusal(server: String, status: u16, body: &Secret) -> Error {
    let code = body.expose_text().and_then(error_code).unwrap_or_default();
    let known = |codes: &'static [&'static str]| codes.iter().find(|known| **known == code).copied();
    match status {
        300..400 => Error::Redirected { server, status },
        400..404 => match (known(&LOGIN_IS_GONE), known(&CLIENT_IS_WRONG)) {
            (Some(code), _) => Error::Refused { server, code, interrupted: None },
            (_, Some(code)) => Error::Client { server, code },
            // Without a word of why: codex takes it for a refusal as well.
            (None, None) if status == 401 => Error::Refused { server, code: "status 401", interrupted: None },
            (None, None) => Error::Server { server, status },
        },
        _ => Error::Server { server, status },
    }
}

/// `{"error":"invalid_grant"}`, or, as Anthropic and `OpenAI` have it, an object with `type` or `code`.
fn error_code(body: &str) -> Option<String> {
    for path in [&["error"][..], &["error", "code"], &["error", "type"], &["code"]] {
        let text = json::get(body, path).ok().flatten().and_then(|raw| serde_json::from_str::<String>(raw).ok());
        if text.is_some() {
            return text;
        }
    }
    None
}

/// The login with what the answer brought.
pub(super) fn apply(kind: &Kind, credential: &Secret, answer: &Answer) -> Result<Renewed, Error> {
    let refresh = kind.refresh.as_ref().ok_or(Error::NotRenewable)?;
    let useless =
        |reason| server(&refresh.endpoint).map_or_else(|error| error, |server| Error::Answer { server, reason });
    let text = answer.body.expose_text().ok_or_else(|| useless("is no text"))?;
    let members = Object::read(text).map_err(|_| useless("is no JSON object"))?;
    if members.get("access_token").and_then(|raw| string(raw.get())).is_none() {
        return Err(useless("has no access token"));
    }
    let mut login = credential.clone();
    for (member, from) in &refresh.set {
        let given = members.get(from).map(RawValue::get).filter(|raw| !matches!(*raw, "null" | r#""""#));
        if let Some(value) = given {
            set(&mut login, member, value)?;
        }
    }
    if let Some(member) = &refresh.renewed_at {
        set(&mut login, member, &json::quote(&answer.received.to_string()))?;
    }
    let life = members.get("expires_in").and_then(|raw| seconds(raw.get())).unwrap_or(UNSAID_LIFE);
    let end = Instant(answer.received.0 + life);
    if let Some(expires) = &kind.expires {
        match expires.unit {
            ExpiryUnit::Seconds => set(&mut login, &expires.member, &end.0.to_string())?,
            ExpiryUnit::Milliseconds => set(&mut login, &expires.member, &(end.0 * 1000).to_string())?,
            ExpiryUnit::Jwt => {}
        }
    }
    let expires = expires_at(kind, &login).or(Some(end));
    Ok(Renewed { credential: login, expires })
}

/// Sets a member of a login to a JSON value.
fn set(login: &mut Secret, member: &str, value: &str) -> Result<(), Error> {
    let path: Vec<&str> = member.split('.').collect();
    let text = login.expose_text().ok_or(Error::Credential)?;
    if let Some(mut changed) = json::set(text, &path, value, true).map_err(|_| Error::Credential)? {
        *login = Secret::new(std::mem::take(&mut *changed));
    }
    Ok(())
}

/// A JSON string that is not empty.
fn string(raw: &str) -> Option<Secret> {
    let text: String = serde_json::from_str(raw).ok()?;
    Some(Secret::new(text.into_bytes())).filter(|text| !text.is_empty())
}

/// `3600`, `3600.5` or `"3600"`: how long something lasts.
fn seconds(raw: &str) -> Option<i64> {
    let whole = raw.trim_matches('"').split('.').next()?;
    whole.parse().ok().filter(|life| (1..=LONGEST_LIFE).contains(life))
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
