//! containerd: runtime handlers of its CRI plugin in `config.toml`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::version::Version;
use super::super::{Area, Finding, Remedy, listed};
use super::{Called, read, toml, unreadable, version_changed};
use crate::config::Config;
use crate::engine::Found;
use crate::site::{Site, Whose};

/// Its configuration.
const FILE: &str = "/etc/containerd/config.toml";

/// The plugins that have runtimes: up to version 2 of the configuration, and of version 3.
const PLUGINS: [&str; 2] = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];

/// What a list of annotations must let through.
const PATTERNS: [&str; 3] = ["dev.keyslip.*", "dev.*", "*"];

/// A runtime handler.
#[derive(Clone, Debug, Default)]
pub struct Handler {
    /// What it calls.
    pub called: Called,
    /// The lists let our annotations through: of the pod, of the container.
    pub annotations: (bool, bool),
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The program.
    pub program: Option<PathBuf>,
    /// Its version.
    pub version: Option<Version>,
    /// Why the configuration cannot be read.
    pub wrong: Option<String>,
    /// Handlers that name a program.
    pub handlers: Vec<Handler>,
    /// What the configuration of Keyslip says, for CRI and for `ctr`.
    pub recorded: (Option<String>, Option<String>),
    /// Annotations of CRI count although no version is written down.
    pub trusted: bool,
    /// Some rule speaks of CRI.
    pub allowed: bool,
}

/// Looks. Only root's is looked at.
#[must_use]
pub fn observe(config: &Config, site: &Site, found: Option<&Found>) -> Seen {
    if site.whose != Whose::System {
        return Seen::default();
    }
    let version = |name: &str| config.engines.get(name).and_then(|it| it.version.clone());
    let of_cri = |rule: &crate::config::Allow| {
        let engines = rule.engine.as_ref().map(|it| it.as_slice().to_vec());
        engines.is_none_or(|them| them.iter().any(|it| it == "cri" || it.ends_with('*')))
    };
    let mut seen = Seen {
        program: found.map(|found| found.program.path.clone()),
        version: found.and_then(|found| Version::parse(&found.program.version)),
        recorded: (version("cri"), version("containerd")),
        trusted: config.trust_annotations || config.engines.get("cri").is_some_and(|it| it.trust_annotations),
        allowed: config.allow.iter().any(of_cri),
        ..Seen::default()
    };
    match read(Path::new(FILE)).and_then(|text| text.map(|text| toml(&text)).transpose()) {
        Ok(Some(value)) => seen.handlers = handlers(&value),
        Ok(None) => {}
        Err(why) => seen.wrong = Some(why),
    }
    seen
}

fn handlers(value: &Value) -> Vec<Handler> {
    let runtimes = PLUGINS.iter().filter_map(|plugin| value["plugins"][plugin]["containerd"]["runtimes"].as_object());
    let each = runtimes.flatten().filter_map(|(name, runtime)| {
        let path = runtime["options"]["BinaryName"].as_str()?;
        let lets = |list: &Value| {
            let mut patterns = list.as_array().into_iter().flatten().filter_map(Value::as_str);
            patterns.any(|pattern| PATTERNS.contains(&pattern))
        };
        let annotations = (lets(&runtime["pod_annotations"]), lets(&runtime["container_annotations"]));
        Some(Handler { called: Called::at(name, Path::new(path)), annotations })
    });
    each.collect()
}

impl Seen {
    /// Whether its CRI calls Keyslip, or is meant to.
    #[must_use]
    pub fn has_handler(&self) -> bool {
        self.handlers.iter().any(|handler| handler.called.meant)
    }

    /// Whether it calls Keyslip, or is meant to: `ctr` needs no configuration but the version.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.has_handler() || self.recorded.1.is_some()
    }
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Engines;
    if let Some(why) = &seen.wrong {
        return vec![unreadable("containerd", Path::new(FILE), why)];
    }
    let mut findings = Vec::new();
    for handler in seen.handlers.iter().filter(|handler| handler.called.meant) {
        let name = &handler.called.name;
        let subject = format!("containerd, handler {name}");
        findings.extend(handler.called.problem("containerd", &["cri"]));
        let missing: Vec<&str> =
            [("pod_annotations", handler.annotations.0), ("container_annotations", handler.annotations.1)]
                .into_iter()
                .filter_map(|(list, there)| (!there).then_some(list))
                .collect();
        if missing.len() == 2 {
            findings.push(Finding::warning(
                area,
                subject,
                "lets no annotation through, so no pod can ask",
                Remedy::advice(format!(
                    "put pod_annotations = [\"dev.keyslip.*\"] and container_annotations = [\"dev.keyslip.*\"] under the runtime {name} in {FILE}"
                )),
            ));
        } else if !missing.is_empty() {
            let what = format!("lets annotations through by one list alone; {} lacks dev.keyslip.*", missing[0]);
            let remedy =
                Remedy::advice(format!("put {} = [\"dev.keyslip.*\"] under the runtime {name} in {FILE}", missing[0]));
            findings.push(Finding::note(area, subject, what, remedy));
        }
    }
    if seen.has_handler() {
        if seen.recorded.0.is_none() && !seen.trusted {
            let version = seen.version.as_ref().map_or_else(|| "1.7.24".to_owned(), Version::to_string);
            findings.push(Finding::warning(
                area,
                "containerd, CRI",
                "its annotations do not count, because its version is not written down",
                Remedy::advice(format!(
                    "install it again (keyslip install containerd), or put version = \"{version}\" under [engines.cri] in keyslip.toml"
                )),
            ));
        }
        if !seen.allowed {
            findings.push(Finding::warning(
                area,
                "containerd, CRI",
                "no [[allow]] rule speaks of it, so every pod that asks is refused",
                Remedy::advice("write a rule with engine = \"cri\" and namespace = \"...\"; the refusal names it"),
            ));
        }
    }
    findings.extend(version_changed("cri", seen.recorded.0.as_deref(), seen.version.as_ref()));
    findings.extend(version_changed("containerd", seen.recorded.1.as_deref(), seen.version.as_ref()));
    if findings.is_empty() && seen.is_set_up() {
        let names: Vec<&str> =
            seen.handlers.iter().filter(|it| it.called.meant).map(|it| it.called.name.as_str()).collect();
        let what = match names.is_empty() {
            true => "ctr's annotations count".to_owned(),
            false => format!("calls the shim for handler {}", listed(names)),
        };
        let version = seen.version.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        findings.push(Finding::ok(area, format!("containerd{version}"), what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::installation;
    use super::*;
    use crate::doctor::exit_code;

    fn seen(path: &Path, plugin: &str, lists: &str) -> Seen {
        let text = format!(
            "version = 2\n[plugins.\"{plugin}\".containerd.runtimes.runc]\nruntime_type = \"x\"\n\
             [plugins.\"{plugin}\".containerd.runtimes.keyslip]\n{lists}\n\
             [plugins.\"{plugin}\".containerd.runtimes.keyslip.options]\nBinaryName = {path:?}\n"
        );
        let recorded = (Some("1.7.24".to_owned()), None);
        let version = Version::parse("1.7.24");
        Seen { handlers: handlers(&toml(&text).unwrap()), version, recorded, allowed: true, ..Seen::default() }
    }

    const LISTS: &str = "pod_annotations = [\"dev.keyslip.*\"]\ncontainer_annotations = [\"dev.keyslip.*\"]";

    #[test]
    fn a_handler_that_is_the_shim_is_in_order() {
        let dir = installation();
        for plugin in PLUGINS {
            let seen = seen(&dir.path().join("keyslip/cri/crun"), plugin, LISTS);
            assert_eq!((seen.handlers.len(), exit_code(&judge(&seen))), (1, 0), "{plugin}");
        }
        assert_eq!(judge(&Seen::default()), []);
    }

    #[test]
    fn what_is_wrong_with_it() {
        let dir = installation();
        let at = |link: &str, lists: &str| seen(&dir.path().join("keyslip").join(link), PLUGINS[0], lists);
        let sound = at("cri/crun", LISTS);
        assert_eq!(exit_code(&judge(&at("cri/gone", LISTS))), 2);
        assert_eq!(exit_code(&judge(&at("podman/crun", LISTS))), 2);
        assert_eq!(exit_code(&judge(&at("cri/crun", ""))), 1);
        let one = judge(&at("cri/crun", "pod_annotations = [\"dev.keyslip.*\"]"));
        assert!(exit_code(&one) == 0 && one[0].what.contains("container_annotations"), "{one:?}");
        assert_eq!(exit_code(&judge(&Seen { allowed: false, ..sound.clone() })), 1);
        assert_eq!(exit_code(&judge(&Seen { recorded: (None, None), ..sound })), 1);
    }
}
