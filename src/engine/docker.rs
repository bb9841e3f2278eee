//! docker: a few members of `daemon.json`, which has no drop-ins.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::links;
use super::members::{self, Added};
use super::ours::{at, same};
use super::present::Present;
use super::{Change, Engine, Error, Found, Host, Mode, Order, Plan, consent};
use crate::json::Object;

/// What docker reads unless it is told otherwise.
const FILE: &str = "/etc/docker/daemon.json";

/// Where docker writes its process id unless it is told otherwise.
const PID: &str = "/run/docker.pid";

/// Since this version `docker run --annotation` exists.
const ANNOTATIONS: u32 = 24;

/// Since this version docker reads CDI specifications.
const CDI: u32 = 25;

type Wanted<'a> = Vec<(&'a [&'a str], Value)>;

/// The plan for docker.
pub(super) fn plan(order: &Order, host: &Host, present: &Present, found: &Found) -> Result<Plan, Error> {
    let mut plan = Plan::new(Engine::Docker, order.mode);
    let running = arguments();
    let path = present.resolve(&order.config.clone().unwrap_or_else(file))?;
    let before = present.read(&path)?;
    let text = document(&path, before.as_deref())?;
    match order.mode {
        Mode::Shim => {
            let runtimes = runtimes(host)?;
            check_flags(&running, &path, &runtimes)?;
            let mut wanted: Wanted<'_> = Vec::new();
            let keys: Vec<[&str; 2]> = runtimes.iter().map(|(name, _)| ["runtimes", *name]).collect();
            for (keys, (_, link)) in keys.iter().zip(&runtimes) {
                wanted.push((keys, json!({ "path": link })));
            }
            for (keys, value) in &wanted {
                refuse_another(&path, &text, keys, value)?;
            }
            if order.default_runtime {
                wanted.push((&["default-runtime"], json!("keyslip")));
            }
            plan.changes.extend(record(host, present, found)?);
            plan.changes.extend(change(&path, before, &text, &wanted));
            shim_next(&mut plan, order, found);
        }
        Mode::Cdi => {
            cdi(&mut plan, &path, before, &text, found)?;
        }
        Mode::Hook => {
            return Err(Error::NoSuchMode { engine: Engine::Docker, mode: Mode::Hook, known: "shim or cdi" });
        }
    }
    Ok(plan)
}

/// What docker reads, which the daemon that runs may have been told.
pub(super) fn file() -> PathBuf {
    value_of(&arguments(), "--config-file").map_or_else(|| PathBuf::from(FILE), PathBuf::from)
}

/// The text of the file as the object that it has to be.
fn document(path: &Path, text: Option<&str>) -> Result<String, Error> {
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        return Ok("{}\n".to_owned());
    }
    let strict = serde_json::from_str::<serde::de::IgnoredAny>(text).and_then(|_| Object::read(text));
    match strict {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason).to_owned();
            let (line, column) = (error.line(), error.column());
            Err(Error::Broken {
                engine: Engine::Docker,
                path: path.to_owned(),
                line,
                column,
                what: "JSON object",
                reason,
            })
        }
    }
}

/// The change of the file; nothing if everything is set already.
fn change(path: &Path, before: Option<String>, text: &str, wanted: &Wanted<'_>) -> Option<Change> {
    let Added { text: after, ours } = members::add(text, wanted);
    (after != text).then(|| Change::new(path, before, &after, ours))
}

/// Names of runtimes and where each is: the ordinary one, and crun where there is one.
fn runtimes(host: &Host) -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let mut runtimes = vec![("keyslip", links::link(host, "docker", "runc")?.path)];
    if links::names(host, "docker").iter().any(|name| name == "crun") {
        runtimes.push(("keyslip-crun", links::link(host, "docker", "crun")?.path));
    }
    Ok(runtimes)
}

/// A runtime of ours by name that is somebody else's.
fn refuse_another(path: &Path, text: &str, keys: &[&str], value: &Value) -> Result<(), Error> {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let parent = at(text, &keys[..1]);
    if parent.is_some_and(|parent| !parent.starts_with('{')) {
        let reason = format!("{} is no object, so docker cannot read it either; mend it", keys[0]);
        return Err(Error::Conflict { path: path.to_owned(), reason });
    }
    match at(text, &keys) {
        Some(there) if !same(there, &value.to_string()) => {
            let reason = format!(
                "there is another runtime with the name {} already; rename it, or make it {value}",
                keys.last().map_or("", String::as_str)
            );
            Err(Error::Conflict { path: path.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// docker does not start with runtimes both in its arguments and in its file.
fn check_flags(running: &[String], path: &Path, runtimes: &[(&str, PathBuf)]) -> Result<(), Error> {
    if value_of(running, "--add-runtime").is_none() {
        return Ok(());
    }
    let flags: Vec<String> =
        runtimes.iter().map(|(name, link)| format!("--add-runtime {name}={}", link.display())).collect();
    let reason = format!(
        "dockerd was started with --add-runtime and would not start with runtimes in its file as well; add to its arguments: {}",
        flags.join(" ")
    );
    Err(Error::Conflict { path: path.to_owned(), reason })
}

/// The arguments of the daemon that runs; nothing if none does.
fn arguments() -> Vec<String> {
    let read = || -> Option<Vec<String>> {
        let pid: u32 = fs::read_to_string(PID).ok()?.trim().parse().ok()?;
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<String> =
            bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.first()?.ends_with("dockerd").then_some(words)
    };
    read().unwrap_or_default()
}

/// The value of an option, written with a space or an equals sign.
fn value_of(arguments: &[String], option: &str) -> Option<String> {
    arguments.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(option)? {
        "" => arguments.get(index + 1).cloned(),
        rest => rest.strip_prefix('=').map(str::to_owned),
    })
}

fn record(host: &Host, present: &Present, found: &Found) -> Result<Option<Change>, Error> {
    if found.program.major() < ANNOTATIONS {
        return Ok(None);
    }
    let about = "Since docker 24 annotations come from the command line alone, never from an image.";
    let version = consent::version(&found.program.version);
    consent::record(present, host, Engine::Docker, about, &[("docker", version)])
}

fn shim_next(plan: &mut Plan, order: &Order, found: &Found) {
    plan.next.push("systemctl reload docker".to_owned());
    let runtime = if order.default_runtime { "" } else { " --runtime keyslip" };
    if found.program.major() >= ANNOTATIONS {
        plan.next.push(format!("docker run{runtime} --annotation dev.keyslip.agents=claude IMAGE"));
    } else {
        plan.notes.push(format!("docker {} has no annotations (24.0 has); ask with a mount", found.program.version));
        plan.next.push(format!("docker run{runtime} -v $(keyslip request claude):/request:ro IMAGE"));
    }
}

fn cdi(plan: &mut Plan, path: &Path, before: Option<String>, text: &str, found: &Found) -> Result<(), Error> {
    if found.program.major() < CDI {
        let reason = format!("docker {} knows no CDI; use 25 or later, or --mode shim", found.program.version);
        return Err(Error::Conflict { path: path.to_owned(), reason });
    }
    let off = at(text, &["features".to_owned(), "cdi".to_owned()]).is_some_and(|value| value == "false");
    if off {
        let reason = "features.cdi is false here; set it to true, or take it out".to_owned();
        return Err(Error::Conflict { path: path.to_owned(), reason });
    }
    // 28 has it on by itself; before, it needs both.
    if found.program.major() < 28 {
        let mut wanted: Wanted<'_> = vec![(&["features", "cdi"], json!(true))];
        if at(text, &["cdi-spec-dirs".to_owned()]).is_none() {
            wanted.push((&["cdi-spec-dirs"], json!(["/etc/cdi", "/run/cdi"])));
        }
        plan.changes.extend(change(path, before, text, &wanted));
        plan.next.push("systemctl restart docker".to_owned());
    }
    plan.next.extend(super::cdi::missing());
    plan.next.push("docker run --device keyslip.dev/agent=claude IMAGE".to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_daemon() {
        let words: Vec<String> =
            ["/usr/bin/dockerd", "-H", "fd://", "--config-file=/a", "--add-runtime", "x=/y"].map(str::to_owned).into();
        assert_eq!(value_of(&words, "--config-file").as_deref(), Some("/a"));
        assert_eq!(value_of(&words, "--add-runtime").as_deref(), Some("x=/y"));
        assert_eq!(value_of(&words, "--add"), None);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_place() {
        let path = Path::new("/etc/docker/daemon.json");
        for (text, place) in
            [("{\n  \"a\": 1,\n}\n", ":3:1:"), ("[1]", ":1:"), ("{} x", ":1:4:"), ("{\"a\": tru}", ":1:")]
        {
            let said = document(path, Some(text)).unwrap_err().to_string();
            assert!(said.starts_with(&format!("/etc/docker/daemon.json{place}")), "{said}");
        }
        assert_eq!(document(path, Some(" \n")).unwrap(), "{}\n");
    }

    #[test]
    fn another_runtime_of_the_name_is_refused_and_the_same_one_is_not() {
        let (path, value) = (Path::new("/d"), json!({ "path": "/k" }));
        let refused = |text: &str| refuse_another(path, text, &["runtimes", "keyslip"], &value).is_err();
        assert!(refused(r#"{"runtimes": {"keyslip": {"path": "/other"}}}"#));
        assert!(refused(r#"{"runtimes": []}"#));
        assert!(!refused(r#"{"runtimes": {"keyslip": { "path" : "/k" }}}"#));
        assert!(!refused(r#"{"runtimes": {"x": {"path": "/other"}}}"#));
    }
}
