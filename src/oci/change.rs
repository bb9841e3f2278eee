//! What Keyslip does to a `config.json`, as data, and its translation into edits of the text.

use std::path::Path;

use zeroize::Zeroizing;

use super::spec::{Process, Spec};
use crate::json::{self, Edits, Field, place, quote};
use crate::names::EnvName;
use crate::secret::Secret;

/// A variable to add to an environment.
#[derive(Clone, Debug)]
pub struct EnvVar {
    /// Its name.
    pub name: EnvName,
    /// Its value.
    pub value: Secret,
}

/// A mount to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMount {
    /// Path inside the container.
    pub destination: String,
    /// Path outside; `tmpfs` for a tmpfs.
    pub source: String,
    /// `bind` or `tmpfs`.
    pub kind: &'static str,
    /// Mount options.
    pub options: Vec<String>,
}

/// An annotation to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// All that changes in a `config.json`.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Variables of the main process.
    pub env: Vec<EnvVar>,
    /// What goes in front of the command of the main process.
    pub before_command: Vec<String>,
    /// Mounts, after those that are there.
    pub mounts: Vec<NewMount>,
    /// Positions of mounts to take out: requests in the form of a mount.
    pub without_mounts: Vec<usize>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
}

/// Whether values of secrets go into the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    With,
    Without,
}

impl Change {
    /// The text for the runtime, values included. With `bundle`, relative paths are made absolute
    /// below it, for a runtime that is given another bundle directory.
    #[must_use]
    pub fn apply(&self, spec: &Spec<'_>, bundle: Option<&Path>) -> Zeroizing<Vec<u8>> {
        self.edits(spec, bundle, Values::With).apply(spec.text)
    }

    /// The same without the values, for whoever reads the bundle while the container lives.
    #[must_use]
    pub fn apply_without_values(&self, spec: &Spec<'_>, bundle: Option<&Path>) -> Vec<u8> {
        self.edits(spec, bundle, Values::Without).apply(spec.text).to_vec()
    }

    fn edits(&self, spec: &Spec<'_>, bundle: Option<&Path>, values: Values) -> Edits {
        let mut edits = Edits::default();
        if values == Values::With && !self.env.is_empty() {
            add_env(&mut edits, spec.text, &spec.process, &self.env);
        }
        if let (Some(raw), false) = (spec.process.args_field.present(), self.before_command.is_empty()) {
            let items: String = self.before_command.iter().map(|item| quote(item) + ",").collect();
            edits.insert(place(spec.text, raw.get()).start + 1, items);
        }
        self.edit_mounts(&mut edits, spec, bundle);
        self.edit_annotations(&mut edits, spec);
        if let (Some(bundle), Some(raw)) = (bundle, spec.raw.root_path)
            && let Some(absolute) = absolute(bundle, spec.root.as_deref())
        {
            edits.replace(place(spec.text, raw.get()), quote(&absolute));
        }
        edits
    }

    fn edit_mounts(&self, edits: &mut Edits, spec: &Spec<'_>, bundle: Option<&Path>) {
        let added = self.mounts.iter().map(NewMount::json);
        if self.without_mounts.is_empty() {
            if let Some(bundle) = bundle {
                for mount in spec.mounts.iter().filter(|mount| mount.is_bind()) {
                    if let (Some(raw), Some(absolute)) = (mount.source_raw, absolute(bundle, mount.source.as_deref())) {
                        edits.replace(place(spec.text, raw.get()), quote(&absolute));
                    }
                }
            }
            append(edits, spec.text, spec.text, "mounts", spec.raw.mounts, '[', &added.collect::<Vec<_>>());
            return;
        }
        let kept = spec.mounts.iter().enumerate().filter(|(index, _)| !self.without_mounts.contains(index));
        let kept = kept.map(|(_, mount)| match (bundle, mount.source_raw) {
            (Some(bundle), Some(raw)) if mount.is_bind() => match absolute(bundle, mount.source.as_deref()) {
                Some(absolute) => {
                    let mut inner = Edits::default();
                    inner.replace(place(mount.raw.get(), raw.get()), quote(&absolute));
                    String::from_utf8_lossy(&inner.apply(mount.raw.get())).into_owned()
                }
                None => mount.raw.get().to_owned(),
            },
            _ => mount.raw.get().to_owned(),
        });
        let all: Vec<String> = kept.chain(added).collect();
        if let Field(Some(raw)) = spec.raw.mounts {
            edits.replace(place(spec.text, raw.get()), format!("[{}]", all.join(",")));
        }
    }

    fn edit_annotations(&self, edits: &mut Edits, spec: &Spec<'_>) {
        let mut added = Vec::new();
        for annotation in &self.annotations {
            let mut found = false;
            if let Some(raw) = spec.raw.annotations.present() {
                // It parsed when the specification was read.
                for member in json::Object::read(raw.get()).unwrap_or_default().0 {
                    if member.key == annotation.key {
                        edits.replace(place(spec.text, member.value.get()), quote(&annotation.value));
                        found = true;
                    }
                }
            }
            if !found {
                added.push(format!("{}:{}", quote(annotation.key), quote(&annotation.value)));
            }
        }
        append(edits, spec.text, spec.text, "annotations", spec.raw.annotations, '{', &added);
    }
}

impl NewMount {
    fn json(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|option| quote(option)).collect();
        format!(
            r#"{{"destination":{},"type":{},"source":{},"options":[{}]}}"#,
            quote(&self.destination),
            quote(self.kind),
            quote(&self.source),
            options.join(",")
        )
    }
}

/// `path` below `bundle`, if it is relative.
fn absolute(bundle: &Path, path: Option<&str>) -> Option<String> {
    let path = path.filter(|path| !path.starts_with('/'))?;
    Some(bundle.join(path).to_string_lossy().into_owned())
}

/// The text of an `exec --process` file with more variables.
#[must_use]
pub fn process_with_env(process: &Process<'_>, env: &[EnvVar]) -> Zeroizing<Vec<u8>> {
    let mut edits = Edits::default();
    add_env(&mut edits, process.text, process, env);
    edits.apply(process.text)
}

/// The text of a process with members, written `outer.inner`, set to JSON values.
///
/// # Errors
/// When `process` is no object.
pub fn process_with(process: &Process<'_>, changes: &[(&str, String)]) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(process.text.as_bytes().to_vec());
    for (member, value) in changes {
        let now = std::str::from_utf8(&text).expect("JSON text stays UTF-8");
        let path: Vec<&str> = member.split('.').collect();
        if let Some(changed) = json::set(now, &path, value, true)? {
            text = changed;
        }
    }
    Ok(text)
}

/// Adds variables to the environment of `process`, a part of `whole`.
fn add_env(edits: &mut Edits, whole: &str, process: &Process<'_>, env: &[EnvVar]) {
    let size: usize = env.iter().map(|var| var.value.len() * 6 + var.name.as_str().len() + 8).sum();
    let mut items = Vec::with_capacity(env.len());
    for var in env {
        let mut item = Zeroizing::new(Vec::with_capacity(size));
        let mut pair = Zeroizing::new(String::with_capacity(size));
        pair.push_str(var.name.as_str());
        pair.push('=');
        pair.push_str(var.value.expose_text().unwrap_or_default());
        json::quote_into(&mut item, &pair);
        items.push(item);
    }
    append(edits, whole, process.text, "env", process.env_field, '[', &items);
}

/// Adds `items` to the array or object `field`, a member of the object `owner`, which is a part of
/// `whole`; makes the member where it is absent or `null`.
fn append(
    edits: &mut Edits,
    whole: &str,
    owner: &str,
    key: &str,
    field: Field<'_>,
    open: char,
    items: &[impl AsRef<[u8]>],
) {
    if items.is_empty() {
        return;
    }
    let close = if open == '[' { ']' } else { '}' };
    let mut joined = Zeroizing::new(Vec::with_capacity(
        items.iter().map(|item| item.as_ref().len() + 1).sum::<usize>() + key.len() + 8,
    ));
    let list = |out: &mut Vec<u8>| {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item.as_ref());
        }
    };
    match field.0 {
        Some(raw) if raw.get() != "null" => {
            let inner = raw.get();
            let end = place(whole, inner).end - 1;
            if !inner[1..inner.len() - 1].trim().is_empty() {
                joined.push(b',');
            }
            list(&mut joined);
            edits.insert(end, std::mem::take(&mut *joined));
        }
        Some(raw) => {
            joined.push(open as u8);
            list(&mut joined);
            joined.push(close as u8);
            edits.replace(place(whole, raw.get()), std::mem::take(&mut *joined));
        }
        None => {
            let brace = owner.find('{').expect("an object begins with a brace");
            joined.extend_from_slice(quote(key).as_bytes());
            joined.extend_from_slice(&[b':', open as u8]);
            list(&mut joined);
            joined.push(close as u8);
            if !owner[brace + 1..].trim_start().starts_with('}') {
                joined.push(b',');
            }
            edits.insert(place(whole, owner).start + brace + 1, std::mem::take(&mut *joined));
        }
    }
}
