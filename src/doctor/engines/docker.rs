//! docker: the runtimes of `daemon.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::version::Version;
use super::super::{Area, Finding, Remedy, asking, listed, look_up};
use super::{Called, LIMIT, json, read, unreadable, version_changed};
use crate::config::Config;
use crate::engine::Found;
use crate::site::{Site, Whose};

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The daemon's program; a client alone reads no configuration.
    pub daemon: Option<PathBuf>,
    /// The daemon's version.
    pub version: Option<Version>,
    /// Its configuration.
    pub file: PathBuf,
    /// Why that cannot be read.
    pub wrong: Option<String>,
    /// The runtime that it takes when nobody names one.
    pub default: Option<String>,
    /// The runtimes of the configuration.
    pub runtimes: Vec<Called>,
    /// CDI devices are offered.
    pub cdi: bool,
    /// What the configuration of Keyslip says.
    pub recorded: Option<String>,
    /// Annotations count although no version is written down.
    pub trusted: bool,
    /// Why it does not answer; nothing when it does or was not asked.
    pub down: Option<String>,
}

/// Looks.
#[must_use]
pub fn observe(config: &Config, site: &Site, found: Option<&Found>) -> Seen {
    let settings = config.engines.get("docker");
    let file = match site.whose {
        Whose::System => PathBuf::from("/etc/docker/daemon.json"),
        Whose::User(_) => site.home.join(".config/docker/daemon.json"),
    };
    let mut seen = Seen {
        daemon: found.map(|found| found.program.path.clone()),
        version: found.and_then(|found| Version::parse(&found.program.version)),
        recorded: settings.and_then(|it| it.version.clone()),
        trusted: config.trust_annotations || settings.is_some_and(|it| it.trust_annotations),
        ..Seen::default()
    };
    match read(&file).and_then(|text| text.map(|text| json(&text)).transpose()) {
        Ok(Some(value)) => seen.add(&value),
        Ok(None) => {}
        Err(why) => seen.wrong = Some(why),
    }
    if seen.is_set_up() {
        seen.down = unanswered();
    }
    seen.file = file;
    seen
}

/// Why the daemon does not answer.
fn unanswered() -> Option<String> {
    let client = look_up("docker")?;
    match asking::ask(&client, ["version", "--format", "{{.Server.Version}}"], LIMIT) {
        Ok(said) if said.good => None,
        Ok(said) => Some(said.complaint),
        Err(why) => Some(why),
    }
}

impl Seen {
    fn add(&mut self, value: &Value) {
        self.default = value["default-runtime"].as_str().map(str::to_owned);
        self.cdi = value["features"]["cdi"].as_bool().unwrap_or(false);
        for (name, runtime) in value["runtimes"].as_object().into_iter().flatten() {
            if let Some(path) = runtime["path"].as_str() {
                self.runtimes.push(Called::at(name, Path::new(path)));
            }
        }
    }

    /// The runtimes by which it calls the shim.
    #[must_use]
    pub fn shims(&self) -> Vec<&Called> {
        self.runtimes.iter().filter(|called| called.is_shim()).collect()
    }

    /// Whether it calls Keyslip, or is meant to.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.runtimes.iter().any(|called| called.meant)
    }

    /// Its annotations count: it has them since 24, and takes them from the command line alone.
    #[must_use]
    pub fn annotations_count(&self) -> bool {
        self.trusted || self.recorded.is_some()
    }
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Engines;
    if let Some(why) = &seen.wrong {
        return vec![unreadable("docker", &seen.file, why)];
    }
    if !seen.is_set_up() {
        return Vec::new();
    }
    let mut findings: Vec<Finding> =
        seen.runtimes.iter().filter_map(|called| called.problem("docker", &["docker"])).collect();
    if let Some(why) = &seen.down {
        findings.push(Finding::warning(
            area,
            "docker",
            format!("does not answer: {why}"),
            Remedy::advice("start it: systemctl start docker"),
        ));
    }
    let old = seen.version.as_ref().is_some_and(|version| version.number(0) < 24);
    if old {
        findings.push(Finding::note(
            area,
            "docker",
            "has no annotations before version 24",
            Remedy::advice("ask by a request mount: docker run -v $(keyslip request AGENT):/request:ro"),
        ));
    } else if !seen.annotations_count() {
        let version = seen.version.as_ref().map_or_else(|| "26.1.5".to_owned(), Version::to_string);
        findings.push(Finding::warning(
            area,
            "docker",
            "its annotations do not count, because its version is not written down",
            Remedy::advice(format!(
                "install it again (keyslip install docker), or put version = \"{version}\" under [engines.docker] in keyslip.toml"
            )),
        ));
    }
    findings.extend(version_changed("docker", seen.recorded.as_deref(), seen.version.as_ref()));
    if findings.is_empty() {
        let names = listed(seen.shims().into_iter().map(|called| called.name.clone()));
        let version = seen.version.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        findings.push(Finding::ok(area, format!("docker{version}"), format!("calls the shim as runtime {names}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::installation;
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn seen(dir: &Path, link: &str) -> Seen {
        let mut seen =
            Seen { version: Version::parse("26.1.5"), recorded: Some("26.1.5".to_owned()), ..Seen::default() };
        let path = dir.join("keyslip").join(link);
        seen.add(&json(&format!(r#"{{"runtimes":{{"keyslip":{{"path":{path:?}}}}}}}"#)).unwrap());
        seen
    }

    #[test]
    fn a_runtime_that_is_the_shim_is_in_order() {
        let dir = installation();
        assert_eq!(exit_code(&judge(&seen(dir.path(), "docker/crun"))), 0);
        assert_eq!(judge(&Seen::default()), []);
    }

    #[test]
    fn what_is_wrong_with_it() {
        let dir = installation();
        let sound = seen(dir.path(), "docker/crun");
        assert_eq!(exit_code(&judge(&seen(dir.path(), "docker/gone"))), 2);
        assert_eq!(exit_code(&judge(&seen(dir.path(), "podman/crun"))), 2);
        let unrecorded = judge(&Seen { recorded: None, ..sound.clone() });
        assert!(unrecorded[0].remedy.contains("version = \"26.1.5\""), "{unrecorded:?}");
        let old = Seen { version: Version::parse("20.10.24"), recorded: None, ..sound.clone() };
        assert_eq!(judge(&old)[0].severity, Severity::Note);
        assert_eq!(exit_code(&judge(&Seen { down: Some("x".to_owned()), ..sound.clone() })), 1);
        assert_eq!(exit_code(&judge(&Seen { wrong: Some("line 1".to_owned()), ..sound })), 2);
    }
}
