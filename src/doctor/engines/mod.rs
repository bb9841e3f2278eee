//! What the engines' own configuration says about Keyslip.
//!
//! In: the files as each engine reads them. Out: how each is set up, and findings. What can go wrong: a
//! file that its engine cannot read, a path that leads nowhere. podman passes over both a runtime
//! and a hook whose program is missing, without a word (4.3.1): containers then start without what they
//! ask for, and this is where it shows.

pub mod containerd;
pub mod devices;
pub mod docker;
pub mod hooks;
pub mod podman;
pub mod receipts;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::version::Version;
use super::{Area, Finding, Remedy, asking};
use crate::config::Config;
use crate::document::{Document, line_and_column};
use crate::engine::{self, Engine, Host};
use crate::site::Site;

/// Longest that an engine may take to say its version.
const LIMIT: Duration = Duration::from_secs(8);

/// Longest configuration file that is read.
const LONGEST: u64 = 4 << 20;

/// The name of the shim, which every link of an engine leads to.
const SHIM: &str = "keyslip-runtime";

/// How the engines are set up.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// podman.
    pub podman: podman::Seen,
    /// docker.
    pub docker: docker::Seen,
    /// containerd.
    pub containerd: containerd::Seen,
    /// CDI.
    pub devices: devices::Seen,
    /// What the installation has written down.
    pub receipts: receipts::Seen,
}

/// Looks at every engine.
#[must_use]
pub fn observe(config: &Config, site: &Site) -> Seen {
    let here = engine::found(&Host::here(site.clone(), Path::new(engine::LIBEXEC)));
    let found = |engine| here.iter().find(|found| found.engine == engine);
    Seen {
        podman: podman::observe(config, site, found(Engine::Podman)),
        docker: docker::observe(config, site, found(Engine::Docker)),
        containerd: containerd::observe(config, site, found(Engine::Containerd)),
        devices: devices::observe(config, site),
        receipts: receipts::observe(site),
    }
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut findings = podman::judge(&seen.podman);
    findings.extend(docker::judge(&seen.docker));
    findings.extend(containerd::judge(&seen.containerd));
    findings.extend(devices::judge(&seen.devices));
    findings.extend(receipts::judge(&seen.receipts, seen));
    let set_up =
        seen.podman.is_set_up() || seen.docker.is_set_up() || seen.containerd.is_set_up() || seen.devices.is_set_up();
    let here: Vec<&str> = [
        ("podman", seen.podman.program.is_some()),
        ("docker", seen.docker.daemon.is_some()),
        ("containerd", seen.containerd.program.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_here)| is_here.then_some(name))
    .collect();
    if !set_up && !here.is_empty() {
        findings.push(Finding::note(
            Area::Engines,
            super::listed(&here),
            "no engine is set up to call Keyslip",
            Remedy::advice(format!("set one up: keyslip install {}", here[0])),
        ));
    }
    findings
}

/// A runtime of an engine's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// Its name in the configuration.
    pub name: String,
    /// The program that the engine will run.
    pub path: PathBuf,
    /// That is there and can be executed.
    pub there: bool,
    /// It is the shim, and by the name of its directory called by this engine.
    pub shim_of: Option<String>,
    /// It is, or was, meant to be the shim: it lies in a directory of Keyslip's.
    pub meant: bool,
}

impl Called {
    /// Looks at a path of a configuration.
    #[must_use]
    pub fn at(name: &str, path: &Path) -> Self {
        let resolved = fs::canonicalize(path);
        let is_shim = resolved.as_ref().is_ok_and(|to| to.file_name().is_some_and(|name| name == SHIM));
        let by = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let meant = is_shim || path.components().any(|part| part.as_os_str() == "keyslip");
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            there: asking::is_program(path),
            shim_of: by.filter(|_| is_shim),
            meant,
        }
    }

    /// Whether the engine calls the shim by it, or what has taken the place of the shim.
    #[must_use]
    pub fn is_shim(&self) -> bool {
        self.meant && self.there
    }

    /// What is wrong with it for `engine`, if it was meant to be the shim.
    #[must_use]
    pub fn problem(&self, engine: &str, links: &[&str]) -> Option<Finding> {
        let path = self.path.display();
        let subject = format!("{engine}, runtime {}", self.name);
        if self.meant && !self.there {
            let what = format!(
                "{path} is missing; {}",
                match engine {
                    "podman" =>
                        "podman takes another runtime of this name without a word, and containers start without what they ask for",
                    _ => "no container of this runtime starts",
                }
            );
            let remedy =
                format!("install Keyslip again, or take {path} out of the configuration: keyslip uninstall {engine}");
            return Some(Finding::broken(Area::Engines, subject, what, Remedy::advice(remedy)));
        }
        let by = self.shim_of.as_deref()?;
        if links.contains(&by) {
            return None;
        }
        let right = self.path.parent().and_then(Path::parent).map(|dir| dir.join(links[0])).unwrap_or_default();
        let right = right.join(self.path.file_name().unwrap_or_default());
        let what = format!("calls the shim as {by} ({path}), so it is judged by the rules of another engine");
        let remedy = Remedy::advice(format!("put {} in its place", right.display()));
        Some(Finding::broken(Area::Engines, subject, what, remedy))
    }
}

/// Reads a file of an engine; nothing when it is not there.
///
/// # Errors
/// Why it cannot be read.
fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(about) if about.len() > LONGEST => return Err(format!("is longer than {LONGEST} bytes")),
        _ => {}
    }
    fs::read_to_string(path).map(Some).map_err(|error| format!("cannot be read: {error}"))
}

/// A TOML file as a value. An error does not quote what stands there.
///
/// # Errors
/// Line, column and what is wrong.
fn toml(text: &str) -> Result<Value, String> {
    Document::parse(text).and_then(|document| document.read()).map_err(|error| {
        let (line, column) = line_and_column(text, error.span.start);
        format!("line {line}, column {column}: {}", error.reason)
    })
}

/// A JSON file as a value.
///
/// # Errors
/// Line, column and what is wrong.
fn json(text: &str) -> Result<Value, String> {
    // Of what serde says only the kind and the place: the text may hold anything.
    serde_json::from_str(text).map_err(|error| format!("line {}, column {}: no JSON", error.line(), error.column()))
}

/// A version of the configuration that is not that of the engine.
fn version_changed(engine: &str, recorded: Option<&str>, now: Option<&Version>) -> Option<Finding> {
    let (recorded, now) = (recorded?, now?);
    if Version::parse(recorded).as_ref() == Some(now) {
        return None;
    }
    Some(Finding::note(
        Area::Engines,
        engine,
        format!("is version {now} now, and the configuration says {recorded}"),
        Remedy::advice(format!("write version = \"{now}\" under [engines.{engine}], after a look at README.md")),
    ))
}

/// The finding for a file that its engine cannot read.
fn unreadable(engine: &str, path: &Path, why: &str) -> Finding {
    let remedy = Remedy::advice(format!("mend {}; {engine} itself does not start with it", path.display()));
    Finding::broken(Area::Engines, path.display().to_string(), why.to_owned(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    /// An installation with a shim and a link of podman's and one of docker's.
    pub(super) fn installation() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let libexec = dir.path().join("keyslip");
        fs::create_dir(&libexec).unwrap();
        fs::write(libexec.join(SHIM), "").unwrap();
        fs::set_permissions(libexec.join(SHIM), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for engine in ["podman", "docker", "cri"] {
            fs::create_dir(libexec.join(engine)).unwrap();
            std::os::unix::fs::symlink("../keyslip-runtime", libexec.join(engine).join("crun")).unwrap();
        }
        dir
    }

    #[test]
    fn a_runtime_is_the_shim_of_the_engine_that_its_directory_names() {
        let dir = installation();
        let at = |path: &str| Called::at("crun", &dir.path().join(path));
        let ours = at("keyslip/podman/crun");
        assert_eq!((ours.there, ours.shim_of.as_deref()), (true, Some("podman")));
        assert_eq!(ours.problem("podman", &["podman"]), None);
        let other = at("keyslip/docker/crun").problem("podman", &["podman"]).unwrap();
        assert!(other.what.contains("as docker") && other.remedy.contains("keyslip/podman/crun"), "{other:?}");
        let missing = at("keyslip/podman/runc").problem("podman", &["podman"]).unwrap();
        assert_eq!((missing.severity, missing.what.contains("without a word")), (Severity::Broken, true));
        assert_eq!(Called::at("crun", Path::new("/nowhere/crun")).problem("podman", &["podman"]), None);
    }

    #[test]
    fn errors_in_files_of_engines_have_a_place_and_no_value() {
        assert_eq!(toml("a = 1\nb = [sk-FAKE").unwrap_err().split(',').next(), Some("line 2"));
        let why = json("{\n\"a\": \"sk-FAKE\" oops }").unwrap_err();
        assert!(why.starts_with("line 2") && !why.contains("FAKE"), "{why}");
    }

    #[test]
    fn a_version_that_changed_is_told() {
        let now = Version::parse("5.4.2").unwrap();
        assert_eq!(version_changed("podman", Some("5.4.2"), Some(&now)), None);
        assert_eq!(version_changed("podman", None, Some(&now)), None);
        assert!(version_changed("podman", Some("4.3.1"), Some(&now)).unwrap().remedy.contains("5.4.2"));
    }
}
