//! Requests by bind mount: `-v /run/keyslip/request/claude:/request:ro`, for engines that carry no
//! annotations (docker 20.10, buildah, old compose).

use std::path::Path;

use super::{Error, Request};
use crate::oci::Spec;

/// The request directory below the runtime directory.
pub const DIRECTORY: &str = "request";

/// What the text of a mount's source asks for, if it lies in the request directory. The text is
/// compared and nothing is resolved: a link in a repository must not forge consent.
#[must_use]
pub fn requested<'a>(source: &'a str, directory: &Path) -> Option<&'a str> {
    let rest = source.strip_prefix(directory.to_str()?)?.strip_prefix('/')?;
    (!rest.is_empty() && !rest.contains('/')).then_some(rest)
}

/// Reads the mounts whose source lies in `directory`; also says which they are. A name is an agent
/// (`claude`, `codex@work`) or `secret.NAME`.
pub(super) fn read(spec: &Spec<'_>, directory: &Path) -> Result<(Request, Vec<usize>), Error> {
    let mut request = Request::default();
    let mut positions = Vec::new();
    for (index, mount) in spec.mounts.iter().enumerate().filter(|(_, mount)| mount.is_bind()) {
        let Some(name) = mount.source.as_deref().and_then(|source| requested(source, directory)) else { continue };
        let named = |source| Error::Name {
            place: format!("request mount {:.80}", mount.source.as_deref().unwrap_or("")),
            source,
        };
        match name.strip_prefix("secret.") {
            Some(secret) => request.add_secret(secret.parse().map_err(named)?)?,
            None => request.add_agent(name.parse().map_err(named)?)?,
        }
        positions.push(index);
    }
    Ok((request, positions))
}
