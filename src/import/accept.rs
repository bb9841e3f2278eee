//! What a found credential is, whether it still is of use, and what of it may be stored.

use zeroize::Zeroizing;

use super::{Error, Found, Imported, RefreshToken, string};
use crate::agent::{Definition, Kind, expires_at};
use crate::clock::{DAY, Instant};
use crate::json::{self, Object, quote_into};
use crate::names::Account;
use crate::secret::Secret;
use crate::source::Life;

/// Judges what was found.
///
/// # Errors
/// When the agent does not take it, or it has expired.
pub fn accept(found: Found, account: &Account, definition: &Definition, now: Instant) -> Result<Imported, Error> {
    let Found { agent, value, created, expires, from } = found;
    let Some((kind, credential)) = recognise(definition, &value) else {
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

/// Members that hold an API key in files that could as well hold a login: that of Codex, and what
/// Headjack's documentation shows.
const API_KEYS: [&str; 2] = ["OPENAI_API_KEY", "api_key"];

/// The kind of what was found, and the credential without what is around it.
fn recognise<'a>(definition: &'a Definition, value: &Secret) -> Option<(&'a Kind, Secret)> {
    let trimmed = Secret::from_text(value.expose_text()?.trim());
    if let Some(kind) = definition.recognise(&trimmed) {
        return Some((kind, trimmed));
    }
    let text = trimmed.expose_text()?;
    API_KEYS.iter().find_map(|member| {
        let key = string(text, member)?;
        definition.recognise(&key).map(|kind| (kind, key))
    })
}

/// Leaves out what stands beside the login; the names of it. Claude Code keeps the logins of MCP
/// servers (`mcpOAuth`) in the same file, which no container has asked for.
fn only_the_login(kind: &Kind, credential: Secret) -> (Vec<String>, Secret) {
    let (Some(_), Some(text)) = (&kind.recognise.member, credential.expose_text()) else {
        return (Vec::new(), credential);
    };
    let Ok(object) = Object::read(text) else { return (Vec::new(), credential) };
    let roots = roots(kind);
    let foreign = |value: &str| value.starts_with(['{', '[']);
    let (stays, goes): (Vec<_>, Vec<_>) =
        object.0.iter().partition(|member| roots.contains(&&*member.key) || !foreign(member.value.get()));
    if goes.is_empty() {
        return (Vec::new(), credential);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 6));
    out.push(b'{');
    for (place, member) in stays.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quote_into(&mut out, &member.key);
        out.push(b':');
        out.extend_from_slice(member.value.get().as_bytes());
    }
    out.push(b'}');
    (goes.iter().map(|member| member.key.to_string()).collect(), Secret::new(std::mem::take(&mut *out)))
}

/// The outermost members that the definition speaks of.
fn roots(kind: &Kind) -> Vec<&str> {
    let of_files = kind.files.iter().flat_map(|file| file.member.iter().chain(file.set.keys()));
    let of_kind = kind.recognise.member.iter().chain(kind.expires.iter().map(|expires| &expires.member));
    of_files.chain(of_kind).map(|member| member.split('.').next().unwrap_or(member)).collect()
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
