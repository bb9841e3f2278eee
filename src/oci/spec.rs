//! A borrowed view of `config.json`: only what Keyslip reads, each piece knowing its place.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;
use crate::json::{Field, Object, Raw, Text, elements, quote};

/// A `config.json`, read once.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The text all views borrow from.
    pub text: &'a str,
    /// Annotations in their order.
    pub annotations: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The main process.
    pub process: Process<'a>,
    /// Mounts in their order.
    pub mounts: Vec<Mount<'a>>,
    /// Where the root file system is, as written.
    pub root: Option<Cow<'a, str>>,
    /// How the container's user ids map to this user namespace's; empty without a user namespace.
    pub uids: Vec<IdMap>,
    /// The same for groups.
    pub gids: Vec<IdMap>,
    /// The SELinux label for files mounted into the container.
    pub mount_label: Option<Cow<'a, str>>,
    pub(super) raw: Fields<'a>,
}

/// Where the parts that may be edited stand in the text.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) root_path: Option<Raw<'a>>,
    pub(super) mounts: Field<'a>,
    pub(super) annotations: Field<'a>,
}

/// A process: that of `config.json`, or of an `exec --process` file.
#[derive(Debug)]
pub struct Process<'a> {
    /// Its environment, `NAME=value`.
    pub env: Vec<Cow<'a, str>>,
    /// User id inside the container.
    pub uid: u32,
    /// Group id inside the container.
    pub gid: u32,
    /// Its working directory.
    pub cwd: Option<Cow<'a, str>>,
    /// The text.
    pub text: &'a str,
    pub(super) env_field: Field<'a>,
    pub(super) args_field: Field<'a>,
}

/// A mount of the specification.
#[derive(Debug)]
pub struct Mount<'a> {
    /// Path inside the container, as written.
    pub destination: Cow<'a, str>,
    /// What is mounted, as written.
    pub source: Option<Cow<'a, str>>,
    /// The file system's type.
    pub kind: Option<Cow<'a, str>>,
    /// Mount options.
    pub options: Vec<Cow<'a, str>>,
    pub(super) raw: Raw<'a>,
    pub(super) source_raw: Option<Raw<'a>>,
}

impl Mount<'_> {
    /// Whether it mounts a file or directory of the host. The runtimes go by the options too.
    #[must_use]
    pub fn is_bind(&self) -> bool {
        self.kind.as_deref() == Some("bind") || self.options.iter().any(|option| option == "bind" || option == "rbind")
    }

    /// Whether it is mounted read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        let last = self.options.iter().rev().find(|option| matches!(option.as_ref(), "ro" | "rw" | "rro"));
        last.is_some_and(|option| option != "rw")
    }
}

/// A range of ids.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdMap {
    /// First id inside the container.
    #[serde(rename = "containerID")]
    pub container: u32,
    /// The id outside that it stands for.
    #[serde(rename = "hostID")]
    pub host: u32,
    /// How many.
    pub size: u32,
}

#[derive(Deserialize)]
struct TopView<'a> {
    #[serde(borrow)]
    process: Option<Raw<'a>>,
    #[serde(borrow)]
    root: Option<RootView<'a>>,
    #[serde(borrow, default)]
    mounts: Field<'a>,
    #[serde(borrow, default)]
    annotations: Field<'a>,
    #[serde(borrow)]
    linux: Option<LinuxView<'a>>,
}

#[derive(Deserialize)]
struct RootView<'a> {
    #[serde(borrow)]
    path: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinuxView<'a> {
    uid_mappings: Option<Vec<IdMap>>,
    gid_mappings: Option<Vec<IdMap>>,
    #[serde(borrow)]
    mount_label: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ProcessView<'a> {
    user: Option<UserView>,
    #[serde(borrow)]
    cwd: Option<Text<'a>>,
    #[serde(borrow, default)]
    env: Field<'a>,
    #[serde(borrow, default)]
    args: Field<'a>,
}

#[derive(Deserialize)]
struct UserView {
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
}

#[derive(Deserialize)]
struct MountView<'a> {
    #[serde(borrow)]
    destination: Text<'a>,
    #[serde(borrow)]
    source: Option<Raw<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    options: Option<Vec<Text<'a>>>,
}

fn string<'a>(raw: Option<Raw<'a>>) -> serde_json::Result<Option<Cow<'a, str>>> {
    raw.map(|raw| serde_json::from_str::<Text<'a>>(raw.get()).map(|text| text.0)).transpose()
}

/// What is wrong and where. The parser's own words about a value of the wrong type quote the value,
/// which may be anything; they are not passed on.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let ours = ["duplicate field", "missing field", "there is no", "annotation"];
    if error.classify() != serde_json::error::Category::Data || ours.iter().any(|start| said.starts_with(start)) {
        return said;
    }
    format!("a value has the wrong type at line {} column {}", error.line(), error.column())
}

impl<'a> Spec<'a> {
    /// Reads the text of a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// When it is broken, or gives a field twice that Keyslip reads or edits.
    pub fn parse(text: &'a str, path: &Path) -> Result<Self, Error> {
        Self::view(text).map_err(|error| Error::Invalid { path: path.to_owned(), reason: reason(&error) })
    }

    fn view(text: &'a str) -> serde_json::Result<Self> {
        use serde::de::Error as _;
        let top: TopView<'a> = serde_json::from_str(text)?;
        let process = top.process.ok_or_else(|| serde_json::Error::custom("there is no `process`"))?;
        let mut annotations = Vec::new();
        if let Some(raw) = top.annotations.present() {
            for member in Object::read(raw.get())?.0 {
                match serde_json::from_str::<Text<'a>>(member.value.get()) {
                    Ok(value) => annotations.push((member.key, value.0)),
                    Err(_) if member.key.starts_with(crate::request::PREFIX) => {
                        return Err(serde_json::Error::custom(format!(
                            "annotation {} must be a string",
                            quote(&member.key)
                        )));
                    }
                    // Left to the runtime to refuse.
                    Err(_) => {}
                }
            }
        }
        let mounts = elements::<Raw<'a>>(top.mounts.present())?
            .into_iter()
            .map(|raw| {
                let view: MountView<'a> = serde_json::from_str(raw.get())?;
                let options = view.options.unwrap_or_default().into_iter().map(|option| option.0).collect();
                let source = string(view.source)?;
                let kind = view.kind.map(|kind| kind.0);
                Ok(Mount { destination: view.destination.0, source, kind, options, raw, source_raw: view.source })
            })
            .collect::<serde_json::Result<_>>()?;
        let root_path = top.root.and_then(|root| root.path);
        let (uids, gids, label) =
            top.linux.map_or((None, None, None), |linux| (linux.uid_mappings, linux.gid_mappings, linux.mount_label));
        Ok(Self {
            text,
            annotations,
            process: Process::view(process.get())?,
            mounts,
            root: string(root_path)?,
            uids: uids.unwrap_or_default(),
            gids: gids.unwrap_or_default(),
            mount_label: label.map(|label| label.0).filter(|label| !label.is_empty()),
            raw: Fields { root_path, mounts: top.mounts, annotations: top.annotations },
        })
    }

    /// The value of an annotation; the last one where it is given twice.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// The root file system as an absolute path.
    #[must_use]
    pub fn rootfs(&self, bundle: &Path) -> PathBuf {
        bundle.join(self.root.as_deref().unwrap_or("rootfs"))
    }

    /// Whether this is the container that only holds a pod's namespaces: it runs no agent.
    #[must_use]
    pub fn is_pod_sandbox(&self) -> bool {
        ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]
            .iter()
            .any(|key| self.annotation(key) == Some("sandbox"))
    }

    /// Whether it has annotations that a Kubernetes CRI writes. Where images or users can write
    /// annotations, anybody can have them.
    #[must_use]
    pub fn claims_a_cri(&self) -> bool {
        // podman 4 uses these names of CRI-O's for its own purposes.
        const OF_PODMAN: [&str; 4] = ["Created", "TTY", "ContainerType", "SandboxID"];
        self.annotations.iter().any(|(key, value)| {
            key.starts_with("io.kubernetes.cri.")
                || key.strip_prefix("io.kubernetes.cri-o.").is_some_and(|name| !OF_PODMAN.contains(&name))
                || key == "io.container.manager" && value == "cri-o"
        })
    }
}

impl<'a> Process<'a> {
    /// Reads the text of an `exec --process` file; `path` is named in errors.
    ///
    /// # Errors
    /// When it is broken.
    pub fn parse(text: &'a str, path: &Path) -> Result<Self, Error> {
        Self::view(text).map_err(|error| Error::Invalid { path: path.to_owned(), reason: reason(&error) })
    }

    fn view(text: &'a str) -> serde_json::Result<Self> {
        let view: ProcessView<'a> = serde_json::from_str(text)?;
        let user = view.user.unwrap_or(UserView { uid: 0, gid: 0 });
        let env = elements::<Text<'a>>(view.env.present())?.into_iter().map(|entry| entry.0).collect();
        let cwd = view.cwd.map(|cwd| cwd.0);
        Ok(Self { env, uid: user.uid, gid: user.gid, cwd, text, env_field: view.env, args_field: view.args })
    }

    /// Whether it has a command.
    #[must_use]
    pub fn has_command(&self) -> bool {
        self.args_field.present().is_some_and(|raw| raw.get().contains('"'))
    }

    /// The value of a variable; the first one where it stands twice, as `getenv` has it.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}

impl IdMap {
    /// The id outside for `inside`, if a range covers it; `inside` itself without ranges.
    #[must_use]
    pub fn map(ranges: &[Self], inside: u32) -> Option<u32> {
        if ranges.is_empty() {
            return Some(inside);
        }
        let range = ranges.iter().find(|range| inside >= range.container && inside - range.container < range.size)?;
        range.host.checked_add(inside - range.container)
    }
}
