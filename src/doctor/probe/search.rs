//! Looking for a value where it must not be: in files that were written since the probe began.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Moment};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::clock::Instant;
use crate::secret::Secret;
use crate::sys::is_memory_backed;

/// What limits a search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long it may take.
    pub time: Duration,
    /// How much it may read.
    pub bytes: u64,
}

/// For one engine.
pub const LIMITS: Limits = Limits { time: Duration::from_secs(20), bytes: 1 << 30 };

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files that hold the value.
    pub files: Vec<PathBuf>,
    /// Files that hold it and may: crun's own state, in memory and for its owner alone.
    pub known: Vec<PathBuf>,
    /// How many files were read.
    pub read: usize,
    /// A limit came before the end.
    pub cut: bool,
}

/// Searches below `places`, on their own file systems: what is mounted below them is looked at where it
/// lies.
#[must_use]
pub fn search(places: &[PathBuf], since: Instant, value: &Secret, limits: Limits) -> Found {
    let mut search = Search {
        found: Found::default(),
        finder: memchr::memmem::Finder::new(value.expose()),
        since: since.0 - 2,
        deadline: Moment::now() + limits.time,
        left: limits.bytes,
    };
    for place in places {
        if let Ok(about) = fs::metadata(place) {
            search.directory(place, about.dev());
        }
    }
    search.found
}

struct Search<'a> {
    found: Found,
    finder: memchr::memmem::Finder<'a>,
    since: i64,
    deadline: Moment,
    left: u64,
}

impl Search<'_> {
    fn directory(&mut self, path: &Path, device: u64) {
        let mut waiting = vec![path.to_owned()];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if Moment::now() > self.deadline || self.left == 0 {
                    self.found.cut = true;
                    return;
                }
                let Ok(about) = entry.metadata() else { continue };
                match about.file_type() {
                    kind if kind.is_dir() && about.dev() == device => waiting.push(entry.path()),
                    kind if kind.is_file() && about.mtime().max(about.ctime()) >= self.since => {
                        self.file(&entry.path())
                    }
                    _ => {}
                }
            }
        }
    }

    /// Reads a file piece by piece, each piece with the end of the one before.
    fn file(&mut self, path: &Path) {
        let nonblocking = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits() as i32;
        let Ok(mut file) = File::options().read(true).custom_flags(nonblocking).open(path) else { return };
        self.found.read += 1;
        let keep = self.finder.needle().len().saturating_sub(1);
        let mut buffer = Zeroizing::new(vec![0_u8; 1 << 16]);
        let mut held = 0;
        while self.left > 0 {
            let count = match file.read(&mut buffer[held..]) {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            self.left = self.left.saturating_sub(count as u64);
            if self.finder.find(&buffer[..held + count]).is_some() {
                match is_state_of_crun(path) {
                    true => self.found.known.push(path.to_owned()),
                    false => self.found.files.push(path.to_owned()),
                }
                return;
            }
            let all = held + count;
            let kept = keep.min(all);
            buffer.copy_within(all - kept..all, 0);
            held = kept;
        }
        self.found.cut = true;
    }
}

/// Whether this is the copy of the specification that crun keeps beside its `status`, on a tmpfs. containerd and
/// docker have crun's state below their own directories.
fn is_state_of_crun(path: &Path) -> bool {
    let Some(dir) = path.parent().filter(|_| path.file_name().is_some_and(|name| name == "config.json")) else {
        return false;
    };
    dir.join("status").is_file() && is_memory_backed(dir).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(dir: &Path, limits: Limits) -> Found {
        search(&[dir.to_owned()], Instant::now(), &Secret::from_text("keyslip-probe-FAKE"), limits)
    }

    #[test]
    fn a_value_is_found_wherever_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let path = dir.path().join("a/b/config.json");
        fs::write(dir.path().join("a/clean"), "keyslip-probe-FAK").unwrap();
        assert_eq!(found(dir.path(), LIMITS), Found { read: 1, ..Found::default() });
        // Across the border of two pieces too.
        for before in [0, (1 << 16) - 3, (1 << 17) - 17] {
            fs::write(&path, [vec![b'x'; before], b"keyslip-probe-FAKE".to_vec()].concat()).unwrap();
            assert_eq!(found(dir.path(), LIMITS).files, std::slice::from_ref(&path), "{before}");
        }
        assert!(found(dir.path(), Limits { bytes: 1, ..LIMITS }).cut);
        assert!(found(dir.path(), Limits { time: Duration::ZERO, ..LIMITS }).cut);
    }

    #[test]
    fn what_is_older_than_the_probe_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "keyslip-probe-FAKE").unwrap();
        let later = Instant(Instant::now().0 + 3600);
        let value = Secret::from_text("keyslip-probe-FAKE");
        assert_eq!(search(&[dir.path().to_owned()], later, &value, LIMITS), Found::default());
    }
}
