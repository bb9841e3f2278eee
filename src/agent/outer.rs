//! What stands around a login in the file of a client.

use zeroize::Zeroizing;

use super::{Definition, Kind, member_text};
use crate::json::{self, Object, quote_into};
use crate::secret::Secret;

/// Members that hold an API key in files that could as well hold a login: that of Codex, and what
/// Headjack's documentation shows.
const API_KEYS: [&str; 2] = ["OPENAI_API_KEY", "api_key"];

/// The kind of a login of a client, and the credential without what is around it: an API key in the file
/// that could as well hold a login is the key alone.
#[must_use]
pub fn unwrap<'a>(definition: &'a Definition, value: &Secret) -> Option<(&'a Kind, Secret)> {
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
#[must_use]
pub fn only_the_login(kind: &Kind, credential: Secret) -> (Vec<String>, Secret) {
    let (Some(_), Some(text)) = (&kind.recognise.member, credential.expose_text()) else {
        return (Vec::new(), credential);
    };
    let Ok(object) = Object::read(text) else { return (Vec::new(), credential) };
    let roots = roots(kind);
    // A key beside a login is another credential, and one without an end.
    let foreign =
        |key: &str, value: &str| value.starts_with(['{', '[']) || (API_KEYS.contains(&key) && value.starts_with('"'));
    let (stays, goes): (Vec<_>, Vec<_>) =
        object.0.iter().partition(|member| roots.contains(&&*member.key) || !foreign(&member.key, member.value.get()));
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

/// Whether `login` has a refresh token, and not only the place of one.
#[must_use]
pub fn has_refresh_token(kind: &Kind, login: &Secret) -> bool {
    let Some(text) = login.expose_text() else { return false };
    refresh_tokens(kind).any(|token| member_text(text, token).is_some_and(|raw| raw != "\"\"" && raw != "null"))
}

/// `login` with an empty refresh token. It is set even where it is empty already: Codex takes an empty
/// one, and no other. Nothing when it cannot be taken out: then nothing may be done with the login.
#[must_use]
pub fn without_refresh_token(kind: &Kind, login: Secret) -> Option<Secret> {
    let mut login = login;
    for token in refresh_tokens(kind) {
        let (text, path) = (login.expose_text()?, token.split('.').collect::<Vec<_>>());
        if json::get(text, &path).ok()?.is_none() {
            continue;
        }
        if let Some(mut blanked) = json::set(text, &path, "\"\"", true).ok()? {
            login = Secret::new(std::mem::take(&mut *blanked));
        }
    }
    Some(login)
}

/// The members that hold refresh tokens: the one by which the login is renewed, and those that are emptied in
/// every container.
fn refresh_tokens(kind: &Kind) -> impl Iterator<Item = &str> {
    let whole = kind.files.iter().filter(|file| file.member.is_none());
    let renewing = kind.refresh.iter().map(|refresh| refresh.token.as_str());
    renewing.chain(whole.flat_map(|file| &file.blank).map(String::as_str))
}

fn string(text: &str, member: &str) -> Option<Secret> {
    let raw = json::get(text, &[member]).ok()??;
    serde_json::from_str::<String>(raw).ok().map(|value| Secret::new(value.into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn claude() -> Definition {
        Definition::find(&"claude".parse().unwrap(), Path::new("/nonexistent")).unwrap().unwrap()
    }

    #[test]
    fn logins_of_others_in_the_same_file_are_left_out() {
        let file = Secret::from_text(
            r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE"},"mcpOAuth":{"s":{"accessToken":"FAKE-mcp"}},"version":2,"list":["FAKE"]}"#,
        );
        let claude = claude();
        let (kind, login) = unwrap(&claude, &file).unwrap();
        let (left_out, login) = only_the_login(kind, login);
        assert_eq!(left_out, ["mcpOAuth", "list"]);
        assert_eq!(login.expose_text(), Some(r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE"},"version":2}"#));
    }

    #[test]
    fn the_members_that_a_definition_delivers_stay() {
        let gemini = Definition::find(&"gemini".parse().unwrap(), Path::new("/nonexistent")).unwrap().unwrap();
        let whole = r#"{"google_accounts":{"active":"x"},"oauth_creds":{"access_token":"ya29.FAKE"}}"#;
        let file = Secret::from_text(whole);
        let (kind, login) = unwrap(&gemini, &file).unwrap();
        assert_eq!(only_the_login(kind, login).1.expose_text(), Some(whole));
    }

    #[test]
    fn a_refresh_token_is_taken_out_or_the_login_is_not_used() {
        let claude = claude();
        let kind = claude.kinds.iter().find(|kind| kind.refresh.is_some()).unwrap();
        for (token, has) in [("\"sk-ant-ort01-FAKE\"", true), ("\"\"", false), ("null", false), ("{\"x\":1}", true)] {
            let login = format!(r#"{{"claudeAiOauth":{{"accessToken":"a","refreshToken":{token}}}}}"#);
            let login = Secret::from_text(&login);
            assert_eq!(has_refresh_token(kind, &login), has, "{token}");
            let blanked = without_refresh_token(kind, login).unwrap();
            assert_eq!(blanked.expose_text(), Some(r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":""}}"#));
        }
        let broken = Secret::from_text(r#"{"claudeAiOauth":{"refreshToken":"sk-ant-ort01-FAKE"}"#);
        assert!(without_refresh_token(kind, broken).is_none());
    }

    #[test]
    fn a_key_beside_a_login_is_left_out() {
        let codex = Definition::find(&"codex".parse().unwrap(), Path::new("/nonexistent")).unwrap().unwrap();
        let file =
            Secret::from_text(r#"{"OPENAI_API_KEY":"sk-FAKE","tokens":{"access_token":"FAKE"},"last_refresh":"x"}"#);
        let (kind, login) = unwrap(&codex, &file).unwrap();
        let (left_out, login) = only_the_login(kind, login);
        assert_eq!(left_out, ["OPENAI_API_KEY"]);
        assert_eq!(login.expose_text(), Some(r#"{"tokens":{"access_token":"FAKE"},"last_refresh":"x"}"#));
    }

    #[test]
    fn a_key_in_the_file_of_a_login_is_the_key() {
        let codex = Definition::find(&"codex".parse().unwrap(), Path::new("/nonexistent")).unwrap().unwrap();
        let file = Secret::from_text(r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-FAKE"}"#);
        let (kind, key) = unwrap(&codex, &file).unwrap();
        assert_eq!((kind.name.as_str(), key.expose()), ("api-key", b"sk-FAKE".as_slice()));
    }
}
