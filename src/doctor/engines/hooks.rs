//! Hooks of podman and CRI-O: JSON files in directories.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{Area, Finding, Remedy, Severity, asking, quoted};
use super::json;

/// Directories that `podman build` and CRI-O read too, or that an administrator takes for such.
pub const SHARED: [&str; 2] = ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"];

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// The file.
    pub file: PathBuf,
    /// Why it cannot be read.
    pub wrong: Option<String>,
    /// It is one of Keyslip's.
    pub ours: bool,
    /// What it runs, if that is not there.
    pub missing: Vec<PathBuf>,
    /// It names no variables.
    pub without_env: bool,
    /// The stages.
    pub stages: Vec<String>,
    /// The engine that it speaks for, after `--engine`.
    pub engine: Option<String>,
}

/// The hooks in a directory; nothing when there is none.
#[must_use]
pub fn observe(dir: &Path) -> Option<Vec<Hook>> {
    let entries = fs::read_dir(dir).ok()?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    paths.sort();
    Some(paths.into_iter().map(|path| read(&path)).collect())
}

fn read(path: &Path) -> Hook {
    match super::read(path).and_then(|text| json(&text.unwrap_or_default())) {
        Ok(value) => hook(path, &value),
        Err(why) => Hook { file: path.to_owned(), wrong: Some(why), ..Hook::default() },
    }
}

fn hook(path: &Path, value: &Value) -> Hook {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<String>>();
    let hook = &value["hook"];
    let program = PathBuf::from(text(&hook["path"]));
    let args = texts(&hook["args"]);
    let ours = program.file_name().is_some_and(|name| name == "keyslip-hook");
    let option = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned();
    let needed = std::iter::once(program).chain(option("--launcher").map(PathBuf::from));
    Hook {
        file: path.to_owned(),
        wrong: None,
        ours,
        missing: needed.filter(|path| !asking::is_program(path)).collect(),
        without_env: texts(&hook["env"]).is_empty(),
        stages: texts(&value["stages"]),
        engine: option("--engine"),
    }
}

/// What is wrong with the hooks of one directory. `engine` is whose directory it is; nothing for one that
/// all share.
#[must_use]
pub fn judge(dir: &Path, hooks: &[Hook], engine: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let again = || Remedy::advice("write the hooks again: keyslip install podman --mode hook");
    for hook in hooks {
        let subject = hook.file.display().to_string();
        let finding =
            |severity, what: String, remedy| Finding::new(Area::Engines, severity, subject.clone(), what, remedy);
        if let Some(why) = &hook.wrong {
            let what = format!("{why}; podman starts no container at all with it");
            findings.push(finding(Severity::Broken, what, Remedy::advice("mend the file, or take it away")));
            continue;
        }
        let shared = SHARED.iter().any(|shared| dir == Path::new(shared));
        if shared && hook.stages.iter().any(|stage| stage == "precreate") {
            let what = "has the stage precreate in a directory that `podman build` and CRI-O read: both fail with it";
            let remedy = match hook.ours {
                true => Remedy::run(format!("rm {}", quoted(&hook.file))),
                false => Remedy::advice("move it to a directory of its own that hooks_dir names"),
            };
            findings.push(finding(Severity::Broken, what.to_owned(), remedy));
        }
        if !hook.ours {
            continue;
        }
        for missing in &hook.missing {
            let what = format!(
                "runs {}, which is missing; podman passes over such a hook without a word, and containers start without what they ask for",
                missing.display()
            );
            findings.push(finding(Severity::Broken, what, again()));
        }
        if hook.without_env {
            let what = "names no env, so the hook runs with whatever variables the engine was started with";
            findings.push(finding(Severity::Warning, what.to_owned(), again()));
        }
        if let (Some(says), Some(engine)) = (&hook.engine, engine)
            && says != engine
        {
            let what = format!("says --engine {says}, so {engine} is judged by the rules of another engine");
            findings.push(finding(Severity::Broken, what, again()));
        }
    }
    let has = |stage: &str| hooks.iter().any(|hook| hook.ours && hook.stages.iter().any(|it| it == stage));
    if (has("precreate") || has("createRuntime")) && !has("poststop") {
        let what = "has no hook at poststop, so what containers had stays until `keyslip sweep`";
        findings.push(Finding::warning(Area::Engines, dir.display().to_string(), what, again()));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(program: &str, stage: &str, more: &str) -> Value {
        let text = format!(
            r#"{{"version":"1.0.0","hook":{{"path":"{program}","args":["keyslip-hook","{stage}","--engine","podman","--launcher","/bin/sh"]{more}}},"stages":["{stage}"]}}"#
        );
        json(&text).unwrap()
    }

    const ENV: &str = r#","env":["PATH=/bin"]"#;

    fn findings(dir: &str, values: &[Value]) -> Vec<(Severity, String)> {
        let dir = Path::new(dir);
        // A program that is there on every machine stands for the hook.
        let sound = |mut hook: Hook| {
            hook.missing.retain(|path| !path.ends_with("keyslip-hook") || !path.starts_with("/there"));
            hook
        };
        let hooks: Vec<Hook> = values.iter().map(|value| sound(hook(&dir.join("h.json"), value))).collect();
        judge(dir, &hooks, Some("podman")).into_iter().map(|it| (it.severity, it.what)).collect()
    }

    fn pair(stage: &str, more: &str) -> [Value; 2] {
        [value("/there/keyslip-hook", stage, more), value("/there/keyslip-hook", "poststop", ENV)]
    }

    #[test]
    fn hooks_in_a_directory_of_their_own_are_in_order() {
        assert_eq!(findings("/etc/keyslip/hooks.d", &pair("precreate", ENV)), []);
    }

    #[test]
    fn what_is_wrong_with_hooks() {
        let one = |found: Vec<(Severity, String)>| {
            assert_eq!(found.len(), 1, "{found:?}");
            found.into_iter().next().unwrap()
        };
        let shared = one(findings(SHARED[0], &pair("precreate", ENV)));
        assert!(shared.0 == Severity::Broken && shared.1.contains("podman build"), "{shared:?}");
        assert_eq!(findings(SHARED[0], &pair("createRuntime", ENV)), []);
        let missing = one(findings("/d", &[value("/gone/keyslip-hook", "poststop", ENV)]));
        assert!(missing.0 == Severity::Broken && missing.1.contains("/gone/keyslip-hook"), "{missing:?}");
        let bare = one(findings("/d", &pair("precreate", "")));
        assert!(bare.0 == Severity::Warning && bare.1.contains("names no env"), "{bare:?}");
        let alone = one(findings("/d", &[value("/there/keyslip-hook", "precreate", ENV)]));
        assert!(alone.1.contains("poststop"), "{alone:?}");
        assert_eq!(findings("/d", &[value("/gone/other", "prestart", "")]), [], "somebody else's");
    }

    #[test]
    fn a_file_that_is_no_json_stops_every_container() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.json"), "{").unwrap();
        fs::write(dir.path().join("x.txt"), "{").unwrap();
        let hooks = observe(dir.path()).unwrap();
        let found = judge(dir.path(), &hooks, None);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Broken));
        assert_eq!(observe(Path::new("/nonexistent")), None);
    }
}
