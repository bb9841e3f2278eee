//! What stands in the way of a credential: variables and settings, of the container or of the host's directory that it
//! shares, that the agent prefers to what is delivered or that send its requests elsewhere.

use std::path::{Path, PathBuf};

use super::Error;
use super::home::{location, read_as_owner};
use super::order::AgentOrder;
use super::place::Surroundings;
use super::plan::Plan;
use super::shared::text_of_host;
use crate::agent::{ShadowSettings, member_text};
use crate::config::OnShadow;
use crate::oci::Spec;
use crate::secret::Secret;

/// Looks for them, and warns or refuses. `mounts` as for what is shared.
pub(super) fn plan(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    agent: &AgentOrder,
    on_shadow: OnShadow,
    mounts: Option<&Path>,
) -> Result<(), Error> {
    let set = |name: &&String| spec.process.variable(name).is_some_and(|value| !value.is_empty());
    let by = "set by the container";
    let beats = agent.rendering.shadow_env.iter().filter(set).map(|name| beaten(agent, name, by));
    let redirects = agent.rendering.redirect_env.iter().filter(set).map(|name| sent_away(agent, name, by));
    let mut found: Vec<String> = beats.chain(redirects).collect();
    let needs_home = agent.definition.as_ref().is_some_and(|definition| definition.needs_home);
    if needs_home && spec.process.variable("HOME") == Some("") {
        found.push(format!("HOME is empty in the container; {} does not find what was delivered then", agent.agent));
    }
    let mut seen = Vec::new();
    for file in &agent.rendering.shadow_settings {
        in_settings(&mut found, &mut seen, around, spec, (agent, file), mounts);
    }
    if let (OnShadow::Fail, false) = (on_shadow, found.is_empty()) {
        return Err(Error::Shadowed(found.swap_remove(0)));
    }
    plan.warnings.append(&mut found);
    Ok(())
}

/// Looks into the files of `file`, each once: the working directory may be the home directory.
fn in_settings<'a>(
    found: &mut Vec<String>,
    seen: &mut Vec<(PathBuf, &'a ShadowSettings)>,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    (agent, file): (&AgentOrder, &'a ShadowSettings),
    mounts: Option<&Path>,
) {
    let own = location(around, spec, &file.path, file.moved_by.as_ref());
    let cwd = Path::new(spec.process.cwd.as_deref().unwrap_or("/"));
    for path in std::iter::once(own.clone()).chain(file.also.iter().map(|path| cwd.join(path))) {
        let path: PathBuf = path.components().collect();
        if seen.contains(&(path.clone(), file)) {
            continue;
        }
        let shared = if path == own { text_of_host(around, agent, &file.path, mounts) } else { None };
        let text = match shared {
            Some((host, text)) => Some((text, format!("set in {} of the host, which is shared", host.display()))),
            None => {
                of_container(around, &path).map(|text| (text, format!("set in {} of the container", path.display())))
            }
        };
        if let Some((text, place)) = text {
            members(found, agent, file, (text.expose_text().unwrap_or_default(), &place));
        }
        seen.push((path, file));
    }
}

/// A file that cannot be read is none: the agent cannot read it either.
fn of_container(around: &Surroundings<'_>, path: &Path) -> Option<Secret> {
    let place = around.tree.walk(path).ok()?;
    Some(Secret::new(read_as_owner(around, &place, path).ok()??.into_bytes()))
}

fn members(found: &mut Vec<String>, agent: &AgentOrder, file: &ShadowSettings, (text, place): (&str, &str)) {
    let value = |member: &String| member_text(text, member).filter(|value| !["null", "\"\""].contains(value));
    let has = |member: &&String| value(member).is_some();
    found.extend(file.shadow.iter().filter(has).map(|member| beaten(agent, member, place)));
    found.extend(file.redirect.iter().filter(has).map(|member| sent_away(agent, member, place)));
    // The values of members are not shown: nobody knows what they are.
    let other = file.unless.iter().filter(|(member, wanted)| value(member).is_some_and(|value| value != **wanted));
    found.extend(
        other.map(|(member, wanted)| format!("{} (it would have to be {wanted})", beaten(agent, member, place))),
    );
}

fn beaten(agent: &AgentOrder, name: &str, place: &str) -> String {
    format!("{name} is {place}; {} uses it instead of what was delivered", agent.agent)
}

fn sent_away(agent: &AgentOrder, name: &str, place: &str) -> String {
    format!("{name} is {place}; {} sends its requests, with the credential, where it says", agent.agent)
}
