//! The login of the host's own client: read, never stored. Its refresh token is the client's alone, so
//! it is taken out as soon as it is read.

use std::env;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::keeper::Keeper;
use super::question::Question;
use super::secret_file::bounded;
use crate::agent::{self, Definition, HostLogin, KeychainItem, Kind, only_the_login, unwrap};
use crate::config::Config;
use crate::json;
use crate::secret::Secret;

/// A place where a host's login may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To be asked for.
    Ask(&'static str, Question),
    /// Files, each with the member of the login that it is.
    Files(Vec<(String, PathBuf)>),
}

impl Place {
    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Ask(name, _) => (*name).to_owned(),
            Self::Files(files) => {
                let paths: Vec<String> = files.iter().map(|(_, path)| path.display().to_string()).collect();
                paths.join(" and ")
            }
        }
    }
}

/// The places where `host` says a login may be, in the order of looking.
#[must_use]
pub fn places(host: &HostLogin, keeper: &Keeper, config: &Config) -> Vec<Place> {
    // What another user's environment says is not known.
    let variable = |name: &str| {
        keeper.user.is_none().then(|| env::var_os(name)).flatten().map(PathBuf::from).filter(|dir| dir.is_absolute())
    };
    let mut places = Vec::new();
    if let (Some(item), false) = (&host.keychain, config.keychain.is_empty()) {
        let (service, account) = named(item, keeper, &variable);
        let program = config.keychain.clone();
        places.push(Place::Ask("the macOS keychain", Question::Keychain { program, service, account }));
    }
    if let (Some(item), true) = (&host.secret_service, has_bus(keeper)) {
        let (service, account) = named(item, keeper, &variable);
        // The names that libraries give to the account differ.
        for name in ["account", "username"] {
            let attributes = [("service".to_owned(), service.clone()), (name.to_owned(), account.clone())];
            places.push(Place::Ask("the keyring", Question::Keyring(attributes.into())));
        }
    }
    if !host.files.is_empty() {
        let moved = host.moved_by.as_ref().and_then(|moved| Some((variable(&moved.env)?, Path::new(&moved.path))));
        let path = |file: &String| match &moved {
            Some((dir, from)) => Path::new(file).strip_prefix(from).map(|rest| dir.join(rest)).unwrap_or_default(),
            None => keeper.home.join(file),
        };
        places.push(Place::Files(host.files.iter().map(|(member, file)| (member.clone(), path(file))).collect()));
    }
    places
}

/// Whether the keeper has a session bus at all: without one there is nobody to ask.
#[must_use]
pub fn has_bus(keeper: &Keeper) -> bool {
    let uid = match (keeper.user, crate::site::whose()) {
        (Some((uid, _)), _) | (None, Ok(crate::site::Whose::User(uid))) => uid,
        _ => 0,
    };
    keeper.user.is_none() && env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty())
        || Path::new(&format!("/run/user/{uid}/bus")).exists()
}

/// Service and account of an item, filled in.
fn named(item: &KeychainItem, keeper: &Keeper, variable: &impl Fn(&str) -> Option<PathBuf>) -> (String, String) {
    let dir = item
        .hashed
        .as_deref()
        .and_then(variable)
        .or_else(|| item.hashed_default.as_ref().map(|dir| keeper.home.join(dir)));
    let hash: Option<String> = dir.map(|dir| {
        let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    let short = |length: usize| hash.as_ref().map(|hash| &hash[..length]);
    let fill = |text: &str| {
        text.replace("{hash8}", &short(8).map(|hash| format!("-{hash}")).unwrap_or_default())
            .replace("{hash16}", short(16).unwrap_or_default())
            .replace("{user}", &user(keeper))
    };
    (fill(&item.service), fill(&item.account))
}

/// The keeper's name: the `USER` of this environment, else what the home directory is called.
fn user(keeper: &Keeper) -> String {
    let set = keeper.user.is_none().then(|| env::var("USER").ok()).flatten().filter(|user| !user.is_empty());
    set.or_else(|| Some(keeper.home.file_name()?.to_str()?.to_owned())).unwrap_or_default()
}

/// Reads a login from files, as the keeper: one whole, or several as members of one object.
///
/// # Errors
/// What cannot be read, in a part of a sentence.
pub fn read_files(files: &[(String, PathBuf)], keeper: &Keeper) -> Result<Option<Secret>, String> {
    let mut members = Vec::new();
    for (member, path) in files {
        let content = keeper.act(|| read_file(path, keeper.uid())).map_err(|error| error.to_string())??;
        match content {
            None => {}
            Some(content) if member.is_empty() => return Ok(Some(content)),
            Some(content) => members.push((member, content)),
        }
    }
    if members.is_empty() {
        return Ok(None);
    }
    let room = members.iter().map(|(member, content)| content.len() + member.len() * 6 + 8).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    for (member, content) in &members {
        let before = if text.is_empty() { b'{' } else { b',' };
        text.push(before);
        json::quote_into(&mut text, member);
        text.push(b':');
        text.extend_from_slice(content.expose().trim_ascii());
    }
    text.push(b'}');
    Ok(Some(Secret::new(std::mem::take(&mut *text))))
}

/// Reads a file of the client. Others may not have been able to write it: it would be their login.
fn read_file(path: &Path, uid: u32) -> Result<Option<Secret>, String> {
    let file = match File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let about = file.metadata().map_err(|error| format!("{}: {error}", path.display()))?;
    if !about.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    if about.uid() != uid || about.mode() & 0o022 != 0 {
        return Err(format!("{} can be written by others and is not used", path.display()));
    }
    bounded(file, about.len()).map(Some).map_err(|reason| format!("{} {reason}", path.display()))
}

/// Recognises a login of the host's client, and takes out its refresh token and whatever else stands in
/// the same file. Nothing when it is not whole: the client was never logged in, or has logged out.
#[must_use]
pub fn without_refresh_token<'a>(definition: &'a Definition, login: &Secret) -> Option<(&'a Kind, Secret)> {
    let (kind, value) = unwrap(definition, login)?;
    let (_, value) = only_the_login(kind, value);
    Some((kind, agent::without_refresh_token(kind, value)?))
}
