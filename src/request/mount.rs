//! Requests by bind mount: `-v $(keyslip request claude):/request:ro`, for engines that carry no
//! annotations (docker 20.10, buildah, old compose) or carry an image's.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Error, Request};
use crate::oci::Spec;

/// The request directory below the runtime directory.
pub const DIRECTORY: &str = "request";

/// The source of a mount in the request directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Its directory has a random name, `request/<32 hexadecimal digits>/NAME`: nobody can have led an
    /// engine there who was not told.
    pub is_secret: bool,
    /// What it asks for.
    pub name: Cow<'a, str>,
}

/// What the text of a mount's source asks for, if it lies in the request directory. The text is
/// compared and nothing is resolved: a link in a repository must not forge consent. Some engines
/// resolve links themselves before they write the text; for those only a secret name counts.
#[must_use]
pub fn requested<'a>(source: &'a str, directory: &Path) -> Option<Source<'a>> {
    let rest = source.strip_prefix(directory.to_str()?)?.strip_prefix('/')?;
    let (is_secret, name) = match rest.split_once('/') {
        None => (false, rest),
        Some((secret, name)) => {
            let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            (secret.len() == 32 && secret.bytes().all(is_hex)).then_some((true, name))?
        }
    };
    (!name.is_empty() && !name.contains('/')).then_some(Source { is_secret, name: name.into() })
}

/// What buildah calls the places where it mounts the sources of a build's volumes first, below its bundle;
/// the specification has these places, not the sources (buildah 1.28 to 1.39, `podman build` too).
const STAGED: &str = "mnt/buildah-bind-target-";

/// Whether the bundle is one of a build, in which the text of a source says nothing.
#[must_use]
pub fn is_staged(bundle: &Path, text: &str) -> bool {
    let name = bundle.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"buildah"));
    name && memchr::memmem::find(text.as_bytes(), STAGED.as_bytes()).is_some()
}

/// What a mount asks for whose source buildah has mounted elsewhere first. It is known by being the same
/// file as an entry with a secret name; the way to that was closed to everybody who was not told.
fn staged(source: &str, directory: &Path, bundle: &Path) -> Option<Source<'static>> {
    source.strip_prefix(bundle.to_str()?)?.strip_prefix('/')?.strip_prefix(STAGED)?;
    let identity = |path: &Path| fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()));
    let wanted = identity(Path::new(source))?;
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut secret = entries(directory).flat_map(|dir| entries(&dir.path()).collect::<Vec<_>>());
    let path = secret.find(|entry| identity(&entry.path()) == Some(wanted))?.path();
    let found = requested(path.to_str()?, directory).filter(|found| found.is_secret)?;
    Some(Source { is_secret: true, name: found.name.into_owned().into() })
}

/// What the mounts of a specification ask for.
#[derive(Debug, Default)]
pub struct Mounts {
    /// By a secret name.
    pub secret: Request,
    /// By a name that anybody can know.
    pub plain: Request,
    /// Positions of the former.
    pub secret_at: Vec<usize>,
    /// Positions of the latter.
    pub plain_at: Vec<usize>,
}

/// Reads the mounts whose source lies in `directory`. A name is an agent (`claude`, `codex@work`) or
/// `secret.NAME`.
pub(super) fn read(spec: &Spec<'_>, directory: &Path, bundle: &Path) -> Result<Mounts, Error> {
    let mut mounts = Mounts::default();
    for (index, mount) in spec.mounts.iter().enumerate().filter(|(_, mount)| mount.is_bind()) {
        let known = |source| requested(source, directory).or_else(|| staged(source, directory, bundle));
        let Some(source) = mount.source.as_deref().and_then(known) else { continue };
        let named = |error| Error::Name { place: format!("request mount {:.64}", source.name), source: error };
        let (request, positions) = match source.is_secret {
            true => (&mut mounts.secret, &mut mounts.secret_at),
            false => (&mut mounts.plain, &mut mounts.plain_at),
        };
        match source.name.strip_prefix("secret.") {
            Some(secret) => request.add_secret(secret.parse().map_err(named)?)?,
            None => request.add_agent(source.name.parse().map_err(named)?)?,
        }
        positions.push(index);
    }
    Ok(mounts)
}
