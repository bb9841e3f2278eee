//! `containers.conf`, as podman reads it: which files in which order, and what they amount to.
//!
//! Found out with podman 4.3.1 and 5.4.2: a later file replaces a value whole, but each name below
//! `[engine.runtimes]` by itself. Since 5, `{append=true}` in a list makes this file and those after it add to
//! it, until one says `{append=false}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::present::Present;
use super::{Engine, Error, Host};
use crate::document::{Document, Misplaced, line_and_column};
use crate::site::Whose;

/// What podman uses where nothing is configured, for root and for users alike.
const HOOKS: &str = "/usr/share/containers/oci/hooks.d";

/// What the files amount to.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    /// Where podman looks for a runtime, by its name; only those that are configured.
    pub runtimes: BTreeMap<String, Vec<String>>,
    /// The default runtime: a name or a path.
    pub runtime: Option<(String, PathBuf)>,
    /// Directories of hooks.
    pub hooks_dir: Vec<String>,
    /// A later list adds to it.
    pub append: bool,
    /// The file that set the hooks last.
    pub hooks_by: Option<PathBuf>,
    /// The file that set a runtime last.
    pub runtimes_by: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    engine: EngineTable,
}

#[derive(Debug, Default, Deserialize)]
struct EngineTable {
    #[serde(default)]
    runtimes: BTreeMap<String, Vec<String>>,
    runtime: Option<String>,
    hooks_dir: Option<Vec<Item>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Item {
    Text(String),
    Attributes { append: Option<bool> },
}

impl Default for Effective {
    fn default() -> Self {
        Self {
            runtimes: BTreeMap::new(),
            runtime: None,
            hooks_dir: vec![HOOKS.to_owned()],
            append: false,
            hooks_by: None,
            runtimes_by: BTreeMap::new(),
        }
    }
}

impl Effective {
    /// What `files` amount to.
    pub fn of(files: &[PathBuf], present: &Present) -> Result<Self, Error> {
        let mut effective = Self::default();
        for path in files {
            if let Some(text) = present.read(path)? {
                effective.add(path, &text)?;
            }
        }
        Ok(effective)
    }

    /// Reads one more file.
    pub fn add(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let table = Document::parse(text)
            .and_then(|document| document.read::<File>())
            .map_err(|wrong| broken(Engine::Podman, path, text, &wrong))?
            .engine;
        for (name, places) in table.runtimes {
            self.runtimes_by.insert(name.clone(), path.to_owned());
            self.runtimes.insert(name, places);
        }
        if let Some(runtime) = table.runtime {
            self.runtime = Some((runtime, path.to_owned()));
        }
        if let Some(items) = table.hooks_dir {
            let (mut listed, mut append) = (Vec::new(), None);
            for item in items {
                match item {
                    Item::Text(dir) => listed.push(dir),
                    Item::Attributes { append: value } => append = value.or(append),
                }
            }
            self.append = append.unwrap_or(self.append);
            if !self.append {
                self.hooks_dir.clear();
            }
            self.hooks_dir.extend(listed);
            self.hooks_by = Some(path.to_owned());
        }
        Ok(())
    }
}

/// An error of a TOML file with its place.
pub(super) fn broken(engine: Engine, path: &Path, text: &str, wrong: &Misplaced) -> Error {
    let (line, column) = line_and_column(text, wrong.span.start);
    Error::Broken { engine, path: path.to_owned(), line, column, what: "TOML", reason: wrong.reason.clone() }
}

/// Our own file among them.
pub(super) fn drop_in(host: &Host) -> PathBuf {
    directory(host).join("containers.conf.d/50-keyslip.conf")
}

/// Where whoever installs keeps theirs.
fn directory(host: &Host) -> PathBuf {
    match host.site.whose {
        Whose::System => PathBuf::from("/etc/containers"),
        Whose::User(_) => users(host),
    }
}

fn users(host: &Host) -> PathBuf {
    host.config_home.clone().unwrap_or_else(|| host.site.home.join(".config")).join("containers")
}

/// The files that podman `major` reads, ours among them, in its order.
pub(super) fn order(host: &Host, major: u32) -> Result<Vec<PathBuf>, Error> {
    let mut files = vec![PathBuf::from("/usr/share/containers/containers.conf")];
    let mut places = vec![PathBuf::from("/etc/containers")];
    // podman 4.3 reads a user's files for users alone; 5.4 for root too.
    if host.site.whose != Whose::System || major >= 5 {
        places.push(users(host));
    }
    let ours = drop_in(host);
    for place in places {
        files.push(place.join("containers.conf"));
        let drop_ins = place.join("containers.conf.d");
        if drop_ins.is_symlink() {
            if ours.starts_with(&drop_ins) {
                let reason = "this is a link, and podman reads no drop-ins behind one; make it a directory".to_owned();
                return Err(Error::Conflict { path: drop_ins, reason });
            }
            continue;
        }
        let entries = fs::read_dir(&drop_ins).into_iter().flatten().flatten();
        let mut more: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        more.retain(|path| path.extension().is_some_and(|end| end == "conf") && !path.is_dir() && *path != ours);
        if ours.starts_with(&drop_ins) {
            more.push(ours.clone());
        }
        more.sort();
        files.extend(more);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(files: &[&str]) -> Vec<String> {
        let mut effective = Effective::default();
        for (index, text) in files.iter().enumerate() {
            effective.add(Path::new(&format!("{index}.conf")), text).unwrap();
        }
        effective.hooks_dir
    }

    #[test]
    fn lists_replace_unless_they_append_as_podman_5_4_does() {
        let first = "[engine]\nhooks_dir = [\"/a\"]";
        let append = "[engine]\nhooks_dir = [\"/b\", {append=true}]";
        let third = "[engine]\nhooks_dir = [\"/c\"]";
        let reset = "[engine]\nhooks_dir = [\"/c\", {append=false}]";
        assert_eq!(hooks(&[]), [HOOKS]);
        assert_eq!(hooks(&[first, third]), ["/c"]);
        assert_eq!(hooks(&[first, append]), ["/a", "/b"]);
        assert_eq!(hooks(&[first, append, third]), ["/a", "/b", "/c"]);
        assert_eq!(hooks(&[first, append, reset]), ["/c"]);
        assert_eq!(hooks(&["[engine]\nhooks_dir = []"]), [""; 0]);
    }

    #[test]
    fn runtimes_are_merged_by_name() {
        let mut effective = Effective::default();
        effective.add(Path::new("a"), "[engine]\nruntime='x'\n[engine.runtimes]\ncrun=['/a']\nrunc=['/b']").unwrap();
        effective.add(Path::new("b"), "[containers]\nshm_size='1m'\n[engine.runtimes]\ncrun=['/c', '/a']").unwrap();
        assert_eq!(effective.runtimes["crun"], ["/c", "/a"]);
        assert_eq!(effective.runtimes["runc"], ["/b"]);
        assert_eq!((effective.runtime.unwrap().0.as_str(), &*effective.runtimes_by["crun"]), ("x", Path::new("b")));
    }
}
