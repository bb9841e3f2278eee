//! What a found credential is, whether it still is of use, and what of it may be stored.

use super::{Error, Found, Imported, RefreshToken};
use crate::agent::{Definition, Kind, expires_at, only_the_login, unwrap};
use crate::clock::{DAY, Instant};
use crate::json;
use crate::names::Account;
use crate::secret::Secret;
use crate::source::Life;

/// Judges what was found.
///
/// # Errors
/// When the agent does not take it, or it has expired.
pub fn accept(found: Found, account: &Account, definition: &Definition, now: Instant) -> Result<Imported, Error> {
    let Found { agent, value, created, expires, from } = found;
    let Some((kind, credential)) = unwrap(definition, &value) else {
        return Err(Error::Unrecognised { agent, from, kinds: definition.kinds_text() });
    };
    let (left_out, credential) = only_the_login(kind, credential);
    let broken = |_| Error::Form { from: from.clone(), reason: "is no JSON object".to_owned() };
    let (refresh_token, credential) = without_refresh_token(kind, credential).map_err(broken)?;
    let lifetime = kind.lifetime_days.map(|days| Instant(created.unwrap_or(now).0 + i64::from(days) * DAY));
    // With a refresh token of its own the client renews it, so that it has no end here.
    let expires = match refresh_token {
        RefreshToken::Kept => None,
        _ => expires.or_else(|| expires_at(kind, &credential)).or(lifetime),
    };
    let title = kind.title.clone();
    if kind.expires.is_some() && expires.is_none() && refresh_token != RefreshToken::Kept {
        return Err(Error::Endless { agent, kind: title, from, login: definition.login.clone() });
    }
    if let Life::Expired { since } = Life::of(expires, now) {
        return Err(Error::Expired { agent, kind: title, from, since, login: definition.login.clone() });
    }
    let account = account.clone();
    Ok(Imported { agent, account, credential, kind: title, created, expires, refresh_token, left_out, from })
}

/// Takes out a refresh token that can be used once.
fn without_refresh_token(kind: &Kind, credential: Secret) -> serde_json::Result<(RefreshToken, Secret)> {
    let (Some(refresh), Some(text)) = (&kind.refresh, credential.expose_text()) else {
        return Ok((RefreshToken::None, credential));
    };
    let path: Vec<&str> = refresh.token.split('.').collect();
    match json::get(text, &path)? {
        None => Ok((RefreshToken::None, credential)),
        Some("null" | "\"\"") if refresh.reusable => Ok((RefreshToken::None, credential)),
        Some(_) if refresh.reusable => Ok((RefreshToken::Kept, credential)),
        // Set even where it is empty already: Codex takes an empty one, and no other.
        Some(_) => {
            let blanked = json::set(text, &path, "\"\"", true)?;
            let credential = blanked.map_or(credential, |mut text| Secret::new(std::mem::take(&mut *text)));
            Ok((RefreshToken::LeftOut, credential))
        }
    }
}
