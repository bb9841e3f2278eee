//! Requests by annotation: `dev.keyslip.agents: "claude, codex@work"`.

use super::{Error, Request};
use crate::oci::Spec;

/// What every key begins with.
pub const PREFIX: &str = "dev.keyslip.";

/// The key that Keyslip itself writes: the name of the container's directory.
pub const SANDBOX: &str = "dev.keyslip.sandbox";

/// Longest value quoted back in an error.
const QUOTED: usize = 64;

/// Reads the annotations that begin with [`PREFIX`].
pub(super) fn read(spec: &Spec<'_>) -> Result<Request, Error> {
    let mut request = Request::default();
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in &spec.annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        if key == SANDBOX {
            continue;
        }
        if seen.contains(&name) {
            return Err(Error::Twice { key: shortened(key) });
        }
        seen.push(name);
        match name {
            "agents" => {
                for item in items(value) {
                    request
                        .add_agent(item.parse().map_err(|source| Error::Name { place: key.to_string(), source })?)?;
                }
            }
            "secrets" => {
                for item in items(value) {
                    request
                        .add_secret(item.parse().map_err(|source| Error::Name { place: key.to_string(), source })?)?;
                }
            }
            "template" => {
                let name = value.trim().parse().map_err(|source| Error::Name { place: key.to_string(), source })?;
                request.template = Some(name);
            }
            "user" => request.user = Some(user(key, value)?),
            "on-missing" => match value.trim() {
                "fail" => request.must_not_miss = true,
                _ => return Err(invalid(key, value, "\"fail\": a container may only be stricter than its host")),
            },
            _ => return Err(Error::UnknownKey { key: shortened(key) }),
        }
    }
    if !seen.is_empty() && !["agents", "secrets", "template"].iter().any(|key| seen.contains(key)) {
        return Err(Error::NothingAsked);
    }
    Ok(request)
}

/// A user name or number, as `/etc/passwd` could have it.
fn user(key: &str, value: &str) -> Result<String, Error> {
    let name = value.trim();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-$".contains(&b);
    if !name.is_empty() && name.len() <= 32 && name.bytes().all(fits) && !name.starts_with('-') {
        return Ok(name.to_owned());
    }
    Err(invalid(key, value, "a user name or number of at most 32 characters"))
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    // podman 4.3 splits its own option at commas, so white space separates too.
    value.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|item| !item.is_empty())
}

fn shortened(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

fn invalid(key: &str, value: &str, rule: &'static str) -> Error {
    Error::Value { key: key.to_owned(), value: shortened(value), rule }
}
