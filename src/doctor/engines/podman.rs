//! podman: `containers.conf` as podman reads it, and the hooks it names.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::version::Version;
use super::super::{Area, Finding, Remedy, listed};
use super::hooks::{self, Hook};
use super::{Called, read, toml, unreadable, version_changed};
use crate::agent::{self, Definition};
use crate::config::Config;
use crate::engine::Found;
use crate::policy::podman_copies_annotations;
use crate::site::Site;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The program.
    pub program: Option<PathBuf>,
    /// Its version.
    pub version: Option<Version>,
    /// Files that podman cannot read, and why.
    pub wrong: Vec<(PathBuf, String)>,
    /// The runtime that it takes when nobody names one.
    pub default: Option<String>,
    /// The runtimes of the configuration.
    pub runtimes: Vec<Called>,
    /// The directories of hooks that it reads; nothing in those that are not there.
    pub hooks: Vec<(PathBuf, Option<Vec<Hook>>)>,
    /// The configuration names these directories.
    pub names_hooks: bool,
    /// Directories that others read, with hooks in them.
    pub shared: Vec<(PathBuf, Vec<Hook>)>,
    /// Names of variables that every container gets and that an agent prefers to what is delivered.
    pub env: BTreeSet<String>,
    /// Every container gets the host's environment.
    pub env_host: bool,
    /// Annotations count.
    pub trusted: bool,
    /// The version that Keyslip's configuration records.
    pub recorded: Option<String>,
}

/// What the files say.
#[derive(Debug, Default)]
struct Settings {
    runtime: Option<String>,
    runtimes: BTreeMap<String, Vec<PathBuf>>,
    hooks: Option<Vec<PathBuf>>,
    env: Vec<String>,
    env_host: bool,
}

/// Looks.
#[must_use]
pub fn observe(config: &Config, site: &Site, found: Option<&Found>) -> Seen {
    let settings_of = config.engines.get("podman");
    let mut seen = Seen {
        program: found.map(|found| found.program.path.clone()),
        version: found.and_then(|found| Version::parse(&found.program.version)),
        trusted: config.trust_annotations
            || settings_of.is_some_and(|it| {
                it.trust_annotations || it.version.as_ref().is_some_and(|recorded| !podman_copies_annotations(recorded))
            }),
        recorded: settings_of.and_then(|it| it.version.clone()),
        ..Seen::default()
    };
    let mut settings = Settings::default();
    let more = env::var_os("CONTAINERS_CONF_OVERRIDE").filter(|path| !path.is_empty()).map(PathBuf::from);
    for path in found.into_iter().flat_map(|found| found.files.clone()).chain(more) {
        match read(&path).and_then(|text| text.map(|text| toml(&text)).transpose()) {
            Ok(Some(value)) => settings.add(&value),
            Ok(None) => {}
            Err(why) => seen.wrong.push((path, why)),
        }
    }
    seen.default = settings.runtime.clone();
    seen.runtimes = settings.runtimes.iter().map(|(name, paths)| called(name, paths)).collect();
    seen.names_hooks = settings.hooks.is_some();
    let dirs = settings.hooks.unwrap_or_else(|| vec![PathBuf::from(hooks::SHARED[0])]);
    seen.hooks = dirs.into_iter().map(|dir| (dir.clone(), hooks::observe(&dir))).collect();
    let shared = hooks::SHARED.map(PathBuf::from).into_iter().filter(|dir| seen.hooks.iter().all(|(it, _)| it != dir));
    seen.shared = shared.filter_map(|dir| Some((dir.clone(), hooks::observe(&dir)?))).collect();
    let preferred = preferred_variables(site);
    let names = settings.env.iter().filter_map(|entry| entry.split('=').next());
    seen.env = names.filter(|name| preferred.contains(*name)).map(str::to_owned).collect();
    seen.env_host = settings.env_host;
    seen
}

impl Settings {
    /// Adds a file: what it says wins, runtimes add up.
    fn add(&mut self, value: &Value) {
        let engine = &value["engine"];
        if let Some(runtime) = engine["runtime"].as_str().filter(|it| !it.is_empty()) {
            self.runtime = Some(runtime.to_owned());
        }
        for (name, paths) in engine["runtimes"].as_object().into_iter().flatten() {
            self.runtimes.insert(name.clone(), texts(paths).into_iter().map(PathBuf::from).collect());
        }
        if engine["hooks_dir"].is_array() {
            let dirs = texts(&engine["hooks_dir"]).into_iter().map(PathBuf::from);
            match appends(&engine["hooks_dir"]) {
                true => self.hooks.get_or_insert_default().extend(dirs),
                false => self.hooks = Some(dirs.collect()),
            }
        }
        let containers = &value["containers"];
        if containers["env"].is_array() {
            match appends(&containers["env"]) {
                true => self.env.extend(texts(&containers["env"])),
                false => self.env = texts(&containers["env"]),
            }
        }
        if let Some(all) = containers["env_host"].as_bool() {
            self.env_host = all;
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

/// Whether an array ends in `{append=true}` (podman 4.9 and later).
fn appends(value: &Value) -> bool {
    value.as_array().into_iter().flatten().any(|it| it["append"].as_bool() == Some(true))
}

/// The first of its paths that is there; podman looks no further, and in `PATH` when there is none. A shim that
/// is missing before that is what shows.
fn called(name: &str, paths: &[PathBuf]) -> Called {
    let all: Vec<Called> = paths.iter().map(|path| Called::at(name, path)).collect();
    let there = all.iter().position(|called| called.path.exists());
    let gone = all.iter().position(|called| called.meant && !called.path.exists());
    match (there, gone) {
        (Some(there), Some(gone)) if gone > there || all[there].meant => all[there].clone(),
        (_, Some(gone)) => all[gone].clone(),
        (Some(there), None) => all[there].clone(),
        (None, None) => all.into_iter().next().unwrap_or_default(),
    }
}

/// Variables by which an agent would be logged in some other way, or as somebody else.
fn preferred_variables(site: &Site) -> BTreeSet<String> {
    let definitions = agent::built_in().filter_map(|name| Definition::find(&name, &site.config).ok().flatten());
    let each = definitions.flat_map(|it| {
        let kinds = it.kinds.into_iter().flat_map(|kind| kind.env.into_keys().chain(kind.shadow_env));
        kinds.chain(it.redirect_env).collect::<Vec<_>>()
    });
    each.collect()
}

impl Seen {
    /// The runtimes by which it calls the shim.
    #[must_use]
    pub fn shims(&self) -> Vec<&Called> {
        self.runtimes.iter().filter(|called| called.is_shim()).collect()
    }

    /// Directories with Keyslip's hook at `precreate` or `createRuntime`.
    #[must_use]
    pub fn hooked(&self) -> Vec<&Path> {
        let delivers = |hook: &Hook| hook.ours && hook.stages.iter().any(|stage| stage != "poststop");
        let dirs = self.hooks.iter().filter(|(_, hooks)| hooks.iter().flatten().any(delivers));
        dirs.map(|(dir, _)| dir.as_path()).collect()
    }

    /// Whether it calls Keyslip in any way.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        !self.shims().is_empty() || !self.hooked().is_empty()
    }

    /// The runtime that it takes when nobody names one is the shim.
    #[must_use]
    pub fn shim_is_default(&self) -> bool {
        let name = self.default.as_deref().unwrap_or("crun");
        self.shims().iter().any(|called| called.name == name || called.path == Path::new(name))
    }
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Engines;
    let mut findings: Vec<Finding> = seen.wrong.iter().map(|(path, why)| unreadable("podman", path, why)).collect();
    findings.extend(seen.runtimes.iter().filter_map(|called| called.problem("podman", &["podman"])));
    for (dir, found) in &seen.hooks {
        match found {
            Some(found) => findings.extend(hooks::judge(dir, found, Some("podman"))),
            // podman's own default is named beside ours, and few hosts have it.
            None if seen.names_hooks && !hooks::SHARED.iter().any(|shared| dir == Path::new(shared)) => {
                findings.push(Finding::warning(
                    area,
                    dir.display().to_string(),
                    "is named in hooks_dir and is not there; podman passes over it without a word",
                    Remedy::advice("write the hooks: keyslip install podman --mode hook; or correct hooks_dir"),
                ))
            }
            None => {}
        }
    }
    for (dir, found) in &seen.shared {
        findings.extend(hooks::judge(dir, found, None));
    }
    judge_both_ways(seen, &mut findings);
    judge_trust(seen, &mut findings);
    if !seen.env.is_empty() {
        findings.push(Finding::warning(
            area,
            "podman, [containers] env",
            format!(
                "gives {} to every container, which beats or redirects what is delivered and shows in inspect",
                listed(&seen.env)
            ),
            Remedy::advice("take it out of containers.conf"),
        ));
    }
    if seen.env_host {
        findings.push(Finding::warning(
            area,
            "podman, [containers] env_host",
            "gives the variables of whoever starts a container to the container, keys among them",
            Remedy::advice("take env_host out of containers.conf"),
        ));
    }
    findings.extend(version_changed("podman", seen.recorded.as_deref(), seen.version.as_ref()));
    if findings.is_empty() && seen.is_set_up() {
        let shims = seen.shims().into_iter().map(|called| called.name.clone());
        let what = match seen.hooked().is_empty() {
            true => format!("calls the shim for {}", listed(shims)),
            false => format!("calls the hooks in {}", listed(seen.hooked().iter().map(|dir| dir.display()))),
        };
        let version = seen.version.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        findings.push(Finding::ok(area, format!("podman{version}"), what));
    }
    findings
}

fn judge_both_ways(seen: &Seen, findings: &mut Vec<Finding>) {
    let hooked = seen.hooked();
    if hooked.is_empty() || !seen.shim_is_default() {
        return;
    }
    // The hook comes first and writes dev.keyslip.sandbox, by which the shim knows that it is served.
    let what = format!(
        "calls the shim and the hooks in {}: the hooks deliver and the shim stands back, so what exec starts has files and no variables",
        listed(hooked.iter().map(|dir| dir.display()))
    );
    let remedy = Remedy::advice("keep one: take hooks_dir out of containers.conf (or, for the hooks, the runtimes)");
    findings.push(Finding::warning(Area::Engines, "podman", what, remedy));
}

fn judge_trust(seen: &Seen, findings: &mut Vec<Finding>) {
    let area = Area::Engines;
    let copies = seen.version.as_ref().is_none_or(|version| podman_copies_annotations(&version.to_string()));
    if seen.is_set_up() && seen.trusted && copies {
        let version = seen.version.as_ref().map(Version::to_string).unwrap_or_default();
        findings.push(Finding::warning(
            area,
            "podman, trust_annotations",
            format!("podman {version} copies annotations of images, so an image can ask for credentials by itself"),
            Remedy::advice("run only images you trust; or take trust_annotations away and ask with keyslip request; or use podman 4.5.1 or later"),
        ));
    }
    if !seen.trusted && seen.shims().is_empty() && !seen.hooked().is_empty() {
        findings.push(Finding::warning(
            area,
            "podman, hooks",
            "its annotations do not count, and hooks know no other way to ask: no container gets anything",
            Remedy::advice(
                "use the shim, or run only images you trust: keyslip install podman --mode hook --trust-annotations",
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::installation;
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn merged(files: &[&str]) -> Settings {
        let mut settings = Settings::default();
        files.iter().for_each(|text| settings.add(&toml(text).unwrap()));
        settings
    }

    #[test]
    fn later_files_win_and_runtimes_add_up() {
        let settings = merged(&[
            "[engine]\nruntime = \"runc\"\nhooks_dir = [\"/a\"]\n[engine.runtimes]\nrunc = [\"/r\"]\ncrun = [\"/old\"]\n[containers]\nenv = [\"A=1\"]",
            "[engine]\nruntime = \"crun\"\nhooks_dir = [\"/b\", {append = true}]\n[engine.runtimes]\ncrun = [\"/new\"]",
        ]);
        assert_eq!(settings.runtime.as_deref(), Some("crun"));
        assert_eq!(settings.runtimes["crun"], [PathBuf::from("/new")]);
        assert_eq!(settings.runtimes["runc"], [PathBuf::from("/r")]);
        assert_eq!(settings.hooks.unwrap(), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(settings.env, ["A=1"]);
    }

    #[test]
    fn podman_takes_the_first_path_that_is_there() {
        let dir = installation();
        let shim = dir.path().join("keyslip/podman/crun");
        let gone = dir.path().join("keyslip/podman/gone");
        assert_eq!(called("crun", &[PathBuf::from("/nowhere"), shim.clone()]).path, shim);
        assert_eq!(called("crun", &[gone.clone(), shim.clone()]).path, shim);
        assert_eq!(called("crun", &[gone.clone(), PathBuf::from("/bin/sh")]).path, gone);
        // What was meant to be the shim shows, whatever else is there to fall back to.
        assert!(called("crun", &[PathBuf::from("/nowhere"), gone.clone()]).problem("podman", &["podman"]).is_some());
    }

    fn with_shim(dir: &Path) -> Seen {
        let runtimes = vec![Called::at("crun", &dir.join("keyslip/podman/crun"))];
        Seen { runtimes, version: Version::parse("5.4.2"), ..Seen::default() }
    }

    fn our_hook() -> Hook {
        Hook { ours: true, stages: vec!["precreate".to_owned(), "poststop".to_owned()], ..Hook::default() }
    }

    #[test]
    fn shim_and_hooks_together_are_one_too_many() {
        let dir = installation();
        let shim = with_shim(dir.path());
        assert_eq!(exit_code(&judge(&shim)), 0);
        let hooks = vec![(PathBuf::from("/h"), Some(vec![our_hook()]))];
        let both = Seen { hooks: hooks.clone(), trusted: true, ..shim.clone() };
        assert!(judge(&both)[0].what.contains("stands back"));
        // Only by name, with --runtime: then one of them is chosen at each start.
        assert_eq!(exit_code(&judge(&Seen { default: Some("runc".to_owned()), ..both })), 0);
        let hooks_alone = Seen { runtimes: vec![], hooks, trusted: true, ..shim };
        assert_eq!(exit_code(&judge(&hooks_alone)), 0);
        let untrusted = judge(&Seen { trusted: false, ..hooks_alone });
        assert!(untrusted[0].what.contains("no container gets anything"), "{untrusted:?}");
    }

    #[test]
    fn trusting_annotations_of_podman_4_is_a_risk() {
        let dir = installation();
        let of = |version: &str| Seen { trusted: true, version: Version::parse(version), ..with_shim(dir.path()) };
        assert_eq!(exit_code(&judge(&of("4.3.1"))), 1);
        assert_eq!(exit_code(&judge(&of("5.4.2"))), 0);
        assert_eq!(exit_code(&judge(&Seen { trusted: false, ..of("4.3.1") })), 0);
    }

    #[test]
    fn variables_for_every_container_show_their_name_alone() {
        let seen = Seen { env: BTreeSet::from(["ANTHROPIC_API_KEY".to_owned()]), env_host: true, ..Seen::default() };
        let findings = judge(&seen);
        assert_eq!((findings.len(), exit_code(&findings)), (2, 1));
        let site = Site::system(Path::new("/nonexistent"));
        let preferred = preferred_variables(&site);
        for name in ["CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY", "CODEX_API_KEY"] {
            assert!(preferred.contains(name), "{name}");
        }
    }

    #[test]
    fn files_that_podman_cannot_read_are_broken() {
        let seen =
            Seen { wrong: vec![(PathBuf::from("/e/c.conf"), "line 1, column 2: x".to_owned())], ..Seen::default() };
        assert_eq!(exit_code(&judge(&seen)), 2);
        let named = Seen { hooks: vec![(PathBuf::from("/gone"), None)], names_hooks: true, ..Seen::default() };
        assert_eq!(judge(&named)[0].severity, Severity::Warning);
        assert_eq!(judge(&Seen { names_hooks: false, ..named.clone() }), []);
        assert_eq!(judge(&Seen { hooks: vec![(PathBuf::from(hooks::SHARED[0]), None)], ..named }), []);
    }
}
