//! Any file: what is added can be taken out to the byte, and the result says the old and ours.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::containerd::File;
use super::members;
use crate::document::Document;

/// JSON as people and programs write it: any values, any white space between them.
fn object() -> impl Strategy<Value = String> {
    let space = proptest::sample::select(vec!["", " ", "\n", "\n  ", "\t", "\r\n    ", "  \n\n"]);
    let key = proptest::sample::select(vec!["a", "hosts", "runtimes", "log-opts", "\\u0041", "x y", "{", "\\\"", "é"]);
    let leaf =
        proptest::sample::select(vec!["1", "1e400", "-0.10", "true", "null", "\"}\"", "\"a,b\"", "[]", "\"\\\\\""]);
    let values = leaf.prop_map(str::to_owned).prop_recursive(3, 24, 4, move |inner| {
        let members = (key.clone(), space.clone(), space.clone(), space.clone(), inner.clone(), space.clone());
        let object = (proptest::collection::vec(members, 0..4), space.clone()).prop_map(|(members, end)| {
            let mut keys = std::collections::BTreeSet::new();
            let members: Vec<String> = members
                .into_iter()
                .filter(|member| keys.insert(member.0))
                .map(|(key, before, after, colon, value, end)| format!("{before}\"{key}\"{after}:{colon}{value}{end}"))
                .collect();
            format!("{{{}{end}}}", members.join(","))
        });
        let array = proptest::collection::vec(inner, 0..3).prop_map(|values| format!("[{}]", values.join(" ,\n ")));
        prop_oneof![3 => object, 1 => array]
    });
    values.prop_filter("an object at the top, with runtimes that are an object", |text| {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            // 1e400 is no number of this reader's, but it is JSON.
            Err(_) => return text.starts_with('{') && !text.contains("\"runtimes\""),
        };
        value.is_object() && value.get("runtimes").is_none_or(Value::is_object)
    })
}

/// TOML with comments and odd manners.
fn toml_text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "# comment\n",
        "\n",
        "root = \"/x\" # why\n",
        "oom_score=0\n",
        "imports = [\n  \"a\", # one\n  'b',\n]\n",
        "[grpc]\n  address = '''\n[plugins]\n'''\n",
        "[plugins.\"io.containerd.grpc.v1.cri\".cni]\n\tconf_dir = \"/c\"\n",
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.kata]\nruntime_type = 'k'",
        "[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    sandbox_image = \"p\"\r\n",
        "[debug]\n",
    ];
    let piece = proptest::sample::select(pieces);
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| format!("version = 2\n{}", pieces.concat()))
}

proptest! {
    #[test]
    fn any_daemon_json(text in object(), newline in proptest::sample::select(vec!["", "\n", " \n\n"])) {
        let text = format!("{text}{newline}");
        let wanted: [(&[&str], Value); 2] =
            [(&["runtimes", "keyslip"], json!({ "path": "/k" })), (&["default-runtime"], json!("keyslip"))];
        let added = members::add(&text, &wanted);
        if let (Ok(mut before), Ok(after)) = (serde_json::from_str::<Value>(&text), serde_json::from_str::<Value>(&added.text)) {
            before["runtimes"]["keyslip"] = json!({ "path": "/k" });
            before["default-runtime"] = json!("keyslip");
            prop_assert_eq!(before, after);
        }
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&added.text).is_ok(), "{}", added.text);
        prop_assert!(added.ours.is_in(&added.text));
        let back = added.ours.taken_out(&added.text).expect("it can be taken out");
        // An object that had nothing but space in it has none afterwards; the receipt has the bytes.
        let bare = |text: &str| text.split_ascii_whitespace().collect::<String>();
        prop_assert_eq!(bare(&back), bare(&text));
        prop_assert_eq!(members::add(&added.text, &wanted).text, added.text.clone(), "a second time");
    }

    #[test]
    fn any_config_toml(text in toml_text()) {
        let path = Path::new("/etc/containerd/config.toml");
        prop_assume!(Document::parse(&text).is_ok());
        let file = File::read(path, Some(&text), 1).expect("it is TOML");
        let Ok(Some(change)) = file.shim(path, Some(text.clone()), Path::new("/k")) else {
            panic!("refused: {text}")
        };
        let after = String::from_utf8(change.after.clone().expect("a text")).expect("UTF-8");
        prop_assert!(after.starts_with(&text), "what was there was changed");
        prop_assert_eq!(change.ours.taken_out(&after), Some(text.clone()));
        let value = |text: &str| toml::from_str::<toml::Value>(text).expect("TOML");
        let mut result = value(&after);
        let runtimes = result["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"].as_table_mut().expect("a table");
        let ours = runtimes.remove("keyslip").expect("ours");
        prop_assert_eq!(ours["options"]["BinaryName"].as_str(), Some("/k"));
        let named = text.contains("runtimes.kata");
        prop_assert_eq!(runtimes.contains_key("runc"), !named);
        prop_assert_eq!(runtimes.contains_key("kata"), named);
    }
}
