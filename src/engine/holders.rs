//! Containers that name Keyslip's runtime, and what becomes of them without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::found::look_up;
use super::{Engine, Host, Receipt};
use crate::json::get;
use crate::ledger::{Ledger, Liveness, liveness};

/// Containers of one engine.
#[derive(Debug)]
pub(super) struct Holders {
    /// What becomes of them.
    pub what: &'static str,
    /// Their names or ids.
    pub names: Vec<String>,
}

/// The containers, running or not, that name the runtime that `receipt` has brought in.
pub(super) fn holders(host: &Host, receipt: &Receipt) -> Holders {
    let (what, names) = match receipt.engine {
        Engine::Podman => ("they call the shim by its path and cannot be started", podman(host)),
        Engine::Docker => ("they cannot be started", docker(receipt)),
        Engine::Containerd => ("their pods cannot be started anew", containerd(host)),
        Engine::Cdi => ("", Vec::new()),
    };
    Holders { what, names }
}

/// How many containers of an engine live and hold something.
pub(super) fn living(host: &Host, engine: Engine) -> usize {
    let ledger = Ledger::at(&host.site.runtime);
    let theirs = |name: &str| name == engine.name() || (engine == Engine::Containerd && name == "cri");
    let alive = |record: &&crate::ledger::Record| liveness(&ledger, record) != Liveness::Dead;
    ledger.records().found.iter().filter(|record| theirs(&record.engine)).filter(alive).count()
}

/// podman stores the path of `--runtime PATH` with the container; a name is looked up at each start.
fn podman(host: &Host) -> Vec<String> {
    let Some(program) = look_up(host, "podman") else { return Vec::new() };
    let said = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let ids = said(&["ps", "-aq", "--no-trunc"]).unwrap_or_default();
    let ids: Vec<&str> = ids.split_ascii_whitespace().collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let mut arguments = vec!["inspect", "--type", "container", "--format", "{{.Name}} {{.OCIRuntime}}"];
    arguments.extend(ids);
    let lines = said(&arguments).unwrap_or_default();
    let by_path = |line: &str| {
        let (name, runtime) = line.split_once(' ')?;
        Path::new(runtime).starts_with(&host.libexec).then(|| name.to_owned())
    };
    lines.lines().filter_map(by_path).collect()
}

/// docker stores the runtime's name with the container. Its files are read, which needs no daemon.
fn docker(receipt: &Receipt) -> Vec<String> {
    let configured = receipt.changes.iter().find_map(|change| {
        let text = String::from_utf8_lossy(change.after.as_deref()?).into_owned();
        serde_json::from_str::<PathBuf>(get(&text, &["data-root"]).ok()??).ok()
    });
    let root = configured.unwrap_or_else(|| PathBuf::from("/var/lib/docker"));
    // With userns-remap, everything is one directory further down.
    let roots = subdirectories(&root).into_iter().chain([root]);
    let containers = roots.flat_map(|root| subdirectories(&root.join("containers")));
    containers
        .filter_map(|dir| {
            let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
            let runtime = read("hostconfig.json")?;
            let runtime: String = serde_json::from_str(get(&runtime, &["Runtime"]).ok()??).ok()?;
            let about = read("config.v2.json").unwrap_or_default();
            let name: Option<String> =
                get(&about, &["Name"]).ok().flatten().and_then(|name| serde_json::from_str(name).ok());
            let id = || dir.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
            let name = name.map_or_else(id, |name| name.trim_start_matches('/').to_owned());
            ["keyslip", "keyslip-crun"].contains(&runtime.as_str()).then_some(name)
        })
        .collect()
}

/// containerd keeps the options of a task's runtime beside its bundle; the path stands in them as text.
fn containerd(host: &Host) -> Vec<String> {
    let needle = host.libexec.display().to_string();
    let namespaces = subdirectories(Path::new("/run/containerd/io.containerd.runtime.v2.task"));
    let tasks = namespaces.iter().flat_map(|namespace| subdirectories(namespace));
    let names = |task: &PathBuf| {
        let options = fs::read(task.join("options.json")).unwrap_or_default();
        String::from_utf8_lossy(&options).contains(&needle)
    };
    let id = |task: PathBuf| task.file_name().map(|id| id.to_string_lossy().into_owned());
    tasks.filter(names).filter_map(id).collect()
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
