//! Parts of the host's configuration directory that a container shares: what the agent's definition
//! lists, entry by entry, and never the directory itself. A mount over the host's credential file would
//! come off when the host's client renews it by a rename, and the container would then read it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::home::location;
use super::mountpoint::{Kind, Mountpoint};
use super::order::{AgentOrder, HostDir};
use super::place::Surroundings;
use super::plan::Plan;
use crate::agent::{ConfigDir, Definition};
use crate::oci::Spec;
use crate::secret::Secret;
use crate::sys;

/// Longest settings file of the host that is copied.
const LONGEST_SETTINGS: u64 = 4 << 20;

/// A mount on the host's side: the runtime takes it from there, and never resolves a path that somebody
/// else could change.
#[derive(Debug)]
pub struct PlannedShare {
    /// What is shared.
    pub source: OwnedFd,
    /// Where it is mounted on the host.
    pub at: PathBuf,
    /// A file or a directory.
    pub kind: Kind,
    /// Whether the container may not write it.
    pub read_only: bool,
    /// Whose it is, and whose it shall be in the container: uid and gid on the host.
    pub owners: ((u32, u32), (u32, u32)),
    /// Its path in the container.
    pub destination: String,
}

/// An entry of the host's directory that may be shared.
struct Entry {
    handle: OwnedFd,
    kind: Kind,
    owner: (u32, u32),
}

/// Plans what `order` shares. `mounts` is where mounts on the host's side are made; without it, in a
/// user's own namespace, the runtime has no more rights than the user and is given the path.
pub(super) fn plan(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    order: &AgentOrder,
    mounts: Option<&Path>,
) {
    let (Some(host), Some(definition)) = (&order.host_dir, &order.definition) else { return };
    let Some(config) = &definition.config_dir else {
        plan.warnings.push(format!(
            "host_config_dir has no effect for {}: its definition has no config_dir that lists what may be shared",
            order.agent
        ));
        return;
    };
    let forbidden = credential_files(definition, config, host);
    for (name, code) in config.data.iter().map(|name| (name, false)).chain(config.code.iter().map(|name| (name, true)))
    {
        let path = host.path.join(name);
        let shared = open(&path, host, &forbidden).and_then(|entry| match entry {
            Some(entry) => one(plan, around, spec, order, (config, name), (entry, host, code), mounts),
            None => Ok(()),
        });
        if let Err(reason) = shared {
            plan.warnings.push(format!("{} is not shared with the container: {reason}", path.display()));
        }
    }
}

/// The host's credential files, which nothing that is shared may be or contain.
fn credential_files(definition: &Definition, config: &ConfigDir, host: &HostDir) -> Vec<PathBuf> {
    let delivered = definition.kinds.iter().flat_map(|kind| &kind.files).map(|file| &file.path);
    let own = definition.host.files.values().chain(delivered);
    let places = own.flat_map(|file| {
        let inside = Path::new(file).strip_prefix(&config.path).ok().map(|rest| host.path.join(rest));
        inside.into_iter().chain([host.keeper.home.join(file)])
    });
    places.filter_map(|path| host.keeper.act(|| std::fs::canonicalize(path)).ok()?.ok()).collect()
}

/// Opens an entry as the keeper, whose links lead where they may go. Nothing if there is none.
fn open(path: &Path, host: &HostDir, forbidden: &[PathBuf]) -> Result<Option<Entry>, String> {
    let keeper = &host.keeper;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = keeper.act(|| rustix::fs::open(path, flags, Mode::empty())).map_err(|error| error.to_string())?;
    let handle = match opened {
        Ok(handle) => handle,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(std::io::Error::from(error).to_string()),
    };
    let about = rustix::fs::fstat(&handle).map_err(|error| error.to_string())?;
    let kind = match FileType::from_raw_mode(about.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        _ => return Err("it is neither a file nor a directory".to_owned()),
    };
    if about.st_uid != keeper.uid() {
        return Err(format!(
            "it belongs to uid {}, not to whoever keeps the logins (uid {})",
            about.st_uid,
            keeper.uid()
        ));
    }
    let real =
        std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(|error| error.to_string())?;
    let same = |file: &PathBuf| {
        rustix::fs::stat(file).is_ok_and(|other| (other.st_dev, other.st_ino) == (about.st_dev, about.st_ino))
    };
    if forbidden.iter().any(|file| file.starts_with(&real) || same(file)) {
        return Err("the host's credential file is in it".to_owned());
    }
    Ok(Some(Entry { handle, kind, owner: (about.st_uid, about.st_gid) }))
}

fn one(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    order: &AgentOrder,
    (config, name): (&ConfigDir, &str),
    (entry, host, code): (Entry, &HostDir, bool),
    mounts: Option<&Path>,
) -> Result<(), String> {
    let moved = config.moved_by.as_ref().map(|moved| crate::agent::MovedBy {
        env: moved.env.clone(),
        path: Path::new(&moved.path).join(name).to_string_lossy().into_owned(),
    });
    let inside = format!("{}/{name}", config.path);
    let path = location(around, spec, &inside, moved.as_ref());
    if order.rendering.settings.iter().any(|settings| settings.path == inside) {
        // It is merged with, so the container gets a copy.
        let content = host.keeper.act(|| content(&entry.handle)).map_err(|error| error.to_string())??;
        plan.settings_of_host.push((path, content));
        return Ok(());
    }
    let target = around.target(&path, entry.kind, "what is shared from the host").map_err(|error| error.to_string())?;
    if plan.taken.iter().any(|(taken, _)| *taken == target.place.path) {
        return Err(format!("{} is taken", target.place.path.display()));
    }
    let owner = (around.owner.host_uid, around.owner.host_gid);
    let foreign = entry.owner.0 != owner.0;
    let read_only = host.read_only.unwrap_or(code);
    let destination = target.place.path.to_string_lossy().into_owned();
    let source = match mounts {
        Some(dir) => {
            let at = dir.join(plan.shared.len().to_string());
            plan.shared.push(PlannedShare {
                source: entry.handle,
                at: at.clone(),
                kind: entry.kind,
                read_only,
                owners: (entry.owner, owner),
                destination: destination.clone(),
            });
            at
        }
        None if foreign => {
            return Err(
                "it belongs to another user in the container; run the container with --userns=keep-id".to_owned()
            );
        }
        None => host.path.join(name),
    };
    plan.taken.push((target.place.path.clone(), "what is shared from the host".to_owned()));
    plan.mountpoints.extend(
        Mountpoint::for_target(&target).map(|made| Mountpoint { dispensable: Some(destination.clone()), ..made }),
    );
    let mut mounts = target.mounts(&source, !read_only, around.owner);
    // Hooks of the user are programs.
    for mount in mounts.iter_mut().filter(|mount| mount.kind == "bind") {
        mount.options.retain(|option| option != "noexec");
    }
    plan.add_mounts(mounts);
    Ok(())
}

/// What is in a file that was opened as a place only.
fn content(handle: &OwnedFd) -> Result<Secret, String> {
    let file = File::open(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LONGEST_SETTINGS + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST_SETTINGS {
        return Err(format!("it is longer than {LONGEST_SETTINGS} bytes"));
    }
    Ok(Secret::new(bytes))
}

/// Makes the mount on the host's side.
pub(super) fn mount(share: &PlannedShare) -> std::io::Result<()> {
    match share.kind {
        Kind::Directory => std::fs::create_dir(&share.at)?,
        Kind::File | Kind::Json => drop(File::create_new(&share.at)?),
    }
    // Not recursive: a file system that the host has mounted below is not shared with it.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&share.source, "", flags)?;
    // Even where the owner is the same: through a mapped mount the container's root can make nothing that
    // is root's on the host, such as a setuid program.
    let (from, to) = share.owners;
    match sys::map_owner(&tree, from, to) {
        // A file system that cannot do it.
        Err(_) if from == to => {}
        mapped => mapped?,
    }
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if share.read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    sys::set_mount_attributes(&tree, attributes.bits().into())?;
    let how = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(rustix::mount::move_mount(&tree, "", rustix::fs::CWD, &share.at, how)?)
}
