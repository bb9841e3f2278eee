//! What a found credential is, whether it still is of use, and what of it may be stored.

use super::{Error, Found, Imported, RefreshToken};
use crate::agent::{Definition, expires_at, has_refresh_token, only_the_login, unwrap, without_refresh_token};
use crate::clock::{DAY, Instant};
use crate::names::Account;
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
    let reusable = kind.refresh.as_ref().is_some_and(|refresh| refresh.reusable);
    let (refresh_token, credential) = match has_refresh_token(kind, &credential) {
        true if reusable => (RefreshToken::Kept, credential),
        has => {
            let broken = || Error::Form { from: from.clone(), reason: "is no JSON object".to_owned() };
            let blanked = without_refresh_token(kind, credential).ok_or_else(broken)?;
            (if has { RefreshToken::LeftOut } else { RefreshToken::None }, blanked)
        }
    };
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
