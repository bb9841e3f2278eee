//! Who can write a file, or put another one in its place.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Area, Finding, Remedy, quoted};

/// What is wrong with the rights of a file or of a directory above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file, or the directory above it.
    pub path: PathBuf,
    /// How.
    pub kind: Exposed,
}

/// How others can get at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposed {
    /// It belongs to this uid.
    Owner(u32),
    /// A group can write it.
    Group(u32),
    /// Everybody can write it.
    World,
}

/// The sticky bit: in such a directory only its owner removes a file.
const STICKY: u32 = 0o1000;

impl Exposure {
    /// What is wrong with `path` itself, if others than root and `us` can write it.
    #[must_use]
    pub fn of(path: &Path, us: u32) -> Option<Self> {
        let about = fs::metadata(path).ok()?;
        let found = |kind| Some(Self { path: path.to_owned(), kind });
        let kept = about.is_dir() && about.mode() & STICKY != 0;
        match () {
            () if about.uid() != 0 && about.uid() != us => found(Exposed::Owner(about.uid())),
            () if about.mode() & 0o002 != 0 && !kept => found(Exposed::World),
            () if about.mode() & 0o020 != 0 && about.gid() != 0 && !kept => found(Exposed::Group(about.gid())),
            () => None,
        }
    }

    /// The same for `path`, with links resolved, and every directory above it; the outermost first.
    #[must_use]
    pub fn of_all(path: &Path, us: u32) -> Option<Self> {
        let path = fs::canonicalize(path).ok()?;
        let above: Vec<&Path> = path.ancestors().collect();
        above.into_iter().rev().find_map(|part| Self::of(part, us))
    }

    /// What that means for the program `whose`, and what to do.
    #[must_use]
    pub fn finding(&self, area: Area, whose: &str) -> Finding {
        let path = quoted(&self.path);
        let subject = self.path.display().to_string();
        match self.kind {
            Exposed::Owner(uid) => Finding::broken(
                area,
                subject,
                format!("belongs to uid {uid}, who can put another program in the place of {whose}"),
                Remedy::run(format!("chown root {path}")),
            ),
            Exposed::World => Finding::broken(
                area,
                subject,
                format!("can be written by everybody, who can put another program in the place of {whose}"),
                Remedy::run(format!("chmod o-w,g-w {path}")),
            ),
            Exposed::Group(gid) => Finding::warning(
                area,
                subject,
                format!("can be written by the group {gid}, who can put another program in the place of {whose}"),
                Remedy::run(format!("chmod g-w {path}")),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::doctor::Severity;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_that_others_can_replace_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let us = rustix::process::geteuid().as_raw();
        let (bin, program) = (dir.path().join("bin"), dir.path().join("bin/p"));
        fs::create_dir(&bin).unwrap();
        fs::write(&program, "").unwrap();
        mode(&bin, 0o755);
        mode(&program, 0o755);
        assert_eq!(Exposure::of_all(&program, us), None);
        mode(&program, 0o757);
        assert_eq!(Exposure::of_all(&program, us).unwrap().kind, Exposed::World);
        mode(&program, 0o755);
        mode(&bin, 0o777);
        let found = Exposure::of_all(&program, us).unwrap();
        assert_eq!((found.path.ends_with("bin"), found.kind), (true, Exposed::World));
        let finding = found.finding(Area::Programs, "p");
        assert_eq!(finding.severity, Severity::Broken);
        assert!(finding.command.unwrap().starts_with("chmod o-w,g-w /"));
        // With the sticky bit nobody removes what is another's.
        mode(&bin, 0o1777);
        assert_eq!(Exposure::of_all(&program, us), None);
        if us != 0 {
            return;
        }
        mode(&bin, 0o755);
        std::os::unix::fs::chown(&program, Some(4100), None).unwrap();
        assert_eq!(Exposure::of_all(&program, 0).unwrap().kind, Exposed::Owner(4100));
        assert_eq!(Exposure::of_all(&program, 4100), None);
    }
}
