//! Volumes as kubelet makes them: directories below its own, whose files are links through `..data`, which is renamed
//! in one step when something has changed. Those with credentials are on a tmpfs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lab::Lab;
use crate::manifests::{Objects, list, text};

/// Where kubelet keeps the volumes of a pod.
pub fn directory(uid: &str) -> String {
    format!("/var/lib/kubelet/pods/{uid}/volumes")
}

/// Makes a volume of a pod; where it is on the host.
pub fn make(lab: &Lab, objects: &Objects, namespace: &str, uid: &str, volume: &Value) -> String {
    if let Some(path) = volume.pointer("/hostPath/path") {
        return path.as_str().expect("a path").to_owned();
    }
    let (kind, files) = files(objects, namespace, volume);
    let dir = format!("{}/kubernetes.io~{kind}/{}", directory(uid), text(volume, "/name"));
    lab.ok(&format!("mkdir -p {dir}; chmod 750 /var/lib/kubelet/pods"));
    if kind != "configmap" {
        lab.ok(&format!("mountpoint -q {dir} || mount -t tmpfs -o mode=1777 tmpfs {dir}"));
    }
    write(lab, &dir, &files);
    dir
}

/// The files of a volume, by their path in it.
fn files(objects: &Objects, namespace: &str, volume: &Value) -> (&'static str, BTreeMap<String, String>) {
    if let Some(name) = volume.pointer("/configMap/name") {
        let map = objects.get("ConfigMap", namespace, name.as_str().expect("a name")).expect("the ConfigMap is there");
        return ("configmap", data(map, "/data"));
    }
    let mut all = BTreeMap::new();
    for source in list(volume, "/projected/sources") {
        let name = text(source, "/secret/name");
        let Some(secret) = objects.get("Secret", namespace, name) else {
            assert_eq!(source.pointer("/secret/optional"), Some(&Value::Bool(true)), "the Secret {name} is missing");
            continue;
        };
        let data = data(secret, "/stringData");
        for item in list(source, "/secret/items") {
            all.insert(text(item, "/path").to_owned(), data[text(item, "/key")].clone());
        }
    }
    assert!(volume.pointer("/projected").is_some(), "a volume of a kind that is not known here: {volume}");
    ("projected", all)
}

fn data(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let members = object.pointer(pointer).and_then(Value::as_object).expect("data");
    members.iter().map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())).collect()
}

/// Writes all files into a new directory and makes `..data` lead to it.
fn write(lab: &Lab, dir: &str, files: &BTreeMap<String, String>) {
    let new = lab.ok(&format!("cd {dir}; mktemp -d ..2026_01_01.XXXXXX"));
    for (path, content) in files {
        let path = format!("{dir}/{new}/{path}");
        lab.ok(&format!("mkdir -p $(dirname {path})"));
        lab.write(&path, content.as_bytes());
    }
    lab.ok(&format!(
        "cd {dir}; chmod 755 {new}; find {new} -type f -exec chmod 400 {{}} +
        old=$(readlink ..data || true)
        ln -s {new} ..data_tmp; mv -T ..data_tmp ..data
        for name in $(ls {new}); do [ -L $name ] || ln -s ..data/$name $name; done
        for name in *; do [ -e $name ] || rm $name; done
        [ -z \"$old\" ] || rm -r $old"
    ));
}

/// Takes all volumes of a pod away.
pub fn remove(lab: &Lab, uid: &str) {
    lab.ok(&format!(
        "for dir in {0}/*/*; do ! mountpoint -q $dir || umount $dir; done; rm -rf --one-file-system /var/lib/kubelet/pods/{uid}",
        directory(uid)
    ));
}
