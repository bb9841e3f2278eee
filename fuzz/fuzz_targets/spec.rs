//! A `config.json` that is changed keeps everything that is not changed, and says what was added; what cannot be
//! changed is refused.
#![no_main]

use std::path::Path;

use keyslip::oci::{Annotation, Change, EnvVar, NewMount, Spec};
use keyslip::secret::Secret;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const VALUE: &str = "sk-ant-oat01-FAKE \"\\\u{7}";

fn change() -> Change {
    Change {
        env: vec![EnvVar { name: "TOKEN".parse().unwrap(), value: Secret::new(VALUE.as_bytes().to_vec()) }],
        mounts: vec![NewMount {
            destination: "/run/secrets".to_owned(),
            source: "/run/keyslip/x".to_owned(),
            kind: "bind",
            options: vec!["bind".to_owned(), "ro".to_owned()],
        }],
        annotations: vec![Annotation { key: "dev.keyslip.sandbox", value: "0".repeat(32) }],
        ..Change::default()
    }
}

fuzz_target!(|text: &str| {
    let Ok(spec) = Spec::parse(text, Path::new("config.json")) else { return };
    assert_eq!(Change::default().apply(&spec, None).as_slice(), text.as_bytes(), "no change changes nothing");
    let changed = change().apply(&spec, None);
    let changed = std::str::from_utf8(&changed).expect("UTF-8");
    let again = Spec::parse(changed, Path::new("config.json")).expect("what was changed can be read");
    assert_eq!(again.process.variable("TOKEN"), Some(VALUE));
    assert_eq!(again.mounts.len(), spec.mounts.len() + 1);
    assert_eq!(again.annotation("dev.keyslip.sandbox"), Some("0".repeat(32).as_str()));
    let without = change().apply_without_values(&spec, Some(Path::new("/bundle")));
    assert!(!String::from_utf8_lossy(&without).contains("sk-ant-oat01-FAKE") || text.contains("sk-ant-oat01-FAKE"));
    // Numbers and nesting that serde_json's own values cannot hold are none of our business.
    let (Ok(mut before), Ok(mut after)) = (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(changed))
    else {
        return;
    };
    for value in [&mut before, &mut after] {
        for key in ["mounts", "annotations"] {
            value[key] = json!(null);
        }
        value["process"]["env"] = json!(null);
    }
    assert_eq!(before, after, "everything else is as it was");
});
