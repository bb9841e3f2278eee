//! The file of the audit log: appending to it, beginning a new one, and reading its end.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::clock::Instant;

/// Appends a line, which ends with a line break, to the file at `path`; puts the file aside first if the line
/// would make it too long. Lines of several writers do not mix.
///
/// # Errors
/// When the line is not in the file, or only a part of it was and was taken out again.
pub fn append(path: &Path, settings: &Settings, line: &[u8]) -> io::Result<()> {
    let mut log = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(Path::new("/")))?;
            open(path)?
        }
        opened => opened?,
    };
    let about = log.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if about.len() > 0 && about.len() + line.len() as u64 > settings.max_bytes && put_aside(path, &log, settings.keep) {
        log = open(path)?;
    }
    match log.write(line) {
        Ok(written) if written == line.len() => Ok(()),
        Ok(written) => {
            take_back(&log, written);
            Err(io::ErrorKind::StorageFull.into())
        }
        Err(error) => Err(error),
    }
}

/// A pipe in its place must not keep a start waiting for a reader, nor a link lead elsewhere.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY).bits().cast_signed();
    File::options().append(true).create(true).mode(0o600).custom_flags(flags).open(path)
}

/// Renames `audit.log` to `audit.log.1`, and so on; whether there is a new one to begin. Whoever finds the file
/// locked leaves that to the one who has it: the file may get a few lines longer.
fn put_aside(path: &Path, log: &File, keep: u32) -> bool {
    if flock(log, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    // Somebody else may have been faster, and the file that is there is a new one.
    let same =
        |about: fs::Metadata| log.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (about.dev(), about.ino()));
    if !fs::symlink_metadata(path).is_ok_and(same) {
        return true;
    }
    if keep == 0 {
        return fs::remove_file(path).is_ok();
    }
    // Whatever is after a gap may stay where it is.
    let full = (1..keep).find(|number| fs::symlink_metadata(numbered(path, *number)).is_err()).unwrap_or(keep);
    for number in (1..full).rev() {
        let _ = fs::rename(numbered(path, number), numbered(path, number + 1));
    }
    fs::rename(path, numbered(path, 1)).is_ok()
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Takes the beginning of a line out again, which the disk had no room for, unless somebody has already written
/// after it.
fn take_back(mut log: &File, written: usize) {
    let end = log.stream_position().unwrap_or_default();
    if flock(log, FlockOperation::NonBlockingLockExclusive).is_ok() && log.metadata().is_ok_and(|it| it.len() == end) {
        let _ = log.set_len(end - written as u64);
    }
}

/// A refusal or failure of the past.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// When.
    pub time: Instant,
    /// `denied` or `failed`.
    pub event: String,
    /// For which engine.
    #[serde(default)]
    pub engine: String,
    /// For which container; empty when a hook did not know yet.
    pub container: String,
    /// Why.
    pub reason: Option<String>,
}

/// How much of the end of the log is looked at.
const TAIL: u64 = 64 << 10;

/// The refusals and failures of the last `seconds`, the newest last.
#[must_use]
pub fn problems(state: &Path, settings: &Settings, seconds: i64) -> Vec<Problem> {
    let path = settings.file(state);
    let mut text = tail(&path);
    if (text.len() as u64) < TAIL {
        // It may have been begun a moment ago.
        text = [tail(&numbered(&path, 1)), text].concat();
    }
    let now = Instant::now();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Problem>(line).ok());
    lines.filter(|it| (it.event == "denied" || it.event == "failed") && now.since(it.time) < seconds).collect()
}

/// The last lines of a file.
fn tail(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let Ok(mut log) = File::open(path) else { return text };
    let length = log.metadata().map_or(0, |about| about.len());
    let _ = log.seek(SeekFrom::Start(length.saturating_sub(TAIL))).and_then(|_| log.take(TAIL).read_to_end(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(max_bytes: u64, keep: u32) -> Settings {
        Settings { max_bytes, keep, ..Settings::default() }
    }

    #[test]
    fn a_log_that_is_full_is_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/audit.log");
        for number in 0..50 {
            append(&path, &settings(25, 2), format!("line {number:04}\n").as_bytes()).unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["audit.log", "audit.log.1", "audit.log.2"]);
        let all: Vec<String> = [2, 1]
            .iter()
            .map(|number| numbered(&path, *number))
            .chain([path.clone()])
            .map(|it| fs::read_to_string(it).unwrap())
            .collect();
        assert_eq!(all.concat(), "line 0044\nline 0045\nline 0046\nline 0047\nline 0048\nline 0049\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn of_many_writers_no_line_is_lost_or_mixed_while_files_are_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..250 {
                        append(path, &settings(4000, 100), format!("{writer} {number:04} the end\n").as_bytes())
                            .unwrap();
                    }
                });
            }
        });
        // How long each is depends on when the one who renames gets to run; the test before tells of one writer.
        let files = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path());
        let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
        assert!(texts.len() > 1, "nothing was put aside");
        let text = texts.concat();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<String> =
            (0..8).flat_map(|writer| (0..250).map(move |number| format!("{writer} {number:04} the end"))).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_no_file_of_its_own_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(append(&path, &Settings::default(), b"{}\n").is_err(), "a pipe without a reader");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(append(&path, &Settings::default(), b"{}\n").is_err(), "a link");
        assert!(!dir.path().join("elsewhere").exists());
    }
}
