//! Links of a page to files and to headings lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The pages of the repository, below its root.
pub fn pages() -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(root().join(&dir)).expect("a directory").flatten() {
            let path = dir.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !name.starts_with('.') && !["target", "build"].contains(&name.as_str()) {
                    dirs.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page without its fenced blocks and its code in lines.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    lines.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("`") + "\n").collect()
}

/// The targets of the links of a page.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let parts = prose.split("](").skip(1);
    parts.filter_map(|part| Some(part.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page, made of its headings as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut seen = BTreeMap::new();
    let mut anchors = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        }
        let Some(title) = line.strip_prefix('#').filter(|_| !inside) else { continue };
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_insert(0);
        anchors.push(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
    }
    anchors
}

/// The links of a page that lead nowhere, and how many it has.
pub fn broken(page: &Path, text: &str) -> (Vec<String>, usize) {
    let targets: Vec<_> = targets(text).into_iter().filter(|target| !target.contains("://")).collect();
    let count = targets.len();
    let leads_nowhere = |target: &String| {
        let (file, anchor) =
            target.split_once('#').map_or((target.as_str(), None), |(file, anchor)| (file, Some(anchor)));
        let there = if file.is_empty() { page.to_owned() } else { page.with_file_name(file) };
        let Some(anchor) = anchor else { return !there.exists() };
        let other = if file.is_empty() { Ok(text.to_owned()) } else { fs::read_to_string(&there) };
        !other.is_ok_and(|other| anchors(&other).iter().any(|it| it == anchor))
    };
    (targets.into_iter().filter(leads_nowhere).collect(), count)
}
