//! A `config.json` comes out with only our edit changed: for every file of a golden set that real
//! engines wrote, and for specifications nobody has written yet.

mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use keyslip::oci::{Annotation, Change, EnvVar, NewMount, Process, Spec, process_with_env};
use keyslip::secret::Secret;
use proptest::prelude::*;
use tree::Tree;

const CANARY: &str = "sk-ant-oat01-FAKE-\"quoted\"-ü";

fn change() -> Change {
    let name = "CLAUDE_CODE_OAUTH_TOKEN".parse().unwrap();
    Change {
        env: vec![EnvVar { name, value: Secret::from_text(CANARY) }],
        mounts: vec![NewMount {
            destination: "/run/secrets".to_owned(),
            source: "/run/keyslip/x".to_owned(),
            kind: "bind",
            options: vec!["bind".to_owned(), "ro".to_owned()],
        }],
        before_command: Vec::new(),
        without_mounts: Vec::new(),
        annotations: vec![Annotation { key: "dev.keyslip.sandbox", value: "abc".to_owned() }],
    }
}

/// The change as it should look, made on a model of the text.
fn expected(text: &str, with_values: bool) -> Tree {
    let mut tree = Tree::parse(text);
    if with_values {
        let entry = serde_json::to_string(&format!("CLAUDE_CODE_OAUTH_TOKEN={CANARY}")).unwrap();
        tree.member("process").member("env").make_array().push(Tree::Scalar(entry));
    }
    let mount = r#"{"destination":"/run/secrets","type":"bind","source":"/run/keyslip/x","options":["bind","ro"]}"#;
    tree.member("mounts").make_array().push(Tree::parse(mount));
    let annotations = tree.member("annotations");
    annotations.make_object();
    *annotations.member("dev.keyslip.sandbox") = Tree::Scalar("\"abc\"".to_owned());
    tree
}

fn changed(text: &str, with_values: bool) -> String {
    let spec = Spec::parse(text, Path::new("config.json")).unwrap_or_else(|error| panic!("{error}"));
    let bytes = match with_values {
        true => change().apply(&spec, None).to_vec(),
        false => change().apply_without_values(&spec, None),
    };
    String::from_utf8(bytes).unwrap()
}

fn assert_lossless(text: &str) {
    for with_values in [true, false] {
        let out = changed(text, with_values);
        // New members may come first: the order of members has no meaning, that of elements has.
        assert_eq!(Tree::parse(&out).sorted(), expected(text, with_values).sorted());
        assert_eq!(out.contains("FAKE"), with_values);
    }
}

fn golden(kind: &str) -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kind);
    let files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 20, "the golden set is there");
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_specification_of_the_golden_set_keeps_all_but_our_edit() {
    for (path, text) in golden("specs") {
        assert_lossless(&text);
        // Every byte of the original is still there, in its order: nothing was replaced.
        let out = changed(&text, true);
        let mut rest = out.bytes();
        assert!(text.bytes().all(|byte| rest.any(|other| other == byte)), "{path:?}");
    }
}

#[test]
fn what_oci_spec_reads_before_it_reads_after() {
    let mut read = 0;
    for (path, text) in golden("specs") {
        if serde_json::from_str::<oci_spec::runtime::Spec>(&text).is_ok() {
            let out = changed(&text, true);
            let spec: oci_spec::runtime::Spec =
                serde_json::from_str(&out).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let env = spec.process().as_ref().unwrap().env().clone().unwrap();
            assert_eq!(env.last().unwrap(), &format!("CLAUDE_CODE_OAUTH_TOKEN={CANARY}"));
            read += 1;
        }
    }
    assert!(read > 20, "only {read} could be read at all");
}

#[test]
fn every_process_file_of_the_golden_set_keeps_all_but_the_variable() {
    for (path, text) in golden("processes") {
        let process = Process::parse(&text, &path).unwrap();
        let out = String::from_utf8(process_with_env(&process, &change().env).to_vec()).unwrap();
        let mut tree = Tree::parse(&text);
        let entry = serde_json::to_string(&format!("CLAUDE_CODE_OAUTH_TOKEN={CANARY}")).unwrap();
        tree.member("env").make_array().push(Tree::Scalar(entry));
        assert_eq!(Tree::parse(&out).sorted(), tree.sorted(), "{path:?}");
    }
}

#[test]
fn an_environment_may_be_absent_null_or_empty() {
    for process in [r#"{}"#, r#"{ "env" : null }"#, r#"{"env":[ ]}"#, r#"{"args":["x"],"env":["A=1"]}"#, "{ \n }"] {
        assert_lossless(&format!(r#"{{"process":{process}}}"#));
        assert_lossless(&format!("{{ \"process\" : {process} , \"mounts\":null,\"annotations\":null}}"));
        assert_lossless(&format!("{{\n\t\"mounts\": [ ],\n\"annotations\": {{ }},\n\"process\": {process}\n}}\n"));
    }
}

#[test]
fn what_no_model_knows_survives() {
    let labels: Vec<String> = (0..4096).map(|n| format!("\"label{n}\":\"{}\"", "ü".repeat(140))).collect();
    let text = format!(
        r#"{{"ociVersion":"9.9","future":{{"a":[1e400,-0.0,1E+2,123456789012345678901234567890],"dup":1,"dup":2}},
            "process":{{"env":["A=1","A=2","Ünï=\u00e9\ud83d\ude00"],"newField":{{"x":null}}}},
            "annotations":{{{},"same":"1","same":"2"}},"mounts":[{{"destination":"/x","type":"quantumfs","new":[]}}]}}"#,
        labels.join(",")
    );
    assert!(text.len() > 1 << 20);
    assert_lossless(&text);
}

#[test]
fn a_field_we_edit_that_is_given_twice_is_refused() {
    for text in [
        r#"{"process":{},"process":{}}"#,
        r#"{"process":{"env":[],"env":[]}}"#,
        r#"{"process":{},"mounts":[],"mounts":[]}"#,
        r#"{"process":{},"annotations":{},"annotations":{}}"#,
    ] {
        let error = Spec::parse(text, Path::new("config.json")).unwrap_err().to_string();
        assert!(error.contains("duplicate field") && error.contains("column"), "{error}");
    }
}

#[test]
fn broken_json_is_named_with_its_place() {
    for text in ["", "{", "[]", r#"{"process":{"env":[1]}}"#, r#"{"process":7}"#, "{\"process\":{}}x", "\u{feff}{}"] {
        let error = Spec::parse(text, Path::new("/b/config.json")).unwrap_err().to_string();
        assert!(error.contains("/b/config.json") && error.contains("line"), "{text:?}: {error}");
    }
}

#[test]
fn a_private_bundle_has_absolute_paths_and_nothing_else_changes() {
    let text = r#"{"process":{},"root":{"path":"rootfs","readonly":true},"mounts":[
        {"destination":"/a","type":"bind","source":"data","options":["bind"]},
        {"destination":"/b","source":"../up","options":["rbind","ro"]},
        {"destination":"/c","type":"bind","source":"/abs"},
        {"destination":"/proc","type":"proc","source":"proc"}]}"#;
    let spec = Spec::parse(text, Path::new("config.json")).unwrap();
    let out = Change::default().apply(&spec, Some(Path::new("/bundle"))).to_vec();
    let expected = text.replace("\"rootfs\"", "\"/bundle/rootfs\"").replace("\"data\"", "\"/bundle/data\"");
    assert_eq!(String::from_utf8(out).unwrap(), expected.replace("\"../up\"", "\"/bundle/../up\""));
}

#[test]
fn a_request_mount_is_taken_out_and_the_others_stay() {
    let text = r#"{"process":{},"mounts":[{"destination":"/a","x":1e400},{"destination":"/r"},{"destination":"/b"}]}"#;
    let spec = Spec::parse(text, Path::new("config.json")).unwrap();
    let change = Change { without_mounts: vec![1], ..Change::default() };
    let out = String::from_utf8(change.apply(&spec, None).to_vec()).unwrap();
    assert_eq!(out, r#"{"process":{},"mounts":[{"destination":"/a","x":1e400},{"destination":"/b"}]}"#);
}

/// Any JSON value, as text, with white space and escapes as they come.
fn json() -> impl Strategy<Value = String> {
    let number =
        prop_oneof![Just("0"), Just("-1.5e-300"), Just("1e400"), Just("18446744073709551616")].prop_map(str::to_owned);
    let string = "[a-zA-Zäß\\PC]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        number,
        string.clone(),
        Just(r#""\u00e9\/""#.to_owned())
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        let space = prop_oneof![Just(""), Just(" "), Just("\n\t")];
        let member = (string.clone(), inner.clone()).prop_map(|(key, value)| format!("{key}: {value}"));
        prop_oneof![
            (space.clone(), prop::collection::vec(inner, 0..6))
                .prop_map(|(s, items)| format!("[{s}{}{s}]", items.join(","))),
            (space, prop::collection::vec(member, 0..6))
                .prop_map(|(s, items)| format!("{{{s}{}{s}}}", items.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_specification_keeps_all_but_our_edit(
        unknown in prop::collection::vec(("x[a-z]{1,6}", json()), 0..6),
        inside in prop::collection::vec(("x[a-z]{1,6}", json()), 0..4),
        env in prop::option::of(prop::collection::vec("[A-Z]{1,4}=\\PC{0,8}", 0..4)),
        space in "[ \n\t]{0,3}",
    ) {
        let join = |members: &[(String, String)]| members.iter().map(|(key, value)| format!("\"{key}\":{value},")).collect::<String>();
        let env = env.map(|env| format!(",\"env\":{}", serde_json::to_string(&env).unwrap())).unwrap_or_default();
        let text = format!("{space}{{{space}{}\"process\":{{{}\"cwd\":\"/\"{env}}}{space}}}", join(&unknown), join(&inside));
        assert_lossless(&text);
    }
}
