//! From a credential to variables and files.

use zeroize::Zeroizing;

use super::{CredentialFile, Definition, Error, Kind, MovedBy, SettingsFile, ShadowSettings, TokenEnd, member_text};
use crate::clock::{DAY, Instant};
use crate::json;
use crate::names::{AgentName, EnvName};
use crate::oci::EnvVar;
use crate::secret::Secret;

/// Longest `NAME=value` the kernel takes (`MAX_ARG_STRLEN`, 32 pages of 4 KiB, less the NUL).
const LONGEST_VARIABLE: usize = 32 * 4096 - 1;

/// What most agents take for no login at all.
pub const EMPTY: &str = "{}";

/// What makes an agent authenticated.
#[derive(Debug, Default)]
pub struct Rendering {
    /// Variables.
    pub env: Vec<EnvVar>,
    /// Files with a credential in them.
    pub files: Vec<RenderedFile>,
    /// Settings to merge.
    pub settings: Vec<SettingsFile>,
    /// What stands for `{{token_end_20}}` in them.
    pub token_end: Option<TokenEnd>,
    /// Variables that the agent would use in place of ours.
    pub shadow_env: Vec<String>,
    /// Variables that would send the credential somewhere else.
    pub redirect_env: Vec<String>,
    /// Settings that would do one or the other.
    pub shadow_settings: Vec<ShadowSettings>,
}

impl Rendering {
    /// Adds the settings of a kind. Those that name the end of a credential are left out where there is none.
    pub fn add_settings(&mut self, kind: &Kind, token_end: Option<TokenEnd>) {
        let fits =
            |file: &&SettingsFile| token_end.is_some() || !file.set.values().any(|it| it.contains(TokenEnd::PLACE));
        self.settings.extend(kind.settings.iter().filter(fits).cloned());
        self.token_end = token_end;
    }
}

/// A file with a credential in it.
#[derive(Debug)]
pub struct RenderedFile {
    /// Its path below the home directory.
    pub path: String,
    /// A variable that moves it.
    pub moved_by: Option<MovedBy>,
    /// Its content; none while the credential is pending.
    pub content: Secret,
    /// What the agent takes for no login at all, where that is not `{}`.
    pub empty: Option<String>,
    /// The agent writes it.
    pub writable: bool,
    /// There is no credential yet: the file only keeps the place for one.
    pub pending: bool,
}

/// Renders `credential` of the kind `kind`. `with_env` says whether variables can be delivered.
///
/// # Errors
/// When a part the definition names is not in the credential, or a variable cannot carry it.
pub fn render(
    agent: &AgentName,
    definition: &Definition,
    kind: &Kind,
    credential: &Secret,
    expires: Option<Instant>,
    with_env: bool,
) -> Result<Rendering, Error> {
    // One newline at the end is what an editor or `echo` left there.
    let text = credential.expose_text().ok_or_else(|| missing(agent, "text"))?.trim_end_matches(['\n', '\r']);
    let mut rendering = Rendering {
        shadow_env: kind.shadow_env.clone(),
        redirect_env: definition.redirect_env.clone(),
        shadow_settings: definition.shadow_settings.clone(),
        ..Rendering::default()
    };
    if with_env {
        for (name, member) in &kind.env {
            let value = if member.is_empty() { Secret::from_text(text) } else { string(agent, text, member)? };
            rendering.env.push(variable(name.parse().map_err(|_| missing(agent, name))?, value)?);
        }
    }
    for file in kind.files.iter().filter(|file| !(file.only_without_env && with_env)) {
        rendering.files.push(RenderedFile {
            path: file.path.clone(),
            moved_by: file.moved_by.clone(),
            content: content(agent, file, text, expires)?,
            empty: file.empty.clone(),
            writable: file.writable,
            pending: false,
        });
    }
    rendering.settings = definition.settings.clone();
    rendering.add_settings(kind, rendering.env.first().and_then(|var| TokenEnd::of(&var.value)));
    // What is there is left as it is, so another value is in the way; the end of a credential is added to what is there.
    rendering.shadow_settings.extend(kind.settings.iter().cloned().map(|SettingsFile { path, moved_by, mut set }| {
        set.retain(|_, value| !value.contains(TokenEnd::PLACE));
        ShadowSettings { path, moved_by, unless: set, ..ShadowSettings::default() }
    }));
    Ok(rendering)
}

/// Renders what an agent gets while there is no credential: its settings, and every file it could
/// take one from, empty and writable, so that one can be brought later, or the user can log in
/// inside.
#[must_use]
pub fn render_pending(definition: &Definition) -> Rendering {
    let mut rendering = Rendering { settings: definition.settings.clone(), ..Rendering::default() };
    for file in definition.kinds.iter().flat_map(|kind| &kind.files) {
        if !rendering.files.iter().any(|other| other.path == file.path) {
            rendering.files.push(RenderedFile {
                path: file.path.clone(),
                moved_by: file.moved_by.clone(),
                content: Secret::from_text(file.empty.as_deref().unwrap_or(EMPTY)),
                empty: file.empty.clone(),
                writable: true,
                pending: true,
            });
        }
    }
    rendering
}

/// Renders the content of a secret file for `auth_env_var`. One newline at the end is dropped, as
/// `$(cat FILE)` in a shell drops it.
///
/// # Errors
/// When the variable cannot carry it.
pub fn render_secret(name: &EnvName, content: &Secret) -> Result<EnvVar, Error> {
    let bytes = content.expose();
    let trimmed = bytes.strip_suffix(b"\n").map_or(bytes, |bytes| bytes.strip_suffix(b"\r").unwrap_or(bytes));
    variable(name.clone(), Secret::new(trimmed.to_vec()))
}

/// Checks that the kernel and the runtimes' JSON can carry `value`.
fn variable(name: EnvName, value: Secret) -> Result<EnvVar, Error> {
    let bytes = value.expose();
    let reason = if bytes.contains(&0) {
        "holds a NUL byte, which no variable can carry"
    } else if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        "holds a line break in the middle; a credential for a variable is one line"
    } else if bytes.is_empty() {
        "is empty"
    } else if bytes.len() + name.as_str().len() + 1 > LONGEST_VARIABLE {
        "is longer than the 128 KiB that the kernel allows for a variable"
    } else if value.expose_text().is_none() {
        "is not UTF-8, which config.json requires"
    } else {
        return Ok(EnvVar { name, value });
    };
    Err(Error::Value { name, reason })
}

fn content(agent: &AgentName, file: &CredentialFile, text: &str, expires: Option<Instant>) -> Result<Secret, Error> {
    if let Some(template) = &file.template {
        return Ok(fill(template, text, expires));
    }
    let part = match &file.member {
        Some(member) => member_text(text, member).ok_or_else(|| missing(agent, member))?,
        None => text,
    };
    let mut out = Zeroizing::new(part.as_bytes().to_vec());
    let belongs = |member: &&String| has_place(part, member);
    let blanks = file.blank.iter().filter(belongs).map(|member| (member.as_str(), "\"\""));
    let sets = file.set.iter().map(|(member, value)| (member.as_str(), value.as_str()));
    for (member, value) in blanks.chain(sets) {
        let path: Vec<&str> = member.split('.').collect();
        let now = std::str::from_utf8(&out).map_err(|_| missing(agent, member))?;
        if let Some(changed) = json::set(now, &path, value, true).map_err(|_| missing(agent, member))? {
            out = changed;
        }
    }
    Ok(Secret::new(std::mem::take(&mut *out)))
}

/// Whether there is an object that `member` belongs into.
fn has_place(text: &str, member: &str) -> bool {
    member.rsplit_once('.').is_none_or(|(outer, _)| member_text(text, outer).is_some())
}

/// Fills in `"{{token}}"`, as a JSON string, and `"{{expires_ms}}"`, as a number.
fn fill(template: &str, token: &str, expires: Option<Instant>) -> Secret {
    let end = expires.unwrap_or_else(|| Instant(Instant::now().0 + 365 * DAY));
    let template = template.replace("\"{{expires_ms}}\"", &end.0.saturating_mul(1000).to_string());
    let mut out = Vec::with_capacity(template.len() + token.len() * 6 + 2);
    let mut pieces = template.split("\"{{token}}\"");
    out.extend_from_slice(pieces.next().unwrap_or("").as_bytes());
    for piece in pieces {
        json::quote_into(&mut out, token);
        out.extend_from_slice(piece.as_bytes());
    }
    Secret::new(out)
}

/// The string that is `member`.
fn string(agent: &AgentName, text: &str, member: &str) -> Result<Secret, Error> {
    let raw = member_text(text, member).ok_or_else(|| missing(agent, member))?;
    let value: String = serde_json::from_str(raw).map_err(|_| missing(agent, member))?;
    Ok(Secret::new(value.into_bytes()))
}

fn missing(agent: &AgentName, member: &str) -> Error {
    Error::Member { agent: agent.clone(), member: member.to_owned() }
}
