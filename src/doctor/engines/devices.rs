//! The file by which engines offer agents as CDI devices.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{Area, Finding, Remedy, asking, listed};
use super::{json, read};
use crate::cdi;
use crate::config::Config;
use crate::site::Site;

/// Where engines look for such files.
const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/run/cdi"];

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Keyslip's own files that are there.
    pub files: Vec<File>,
    /// Other files in the same directories that cannot be read: engines drop them, some drop all.
    pub wrong: Vec<(PathBuf, String)>,
    /// Devices that two files offer: engines offer neither.
    pub twice: BTreeSet<String>,
    /// What the file would offer if it were made now, as devices.
    pub wanted: BTreeSet<String>,
}

/// A file of Keyslip's.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its path.
    pub path: PathBuf,
    /// Why it is none.
    pub wrong: Option<String>,
    /// What it offers, as devices.
    pub offers: BTreeSet<String>,
    /// A hook of it that is missing.
    pub missing: Option<PathBuf>,
}

/// Looks.
#[must_use]
pub fn observe(config: &Config, site: &Site) -> Seen {
    let ours = cdi::paths(site);
    let mut seen = Seen::default();
    let mut offered: BTreeSet<String> = BTreeSet::new();
    let own = ours.iter().filter_map(|path| Some(file(path.clone(), &read(path).ok()??)));
    seen.files = own.collect();
    offered.extend(seen.files.iter().flat_map(|file| file.offers.clone()));
    for path in DIRECTORIES.iter().flat_map(|dir| specifications(Path::new(dir))) {
        if ours.contains(&path) {
            continue;
        }
        match read(&path).and_then(|text| json(&text.unwrap_or_default())) {
            Ok(value) if value["kind"] == cdi::KIND => {
                let names = devices(&value);
                seen.twice.extend(names.intersection(&offered).cloned());
                offered.extend(names);
            }
            Ok(_) => {}
            Err(why) if path.extension().is_some_and(|it| it == "json") => seen.wrong.push((path, why)),
            // YAML is not read here.
            Err(_) => {}
        }
    }
    let wanted = cdi::devices(site, config, &[]).map(|devices| devices.agents).unwrap_or_default();
    seen.wanted = wanted.iter().filter_map(|agent| cdi::device(agent).ok()).collect();
    seen
}

fn specifications(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    paths.sort();
    paths
}

fn devices(value: &Value) -> BTreeSet<String> {
    let names = value["devices"].as_array().into_iter().flatten().filter_map(|device| device["name"].as_str());
    names.map(str::to_owned).collect()
}

fn file(path: PathBuf, text: &str) -> File {
    let value = match (json(text), cdi::offered(text)) {
        (Ok(value), Ok(_)) => value,
        (Err(why), _) => return File { path, wrong: Some(why), ..File::default() },
        (_, Err(_)) => {
            return File { path, wrong: Some("is no CDI file of Keyslip's".to_owned()), ..File::default() };
        }
    };
    let edits = std::iter::once(&value).chain(value["devices"].as_array().into_iter().flatten());
    let hooks = edits.flat_map(|it| it["containerEdits"]["hooks"].as_array().into_iter().flatten());
    let programs = hooks.filter_map(|hook| hook["path"].as_str()).map(PathBuf::from);
    let missing = programs.into_iter().find(|program| !asking::is_program(program));
    File { path, wrong: None, offers: devices(&value), missing }
}

impl Seen {
    /// Whether engines can offer agents as devices.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        !self.files.is_empty()
    }
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Engines;
    let mut findings = Vec::new();
    let again = || Remedy::run("keyslip cdi generate");
    for file in &seen.files {
        let subject = file.path.display().to_string();
        if let Some(why) = &file.wrong {
            let what = format!("{why}; engines offer none of its devices");
            findings.push(Finding::broken(area, subject, what, again()));
            continue;
        }
        if let Some(missing) = &file.missing {
            let what = format!("calls {}, which is missing: no container with such a device starts", missing.display());
            findings.push(Finding::broken(area, subject, what, again()));
            continue;
        }
        let lacking: Vec<&String> = seen.wanted.difference(&file.offers).collect();
        if !lacking.is_empty() {
            let what = format!("is older than the accounts: it does not offer {}", listed(lacking));
            findings.push(Finding::note(area, subject, what, again()));
        }
    }
    for (path, why) in &seen.wrong {
        findings.push(Finding::note(
            area,
            path.display().to_string(),
            format!("{why}; it is not Keyslip's, and engines pass over it"),
            Remedy::advice("mend it, or take it away"),
        ));
    }
    if !seen.twice.is_empty() {
        findings.push(Finding::broken(
            area,
            format!("devices {}", listed(&seen.twice)),
            "are offered by two files, and engines refuse both",
            Remedy::advice(format!("take one of the files of the kind {} away", cdi::KIND)),
        ));
    }
    if findings.is_empty() && seen.is_set_up() {
        let count: usize = seen.files.iter().map(|file| file.offers.len()).sum();
        let files = listed(seen.files.iter().map(|file| file.path.display()));
        findings.push(Finding::ok(area, files, format!("offers {count} devices")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn text(program: &str) -> String {
        let hook = cdi::Hook { program: Path::new(program), engine: "cdi", home: None };
        cdi::document(&["claude".parse().unwrap(), "claude@work".parse().unwrap()], &hook).unwrap()
    }

    fn seen(text: &str, wanted: &[&str]) -> Seen {
        Seen {
            files: vec![file(PathBuf::from("/etc/cdi/keyslip.json"), text)],
            wanted: wanted.iter().map(|name| (*name).to_owned()).collect(),
            ..Seen::default()
        }
    }

    #[test]
    fn a_file_that_was_generated_is_in_order() {
        let seen = seen(&text("/bin/sh"), &["claude", "claude.work"]);
        assert_eq!(judge(&seen)[0].severity, Severity::Ok);
        assert!(judge(&seen)[0].what.contains("2 devices"));
    }

    #[test]
    fn what_is_wrong_with_it() {
        assert_eq!(exit_code(&judge(&seen("{", &[]))), 2);
        assert_eq!(exit_code(&judge(&seen(r#"{"kind":"nvidia.com/gpu"}"#, &[]))), 2);
        let missing = judge(&seen(&text("/gone/keyslip-hook"), &[]));
        assert!(missing[0].severity == Severity::Broken && missing[0].what.contains("/gone/keyslip-hook"));
        let older = judge(&seen(&text("/bin/sh"), &["claude", "codex"]));
        assert!(older[0].severity == Severity::Note && older[0].what.ends_with("codex"), "{older:?}");
        let twice = Seen { twice: BTreeSet::from(["claude".to_owned()]), ..Seen::default() };
        assert_eq!(exit_code(&judge(&twice)), 2);
    }
}
