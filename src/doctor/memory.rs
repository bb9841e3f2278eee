//! Where credentials lie while containers live: the runtime directory, and swap below it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Area, Finding, Remedy, ask, kernel, look_up, quoted};
use crate::site::{Site, Whose};
use crate::sys;

/// An area for swapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Its device or file.
    pub path: String,
    /// What is written there can be read from a disk.
    pub plain: bool,
}

/// Room in a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Free bytes.
    pub free: u64,
    /// All bytes.
    pub all: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// All inodes; 0 where there is no limit.
    pub all_inodes: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The runtime directory.
    pub path: PathBuf,
    /// It is root's of the host.
    pub system: bool,
    /// The user of this process.
    pub us: u32,
    /// Owner and mode; nothing when it is not there.
    pub about: Option<(u32, u32)>,
    /// The directory above it is there and this user's.
    pub above: bool,
    /// It, or what is above it, lies in memory.
    pub in_memory: bool,
    /// It is a mount of its own.
    pub own_mount: bool,
    /// It is never swapped.
    pub noswap: bool,
    /// Areas for swapping.
    pub swap: Vec<Swap>,
    /// The kernel.
    pub release: String,
    /// Room in it.
    pub room: Option<Room>,
    /// systemd runs here.
    pub systemd: bool,
    /// The unit that mounts it at boot will do so.
    pub at_boot: bool,
}

/// Looks at the runtime directory of `site`.
#[must_use]
pub fn observe(site: &Site) -> Seen {
    let path = site.runtime.clone();
    let us = rustix::process::geteuid().as_raw();
    let about = fs::symlink_metadata(&path).ok().map(|about| (about.uid(), about.mode()));
    let above = path.parent().unwrap_or(Path::new("/"));
    let there = if about.is_some() { path.as_path() } else { above };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mount_of(&mounts, there);
    let systemd = Path::new("/run/systemd/system").is_dir();
    Seen {
        system: site.whose == Whose::System,
        us,
        about,
        above: fs::metadata(above).is_ok_and(|about| about.is_dir() && (about.uid() == us || us == 0)),
        in_memory: sys::is_memory_backed(there).unwrap_or(false),
        own_mount: mount.as_ref().is_some_and(|mount| mount.at == path),
        noswap: mount.is_some_and(|mount| mount.noswap),
        swap: areas(&fs::read_to_string("/proc/swaps").unwrap_or_default(), is_encrypted),
        release: kernel::release(),
        room: room(there),
        systemd,
        at_boot: systemd && site.whose == Whose::System && is_enabled("keyslip-tmpfs.service"),
        path,
    }
}

fn room(path: &Path) -> Option<Room> {
    let about = rustix::fs::statvfs(path).ok()?;
    Some(Room {
        free: about.f_bavail * about.f_frsize,
        all: about.f_blocks * about.f_frsize,
        free_inodes: about.f_favail,
        all_inodes: about.f_files,
    })
}

fn is_enabled(unit: &str) -> bool {
    let systemctl = look_up("systemctl");
    systemctl.is_some_and(|program| ask(&program, ["is-enabled", unit], Duration::from_secs(5)).is_ok_and(|it| it.good))
}

/// A mount, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    at: PathBuf,
    noswap: bool,
}

/// The last mount that `path` lies on, of the text of `/proc/self/mountinfo`.
fn mount_of(mounts: &str, path: &Path) -> Option<Mount> {
    let each = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let at = PathBuf::from(before.split(' ').nth(4)?.replace("\\040", " "));
        let options = after.split(' ').nth(2)?;
        path.starts_with(&at).then(|| Mount { noswap: options.split(',').any(|option| option == "noswap"), at })
    });
    each.max_by_key(|mount| mount.at.components().count())
}

/// The areas in the text of `/proc/swaps`. Compressed memory is no disk, and what is encrypted is not plain.
fn areas(text: &str, is_encrypted: impl Fn(&str) -> bool) -> Vec<Swap> {
    let paths = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    let each =
        paths.map(|path| Swap { path: path.to_owned(), plain: !path.starts_with("/dev/zram") && !is_encrypted(path) });
    each.collect()
}

/// Whether a device is one of dm-crypt.
fn is_encrypted(path: &str) -> bool {
    let device = fs::canonicalize(path).ok();
    let name = device.as_deref().and_then(Path::file_name).unwrap_or_default();
    fs::read_to_string(Path::new("/sys/block").join(name).join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-"))
}

/// Room for a container: its directory takes a few pages and inodes.
const LEAST: u64 = 1 << 20;
const LEAST_INODES: u64 = 200;

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Memory;
    let subject = seen.path.display().to_string();
    let path = quoted(&seen.path);
    let mut findings = Vec::new();
    if !seen.above {
        let remedy = match seen.system {
            true => Remedy::advice("mount a tmpfs at /run, as every init does"),
            false => Remedy::advice(format!(
                "log in so that the session has one, or, for containers without a session, as root: loginctl enable-linger {}",
                seen.us
            )),
        };
        let what = "cannot be made: the directory above it is missing or is not this user's";
        return vec![Finding::broken(area, subject, what, remedy)];
    }
    if !seen.in_memory {
        findings.push(Finding::broken(
            area,
            subject.clone(),
            "is not on a tmpfs, so nothing is delivered: credentials are written to no disk",
            match seen.system {
                true => Remedy::run("keyslip install tmpfs"),
                false => Remedy::advice("make /run/user/UID a tmpfs, as systemd-logind does"),
            },
        ));
    }
    if let Some((owner, mode)) = seen.about {
        if owner != seen.us {
            let what = format!("belongs to uid {owner}, so nothing is delivered");
            findings.push(Finding::broken(area, subject.clone(), what, Remedy::run(format!("rm -r {path}"))));
        } else if mode & 0o077 != 0 {
            let what = format!("has mode {:o}: others can look into it", mode & 0o7777);
            findings.push(Finding::warning(area, subject.clone(), what, Remedy::run(format!("chmod 700 {path}"))));
        }
    }
    findings.extend(judge_swap(seen, &subject));
    findings.extend(judge_room(seen, &subject, &path));
    if seen.own_mount && seen.systemd && !seen.at_boot {
        findings.push(Finding::warning(
            area,
            subject.clone(),
            "is a tmpfs of its own, and will not be after the next boot",
            Remedy::run("systemctl enable keyslip-tmpfs.service"),
        ));
    }
    if findings.is_empty() {
        let kind = match (seen.noswap, seen.swap.iter().any(|swap| swap.plain)) {
            (true, _) => "a tmpfs that is never swapped",
            (false, true) => "a tmpfs",
            (false, false) => "a tmpfs, and there is no swap on a disk",
        };
        findings.push(Finding::ok(area, subject.clone(), kind));
        if seen.own_mount && !seen.systemd {
            let what = "is gone after the next boot, for systemd does not run here";
            let remedy = Remedy::advice("have `keyslip install tmpfs` run at boot, before the engines start");
            findings.push(Finding::note(area, subject, what, remedy));
        }
    }
    findings
}

fn judge_swap(seen: &Seen, subject: &str) -> Option<Finding> {
    let plain: Vec<&str> = seen.swap.iter().filter(|swap| swap.plain).map(|swap| swap.path.as_str()).collect();
    if seen.noswap || plain.is_empty() || !seen.in_memory {
        return None;
    }
    let what = format!("may be swapped out to {}, which is not encrypted", super::listed(&plain));
    let remedy = match (seen.system, kernel::has_noswap(&seen.release)) {
        (true, true) => Remedy::run("keyslip install tmpfs"),
        (true, false) => Remedy::advice(format!(
            "encrypt the swap or switch it off (swapoff -a), or use Linux 6.4, which can keep a tmpfs from it; this is {}",
            seen.release
        )),
        (false, _) => {
            Remedy::advice("encrypt the swap, or switch it off; no user can mount a tmpfs that is not swapped")
        }
    };
    Some(Finding::warning(Area::Memory, subject, what, remedy))
}

fn judge_room(seen: &Seen, subject: &str, path: &str) -> Option<Finding> {
    let room = seen.room?;
    let few_inodes = room.all_inodes > 0 && room.free_inodes < LEAST_INODES;
    if room.free >= LEAST && !few_inodes {
        return None;
    }
    let what = format!("is nearly full: {} KiB and {} inodes are free", room.free / 1024, room.free_inodes);
    let remedy = match seen.own_mount {
        true => Remedy::run(format!("mount -o remount,size=20%,nr_inodes=200k {path}")),
        false => Remedy::advice("end containers, or make room on the tmpfs that it lies on"),
    };
    let full = room.free < 64 << 10 || (room.all_inodes > 0 && room.free_inodes < 20);
    let severity = if full { super::Severity::Broken } else { super::Severity::Warning };
    Some(Finding::new(Area::Memory, severity, subject, what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn sound() -> Seen {
        Seen {
            path: PathBuf::from("/run/keyslip"),
            system: true,
            about: Some((0, 0o40700)),
            above: true,
            in_memory: true,
            own_mount: true,
            noswap: true,
            release: "6.12.0".to_owned(),
            room: Some(Room { free: 1 << 30, all: 1 << 31, free_inodes: 100_000, all_inodes: 200_000 }),
            ..Seen::default()
        }
    }

    fn swapped(plain: bool) -> Vec<Swap> {
        vec![Swap { path: "/dev/vda2".to_owned(), plain }]
    }

    fn worst(seen: &Seen) -> Finding {
        judge(seen).into_iter().max_by_key(|finding| finding.severity).unwrap()
    }

    #[test]
    fn a_tmpfs_of_its_own_is_in_order() {
        assert_eq!(exit_code(&judge(&sound())), 0);
        assert_eq!(exit_code(&judge(&Seen { about: None, own_mount: false, noswap: false, ..sound() })), 0);
    }

    #[test]
    fn a_disk_is_no_place_for_it() {
        let finding = worst(&Seen { in_memory: false, own_mount: false, noswap: false, ..sound() });
        assert_eq!((finding.severity, finding.command.as_deref()), (Severity::Broken, Some("keyslip install tmpfs")));
        let user = worst(&Seen { in_memory: false, system: false, ..sound() });
        assert_eq!((user.severity, user.command), (Severity::Broken, None));
    }

    #[test]
    fn swap_matters_where_it_is_plain_and_not_kept_off() {
        assert_eq!(exit_code(&judge(&Seen { swap: swapped(true), ..sound() })), 0);
        assert_eq!(exit_code(&judge(&Seen { swap: swapped(false), noswap: false, ..sound() })), 0);
        let new = worst(&Seen { swap: swapped(true), noswap: false, ..sound() });
        assert_eq!((new.severity, new.command.as_deref()), (Severity::Warning, Some("keyslip install tmpfs")));
        let old = Seen { swap: swapped(true), noswap: false, release: "6.1.0-18".to_owned(), ..sound() };
        assert!(worst(&old).remedy.contains("swapoff") && worst(&old).command.is_none());
    }

    #[test]
    fn owner_mode_and_room() {
        let foreign = worst(&Seen { about: Some((1000, 0o40700)), ..sound() });
        assert_eq!(foreign.severity, Severity::Broken);
        let open = worst(&Seen { about: Some((0, 0o40755)), ..sound() });
        assert_eq!(open.command.as_deref(), Some("chmod 700 /run/keyslip"));
        let room = Room { free: 300 << 10, all: 1 << 20, free_inodes: 1000, all_inodes: 2000 };
        let full = worst(&Seen { room: Some(room), ..sound() });
        assert_eq!((full.severity, full.what.contains("300 KiB")), (Severity::Warning, true));
        let room = Room { free: 0, ..room };
        assert_eq!(worst(&Seen { room: Some(room), ..sound() }).severity, Severity::Broken);
        let missing = worst(&Seen { above: false, system: false, us: 1000, ..sound() });
        assert!(missing.remedy.contains("loginctl enable-linger 1000"));
    }

    #[test]
    fn at_boot_it_is_mounted_by_a_unit() {
        let finding = worst(&Seen { systemd: true, ..sound() });
        assert_eq!(finding.command.as_deref(), Some("systemctl enable keyslip-tmpfs.service"));
        assert_eq!(exit_code(&judge(&Seen { systemd: true, at_boot: true, ..sound() })), 0);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        let mounts = "22 1 0:20 / / rw - overlay overlay rw\n\
                      40 22 0:30 / /run rw - tmpfs tmpfs rw,mode=755\n\
                      41 40 0:31 / /run/keyslip rw,nosuid - tmpfs keyslip rw,size=2468412k,mode=700,noswap\n";
        let mount = mount_of(mounts, Path::new("/run/keyslip")).unwrap();
        assert_eq!(mount, Mount { at: PathBuf::from("/run/keyslip"), noswap: true });
        assert!(!mount_of(mounts, Path::new("/run/user")).unwrap().noswap);
        let text = "Filename Type Size Used Priority\n/dev/vda2 partition 8 0 -2\n/dev/zram0 partition 8 0 100\n/dev/dm-1 partition 8 0 -3\n";
        let found = areas(text, |path| path == "/dev/dm-1");
        assert_eq!(found.iter().map(|swap| swap.plain).collect::<Vec<_>>(), [true, false, false]);
    }
}
