//! The manifests, read as YAML.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where they are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes")
}

/// The objects of one file.
pub fn objects(name: &str) -> Vec<Value> {
    let path = directory().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All YAML files of the example.
pub fn files() -> Vec<String> {
    let names = fs::read_dir(directory()).expect("examples/kubernetes").flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.ends_with(".yaml"));
    names.sort();
    names
}

/// A text in an object; empty if there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list in an object; empty if there is none.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What the API server would hold.
#[derive(Default)]
pub struct Objects(Vec<Value>);

impl Objects {
    /// Adds objects, in place of those of the same name.
    pub fn apply(&mut self, objects: Vec<Value>) {
        let identity = |object: &Value| {
            ["/kind", "/metadata/namespace", "/metadata/name"].map(|place| text(object, place).to_owned())
        };
        for object in objects {
            self.0.retain(|old| identity(old) != identity(&object));
            self.0.push(object);
        }
    }

    /// The objects of a kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| text(object, "/kind") == kind)
    }

    /// One object of a namespace, which is empty for those that are in none.
    pub fn get<'a>(&'a self, kind: &'a str, namespace: &str, name: &str) -> Option<&'a Value> {
        self.of(kind)
            .find(|object| text(object, "/metadata/name") == name && text(object, "/metadata/namespace") == namespace)
    }

    /// One object, to be changed.
    pub fn change(&mut self, kind: &str, name: &str) -> &mut Value {
        let mut found = self.0.iter_mut().filter(|object| text(object, "/kind") == kind);
        found.find(|object| text(object, "/metadata/name") == name).expect("the object is there")
    }
}
