//! The engine's own parser reads the result, before it takes the place of what is there.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::containerd::imports;
use super::links::first_line;
use super::{Change, Engine, Error, Found, Host, Mode};

/// Since this version `dockerd --validate` exists.
const VALIDATE: u32 = 23;

/// Lets the engine read `staged`, the result of `change`.
pub(super) fn accepted(found: &Found, mode: Mode, change: &Change, staged: &Path, host: &Host) -> Result<(), Error> {
    if change.path.starts_with(&host.site.config) {
        return Ok(());
    }
    let rejected = |reason: String| Error::Rejected { engine: found.engine, path: change.path.clone(), reason };
    let program = &found.program.path;
    match found.engine {
        Engine::Podman => {
            // podman reads its configuration before it prints anything (4.3.1, 5.4.2).
            let mut command = Command::new(program);
            command.arg("--version").env("CONTAINERS_CONF", staged);
            ran(&mut command).map(drop).map_err(rejected)
        }
        Engine::Docker if found.program.major() >= VALIDATE => {
            let mut command = Command::new(program);
            command.args(["--validate", "--config-file"]).arg(staged);
            ran(&mut command).map(drop).map_err(rejected)
        }
        Engine::Containerd => containerd(program, mode, change, staged).map_err(rejected),
        Engine::Docker | Engine::Cdi => Ok(()),
    }
}

fn ran(command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(output) } else { Err(first_line(&output.stderr)) }
}

/// What containerd makes of the file, imports included, must be what it made of the old one, and ours.
fn containerd(program: &Path, mode: Mode, change: &Change, staged: &Path) -> Result<(), String> {
    let mut after = dump(program, &["--config", &staged.display().to_string(), "config", "dump"])?;
    let mut before = match &change.before {
        Some(_) => dump(program, &["--config", &change.path.display().to_string(), "config", "dump"])?,
        None => dump(program, &["config", "default"])?,
    };
    let text = String::from_utf8_lossy(change.after.as_deref().unwrap_or_default()).into_owned();
    let overruled = |what: &str| {
        let imports = imports(&text);
        let by = if imports.is_empty() { String::new() } else { format!(" (it imports {})", imports.join(", ")) };
        format!("{what}{by}; give the file that has the CRI's settings with --config")
    };
    for plugin in ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "cri"] {
        let Some(cri) = after.pointer_mut(&format!("/plugins/{plugin}")).and_then(Value::as_object_mut) else {
            continue;
        };
        if mode == Mode::Cdi {
            if cri.get("enable_cdi") != Some(&Value::Bool(true)) {
                return Err(overruled("CDI would not be on"));
            }
            for key in ["enable_cdi", "cdi_spec_dirs"] {
                cri.remove(key);
                if let Some(cri) = before.pointer_mut(&format!("/plugins/{plugin}")).and_then(Value::as_object_mut) {
                    cri.remove(key);
                }
            }
        } else {
            let runtimes = cri.get_mut("containerd").and_then(|table| table.get_mut("runtimes"));
            let removed = runtimes.and_then(Value::as_object_mut).and_then(|runtimes| runtimes.remove("keyslip"));
            let had_it = before.pointer(&format!("/plugins/{plugin}/containerd/runtimes/keyslip")).is_some();
            if removed.is_none() && !had_it {
                return Err(overruled("the runtime keyslip would not be there"));
            }
        }
    }
    for dump in [&mut before, &mut after] {
        // The first of them is the file itself.
        dump.as_object_mut().map(|dump| dump.remove("imports"));
        drop_empty(dump);
    }
    if before == after {
        Ok(())
    } else {
        Err(overruled(&format!("settings would be lost: {}", first_difference(&before, &after))))
    }
}

fn dump(program: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = ran(Command::new(program).args(arguments))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let table = DeTable::parse(&text).map_err(|error| error.message().to_owned())?;
    Ok(table_value(table.get_ref()))
}

fn table_value(table: &DeTable<'_>) -> Value {
    Value::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), value_of(value.get_ref()))).collect())
}

fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Table(table) => table_value(table),
        DeValue::Array(values) => values.iter().map(|value| value_of(value.get_ref())).collect(),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::String(number.as_str().to_owned()),
        DeValue::Float(number) => Value::String(number.as_str().to_owned()),
        DeValue::Datetime(time) => Value::String(time.to_string()),
    }
}

/// Takes out what says the same as nothing: containerd writes the built-in runtime's options out, and
/// leaves out those of one that has none.
fn drop_empty(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(drop_empty);
        members.retain(|_, value| match value {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            // The last is what containerd 1.7 makes of an absent `sandbox_mode`, and 2 of an absent `sandboxer`.
            Value::String(text) => !["", "0", "podsandbox"].contains(&text.as_str()),
            Value::Array(values) => !values.is_empty(),
            Value::Object(members) => !members.is_empty(),
            Value::Number(_) => true,
        });
    }
}

/// Where two values differ first, for the message.
fn first_difference(one: &Value, other: &Value) -> String {
    if let (Value::Object(one), Value::Object(other)) = (one, other) {
        let keys = one.keys().chain(other.keys());
        for key in keys {
            let (a, b) = (one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null));
            if a != b {
                let below = first_difference(a, b);
                return if below.is_empty() { key.clone() } else { format!("{key}.{below}") };
            }
        }
    }
    String::new()
}
