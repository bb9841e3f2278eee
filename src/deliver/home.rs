//! The agents' own files below the home directory: each a mount of one file of our tmpfs.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::Error;
use super::mountpoint::{Kind, Mountpoint};
use super::order::AgentOrder;
use super::place::{Surroundings, Target};
use super::plan::{Claim, Plan, PlannedFile};
use super::tree::{Base, Found, Place};
use crate::agent::{MovedBy, RenderedFile, SettingsFile, member_text};
use crate::json;
use crate::ledger::FileRecord;
use crate::lifetime::in_place;
use crate::oci::Spec;
use crate::secret::Secret;
use crate::sys::FsIdentity;

/// Longest settings file of an image that is read to be merged with.
const LONGEST_SETTINGS: u64 = 4 << 20;

/// Plans the credential files of an agent; returns what is to be written down about them.
pub(super) fn credentials(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    order: &AgentOrder,
) -> Result<Vec<FileRecord>, Error> {
    let mut paths = Vec::new();
    for file in &order.rendering.files {
        match one_credential(plan, around, spec, file, order) {
            Ok(Some(path)) => paths.push(path),
            Ok(None) => {}
            // Keeping a place is no promise.
            Err(error) if file.pending => plan.warnings.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(paths)
}

fn one_credential(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    file: &RenderedFile,
    order: &AgentOrder,
) -> Result<Option<FileRecord>, Error> {
    let what = format!("the credential of {}", order.agent);
    let path = location(around, spec, &file.path, file.moved_by.as_ref());
    let target = around.target(&path, Kind::File, &what)?;
    if file.pending && target.place.found != Found::Missing {
        // The container brings a login of its own.
        return Ok(None);
    }
    if target.holds_somebodys_file() {
        let reason =
            "holds a login already, in a volume: whoever shares the volume could swap the file under us".to_owned();
        return Err(Error::Unusable { path, reason, what });
    }
    let mode = if file.writable { 0o600 } else { 0o400 };
    let inside = target.place.path.to_string_lossy().into_owned();
    // Room for a later credential: a write of the same length to one page is seen whole.
    let content = if file.writable && !file.pending { file.content.clone() } else { in_place::padded(&file.content) };
    let host = put(plan, around, target, content, mode, what, !file.pending)?;
    let owner = (around.owner.host_uid, around.owner.host_gid);
    Ok(Some(FileRecord { inside, host, path: Some(file.path.clone()), empty: file.empty.clone(), owner }))
}

/// Plans the settings of an agent: the file as the container has it, with the missing values
/// merged in. Settings are a convenience; what is in their way is a warning.
pub(super) fn settings(plan: &mut Plan, around: &Surroundings<'_>, spec: &Spec<'_>, order: &AgentOrder) {
    for file in &order.rendering.settings {
        let path = location(around, spec, &file.path, file.moved_by.as_ref());
        if let Err(error) = one_settings_file(plan, around, &path, file, order) {
            plan.warnings.push(format!("{} may ask before it starts: {error}", order.agent));
        }
    }
}

fn one_settings_file(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    path: &Path,
    file: &SettingsFile,
    order: &AgentOrder,
) -> Result<(), Error> {
    let what = format!("the settings of {}", order.agent);
    // Two agents, or two kinds of settings, may share a file: later values join the earlier ones.
    let walked = around.tree.walk(path)?;
    if let Some(planned) = plan.settings.iter().position(|(at, _)| *at == walked.path) {
        let index = plan.settings[planned].1;
        let now = plan.files[index].content.expose_text().unwrap_or("{}").to_owned();
        plan.files[index].content = merged(&now, file, path, &what)?.unwrap_or_else(|| Secret::from_text(&now));
        return Ok(());
    }
    let target = around.target(path, Kind::Json, &what)?;
    let of_host = plan.settings_of_host.iter().find(|(at, _)| at == path).and_then(|(_, text)| text.expose_text());
    let before = match of_host {
        Some(text) => Some(text.to_owned()),
        None => read_as_owner(around, &target.place, path)?,
    };
    let merged = merged(before.as_deref().unwrap_or("{}"), file, path, &what)?;
    let Some(content) = merged.or_else(|| of_host.map(Secret::from_text)) else { return Ok(()) };
    if of_host.is_none() && before.is_some() && matches!(target.place.base, Base::Volume { .. }) {
        plan.warnings.push(format!(
            "{} lies in a volume and lacks what {} needs; a copy with it is mounted over it, and changes to it end with the container",
            path.display(),
            order.agent
        ));
    }
    plan.settings.push((target.place.path.clone(), plan.files.len()));
    put(plan, around, target, content, 0o600, what, false).map(drop)
}

/// What settings that the container brings do to the credential, in sentences. A file that cannot be read is none: the
/// agent cannot read it either.
pub(super) fn shadowing_settings(around: &Surroundings<'_>, spec: &Spec<'_>, order: &AgentOrder) -> Vec<String> {
    let mut found = Vec::new();
    for file in &order.rendering.shadow_settings {
        let path = location(around, spec, &file.path, file.moved_by.as_ref());
        let read = around.tree.walk(&path).ok().and_then(|place| read_as_owner(around, &place, &path).ok().flatten());
        let Some(text) = read else { continue };
        let has = |member: &&String| member_text(&text, member).is_some_and(|value| !["null", "\"\""].contains(&value));
        let (path, agent) = (path.display(), &order.agent);
        found.extend(file.shadow.iter().filter(has).map(|member| {
            format!("{member} is set in {path} of the container; {agent} uses it instead of what was delivered")
        }));
        found.extend(file.redirect.iter().filter(has).map(|member| {
            format!(
                "{member} is set in {path} of the container; {agent} sends its requests, with the credential, where it says"
            )
        }));
    }
    found
}

/// `text` with the values of `file`; nothing when they are there.
fn merged(text: &str, file: &SettingsFile, path: &Path, what: &str) -> Result<Option<Secret>, Error> {
    let mut now = if text.trim().is_empty() { "{}".to_owned() } else { text.to_owned() };
    let mut changed = text.trim().is_empty();
    for (member, value) in &file.set {
        let keys: Vec<&str> = member.split('.').collect();
        let set = json::set(&now, &keys, value, false).map_err(|error| Error::Unusable {
            path: path.to_owned(),
            reason: format!("is no JSON object ({error})"),
            what: what.to_owned(),
        })?;
        if let Some(text) = set {
            now = String::from_utf8_lossy(&text).into_owned();
            changed = true;
        }
    }
    // A file that is mounted is one that is there: "{}" alone is no reason to make one.
    Ok((changed || text == "{}").then(|| Secret::new(now.into_bytes())))
}

/// Where a file is: below the home directory, or where a variable of the container moves it.
pub(super) fn location(around: &Surroundings<'_>, spec: &Spec<'_>, path: &str, moved_by: Option<&MovedBy>) -> PathBuf {
    let moved = moved_by.and_then(|moved| {
        let dir = Path::new(spec.process.variable(&moved.env)?);
        dir.is_absolute().then(|| dir.join(&moved.path))
    });
    moved.unwrap_or_else(|| around.owner.home.join(path))
}

/// The content of a settings file of the image or a volume, if there is one. The walk is done again
/// and the file opened with the rights of the agent's user: what they cannot read is not copied for
/// them.
fn read_as_owner(around: &Surroundings<'_>, place: &Place, path: &Path) -> Result<Option<String>, Error> {
    if place.found != Found::File {
        return Ok(None);
    }
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let _identity = FsIdentity::assume(around.owner.host_uid, around.owner.host_gid).map_err(failed)?;
    let again = around.tree.walk(path)?;
    let Some(handle) = again.handle.filter(|_| again.found == Found::File && again.path == place.path) else {
        return Ok(None);
    };
    // The handle was opened without following links and is a regular file; this opens that file.
    let file = File::open(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(failed)?;
    let mut text = String::new();
    let length = file.take(LONGEST_SETTINGS + 1).read_to_string(&mut text).map_err(failed)?;
    match length as u64 <= LONGEST_SETTINGS {
        true => Ok(Some(text)),
        false => Err(failed(std::io::Error::from(std::io::ErrorKind::FileTooLarge))),
    }
}

/// Plans a file of our tmpfs, mounted on `target`; says where it is below the container's directory.
fn put(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    target: Target,
    content: Secret,
    mode: u32,
    what: String,
    required: bool,
) -> Result<PathBuf, Error> {
    if let Some((_, other)) = plan.taken.iter().find(|(path, _)| *path == target.place.path) {
        return Err(Error::TwoForPath { path: target.place.path, one: other.clone(), two: what });
    }
    plan.taken.push((target.place.path.clone(), what.clone()));
    if let Some(key) = target.claim() {
        plan.claims.push(Claim { key, path: target.place.path.clone(), what, required });
    }
    let host = Path::new("files").join(plan.taken.len().to_string());
    let source = plan.dir.join(&host);
    let owner = (around.owner.host_uid, around.owner.host_gid);
    plan.files.push(PlannedFile { path: source.clone(), content, mode, owner });
    let dispensable = (!required).then(|| target.place.path.to_string_lossy().into_owned());
    plan.mountpoints.extend(Mountpoint::for_target(&target).map(|made| Mountpoint { dispensable, ..made }));
    plan.add_mounts(target.mounts(&source, mode & 0o200 != 0, around.owner));
    Ok(host)
}
