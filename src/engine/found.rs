//! Which engines this host has.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::links::first_line;
use super::{Engine, Error, Host, containerd, containers_conf, docker};

/// Where daemons are although a user's `PATH` does not say so.
const MORE_PLACES: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// An engine of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub engine: Engine,
    /// Its program and version.
    pub program: Program,
    /// The configuration files that it reads and that exist, in the order in which it reads them.
    pub files: Vec<PathBuf>,
}

/// A program that says its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What it says, such as `26.1.5`, without what a distribution adds; empty if it says nothing.
    pub version: String,
}

impl Program {
    /// The first number of the version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

/// The engines of this host. CDI is none: whichever engine reads it.
#[must_use]
pub fn found(host: &Host) -> Vec<Found> {
    let engines = [Engine::Podman, Engine::Docker, Engine::Containerd];
    engines.into_iter().filter_map(|engine| find(host, engine)).collect()
}

/// One engine, if it is there.
pub(super) fn find(host: &Host, engine: Engine) -> Option<Found> {
    let path = look_up(host, daemon(engine)?)?;
    let version = version_of(&path).unwrap_or_default();
    let program = Program { path, version };
    let mut files = match engine {
        Engine::Podman => match &host.containers_conf {
            Some(file) => vec![file.clone()],
            None => containers_conf::order(host, program.major()).unwrap_or_default(),
        },
        Engine::Docker => vec![docker::file()],
        Engine::Containerd => vec![PathBuf::from(containerd::FILE)],
        Engine::Cdi => Vec::new(),
    };
    files.retain(|file| file.exists());
    Some(Found { engine, program, files })
}

/// The program that is the engine; a client alone would not read the configuration.
pub(super) fn daemon(engine: Engine) -> Option<&'static str> {
    match engine {
        Engine::Podman => Some("podman"),
        Engine::Docker => Some("dockerd"),
        Engine::Containerd => Some("containerd"),
        Engine::Cdi => None,
    }
}

/// Finds a program as a shell of root would.
pub(super) fn look_up(host: &Host, name: &str) -> Option<PathBuf> {
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0);
    let places = std::env::split_paths(&host.path).chain(MORE_PLACES.iter().map(PathBuf::from));
    places.filter(|place| place.is_absolute()).map(|place| place.join(name)).find(|path| executable(path))
}

/// What `PROGRAM --version` says.
fn version_of(program: &Path) -> Result<String, String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    version_in(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| first_line(&output.stderr))
}

impl Program {
    /// An error if it does not say its version, as podman does not while its configuration is broken.
    pub(super) fn check(&self) -> Result<(), Error> {
        match version_of(&self.path) {
            Err(reason) if self.version.is_empty() => Err(Error::Mute { program: self.path.clone(), reason }),
            _ => Ok(()),
        }
    }
}

/// The first word that begins like a version: `podman version 4.3.1`, `Docker version 26.1.5+dfsg1, build
/// 411e817`, `containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3`, `… v2.0.1 …`.
fn version_in(text: &str) -> Option<String> {
    text.split_ascii_whitespace().find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let number = word[..end].trim_end_matches('.');
        (number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.')).then(|| number.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_engines_say_them() {
        for (text, version) in [
            ("podman version 4.3.1\n", "4.3.1"),
            ("Docker version 26.1.5+dfsg1, build 411e817", "26.1.5"),
            ("Docker version 20.10.24+dfsg1, build 5d6db84", "20.10.24"),
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", "1.6.20"),
            ("containerd github.com/containerd/containerd/v2 v2.0.1 88aa2f531d6c", "2.0.1"),
            ("podman version 5.5.0-rc1", "5.5.0"),
        ] {
            assert_eq!(version_in(text).as_deref(), Some(version), "{text}");
        }
        assert_eq!(version_in("no version at all"), None);
    }
}
