//! `docs/threat-model.md` names tests, and they are there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The names of functions in all sources below `dir`, each after `#[test]`.
fn tests_below(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let mut lines = text.lines().map(str::trim);
            while lines.any(|line| line == "#[test]") {
                let name = lines.find_map(|line| line.strip_prefix("fn ")?.split_once('(').map(|(name, _)| name));
                found.extend(name.map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(repo.join("docs/threat-model.md")).expect("the threat model");
    let named: Vec<(&str, &str)> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.split_once("::"))
        .filter(|(_, test)| *test != "test")
        .collect();
    assert!(named.len() > 60, "{}", named.len());
    let mut known: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (program, test) in named {
        let tests = known.entry(program).or_insert_with(|| {
            let dir = if program == "lib" { repo.join("src") } else { repo.join("tests").join(program) };
            let mut found = Vec::new();
            tests_below(&dir, &mut found);
            found
        });
        assert!(tests.iter().any(|it| it == test), "{program}::{test} is in docs/threat-model.md and nowhere else");
    }
    // Every promise has a test.
    let promises = text
        .split("## What is promised")
        .nth(1)
        .and_then(|rest| rest.split("## What is not").next())
        .expect("promises");
    for line in promises.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise ")) {
        assert!(line.contains("::"), "no test stands for: {line}");
    }
}
