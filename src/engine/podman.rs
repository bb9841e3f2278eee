//! podman: a drop-in of `containers.conf`.
//!
//! The shim takes the place of the runtimes whose names podman uses already, so that containers go on naming
//! `crun`: whatever podman knows about `crun` (JSON errors, `--cgroups=disabled`) stays true, and containers
//! work when the drop-in is gone.

use std::fs;
use std::path::{Path, PathBuf};

use super::containers_conf::{Effective, drop_in, order};
use super::hooks;
use super::links::{self, Link};
use super::present::Present;
use super::{Change, Engine, Error, Found, Host, Mode, Order, Plan, consent};
use crate::config::Config;
use crate::json::quote;
use crate::policy::podman_copies_annotations;
use crate::site::Whose;

/// Where podman looks for a runtime that is not configured, in this order (containers/common, 4.3 to 5.4).
const PLACES: [&str; 7] =
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/sbin", "/bin", "/run/current-system/sw/bin"];

/// The plan for podman.
pub(super) fn plan(
    order: &Order,
    host: &Host,
    present: &Present,
    config: &Config,
    found: &Found,
) -> Result<Plan, Error> {
    let setting = Setting::read(host, present, found)?;
    found.program.check()?;
    let mut plan = Plan::new(Engine::Podman, order.mode);
    match order.mode {
        Mode::Shim => plan.changes.extend(setting.shim(host, present, &mut plan.notes)?),
        Mode::Hook => plan.changes.extend(setting.hooks(host, present)?),
        Mode::Cdi => {
            let known = "shim or hook; for devices `keyslip install cdi` is all that podman needs";
            return Err(Error::NoSuchMode { engine: Engine::Podman, mode: Mode::Cdi, known });
        }
    }
    let version = &found.program.version;
    plan.changes.splice(0..0, record(order, host, present, config, version)?);
    tell(
        &mut plan,
        host,
        version,
        order.trust_annotations || !podman_copies_annotations(version) || consent::trusts_podman(config),
    );
    Ok(plan)
}

/// What makes annotations count, where the configuration has nothing that does. A table of an engine replaces one
/// of a file that is read before, so what is not needed is not written.
fn record(
    order: &Order,
    host: &Host,
    present: &Present,
    config: &Config,
    version: &str,
) -> Result<Option<Change>, Error> {
    let (about, line) = if order.trust_annotations {
        let about = "podman copies annotations from images; whoever runs only images they trust lets them count.";
        (about, "trust_annotations = true".to_owned())
    } else if podman_copies_annotations(version) || consent::trusts_podman(config) {
        return Ok(None);
    } else {
        let about = "Since podman 4.5.1 annotations come from whoever starts a container, never from an image.";
        (about, consent::version(version))
    };
    consent::record(present, host, Engine::Podman, about, &[("podman", line)])
}

/// What is typed next, and what has to be known.
fn tell(plan: &mut Plan, host: &Host, version: &str, trusted: bool) {
    if let Some(file) = &host.containers_conf {
        plan.notes.push(format!(
            "CONTAINERS_CONF is set: podman then reads {} alone and no drop-ins; unset it",
            file.display()
        ));
    }
    if plan.mode == Mode::Shim && host.site.whose == Whose::System {
        plan.notes.push("rootless podman of every user calls the shim too, with that user's own logins".to_owned());
    }
    if trusted {
        plan.next.push("podman run --annotation dev.keyslip.agents=claude IMAGE".to_owned());
        return;
    }
    let mode = if plan.mode == Mode::Hook { " --mode hook" } else { "" };
    let trust = format!("keyslip install podman{mode} --trust-annotations");
    if plan.mode == Mode::Hook {
        plan.notes.push(format!(
            "podman {version} copies annotations from images, so they do not count, and hooks know no other way to ask; if you run only images you trust: {trust}"
        ));
    } else {
        plan.next.push("podman run -v $(keyslip request claude):/request:ro IMAGE".to_owned());
        plan.notes.push(format!(
            "podman {version} copies annotations from images, so they do not count; if you run only images you trust: {trust}"
        ));
    }
}

/// podman's configuration.
struct Setting {
    /// What is read before our drop-in.
    before: Effective,
    /// All of it, without our drop-in.
    all: Effective,
    /// What is read after it.
    after: Vec<PathBuf>,
    major: u32,
}

impl Setting {
    fn read(host: &Host, present: &Present, found: &Found) -> Result<Self, Error> {
        let files = order(host, found.program.major())?;
        let ours = drop_in(host);
        let at = files.iter().position(|file| *file == ours).unwrap_or(files.len());
        let before = Effective::of(&files[..at], present)?;
        let after = files[at..].iter().skip(1).cloned().collect::<Vec<_>>();
        let all = Effective::of(&[&files[..at], &after].concat(), present)?;
        Ok(Self { before, all, after, major: found.program.major() })
    }

    /// What podman would read with `text` in our drop-in.
    fn with(&self, host: &Host, present: &Present, text: &str) -> Result<Effective, Error> {
        let mut effective = self.before.clone();
        effective.add(&drop_in(host), text)?;
        for file in &self.after {
            if let Some(text) = present.read(file)? {
                effective.add(file, &text)?;
            }
        }
        Ok(effective)
    }

    fn shim(&self, host: &Host, present: &Present, notes: &mut Vec<String>) -> Result<Option<Change>, Error> {
        let mut lines = Vec::new();
        let mut covered = Vec::new();
        for name in links::names(host, "podman") {
            let configured = self.all.runtimes.get(&name);
            let path = host.libexec.join("podman").join(&name);
            if configured.and_then(|places| places.first()).is_some_and(|first| Path::new(first) == path) {
                covered.push(name);
                continue;
            }
            let places = configured.cloned().unwrap_or_else(|| PLACES.map(|place| format!("{place}/{name}")).into());
            let Some(used) = places.iter().map(Path::new).find(|place| place.is_file()) else { continue };
            let link = links::link(host, "podman", &name)?;
            check_real(&link, used)?;
            lines.push(line(&link, configured.unwrap_or(&vec![used.display().to_string()])));
            covered.push(name);
        }
        self.check_default(host, &covered)?;
        if let Some(other) = self.all.runtimes.keys().find(|name| !covered.contains(name)) {
            notes.push(format!("the runtime {other} of containers.conf has no link to the shim and stays as it is"));
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let text = format!("{HEAD}[engine.runtimes]\n{}", lines.concat());
        let result = self.with(host, present, &text)?;
        for name in &covered {
            let path = host.libexec.join("podman").join(name);
            if result.runtimes[name].first().is_none_or(|first| Path::new(first) != path) {
                let file = result.runtimes_by[name].clone();
                return Err(overruled(host, file, &format!("{name} = [\"{}\"]", path.display())));
            }
        }
        present.own_file(&drop_in(host), &text)
    }

    /// A default runtime that is not behind the shim would make the installation useless.
    fn check_default(&self, host: &Host, covered: &[String]) -> Result<(), Error> {
        if covered.is_empty() {
            let reason = format!("has no link for a runtime that podman uses; {}", links::remake(host));
            return Err(Error::Link { link: host.libexec.join("podman"), reason });
        }
        let Some((runtime, file)) = &self.all.runtime else { return Ok(()) };
        if covered.contains(runtime) || Path::new(runtime).starts_with(&host.libexec) {
            return Ok(());
        }
        let reason = if runtime.starts_with('/') {
            let name = runtime.rsplit('/').next().unwrap_or(runtime);
            format!(
                "the default runtime is the path {runtime}, which no drop-in can put the shim in front of; name it: runtime = {}",
                quote(name)
            )
        } else {
            format!(
                "the default runtime is {runtime}, which has no link to the shim; make one: KEYSLIP_RUNTIMES=/path/to/{runtime} LIBEXECDIR={} config/link-engines",
                host.libexec.display()
            )
        };
        Err(Error::Conflict { path: file.clone(), reason })
    }

    fn hooks(&self, host: &Host, present: &Present) -> Result<Vec<Change>, Error> {
        let dir = hooks::directory(&host.site);
        let mut changes = Vec::new();
        for (name, text) in hooks::files(host, &dir, "podman")? {
            changes.extend(present.own_file(&dir.join(name), &text)?);
        }
        foreign_hooks(&dir)?;
        let ours = dir.display().to_string();
        if self.all.hooks_dir.contains(&ours) {
            return Ok(changes);
        }
        // The setting replaces the list, so what holds so far is repeated; after `append` it does not.
        let mut list = if self.before.append { Vec::new() } else { self.before.hooks_dir.clone() };
        if list.is_empty() && !self.before.append && self.major >= 5 {
            // podman 5.4 takes an empty list for this one.
            list.push("/etc/containers/oci/hooks.d".to_owned());
        }
        list.push(ours.clone());
        let quoted: Vec<String> = list.iter().map(|dir| quote(dir)).collect();
        let text = format!(
            "{HEAD}[engine]\n# The setting replaces the list: those before ours were there.\nhooks_dir = [{}]\n",
            quoted.join(", ")
        );
        let result = self.with(host, present, &text)?;
        if !result.hooks_dir.contains(&ours) {
            let file = result.hooks_by.unwrap_or_else(|| drop_in(host));
            return Err(overruled(host, file, &format!("hooks_dir = [..., {}]", quote(&ours))));
        }
        changes.extend(present.own_file(&drop_in(host), &text)?);
        Ok(changes)
    }
}

const HEAD: &str = "# Written by `keyslip install podman`, which `keyslip uninstall podman` undoes.\n";

/// A line of `[engine.runtimes]`. podman takes the first that exists: if Keyslip is gone, containers start
/// without it.
fn line(link: &Link, others: &[String]) -> String {
    let places: Vec<String> =
        std::iter::once(&link.path.display().to_string()).chain(others).map(|place| quote(place)).collect();
    format!("{} = [{}]\n", link.name, places.join(", "))
}

/// The runtime behind the link must be the one that podman uses now.
fn check_real(link: &Link, used: &Path) -> Result<(), Error> {
    match fs::canonicalize(used) {
        Ok(path) if path == link.real => Ok(()),
        _ => Err(links::leads_elsewhere(link, used)),
    }
}

fn overruled(host: &Host, file: PathBuf, setting: &str) -> Error {
    let reason = format!(
        "this is read after {} and overrules it; write there {setting}, or take its own line out",
        drop_in(host).display()
    );
    Error::Conflict { path: file, reason }
}

/// Whatever lies in the directory of ours would be run by podman from now on.
fn foreign_hooks(dir: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    match names.find(|name| name.ends_with(".json") && !name.starts_with("keyslip-")) {
        None => Ok(()),
        Some(name) => Err(Error::Conflict {
            path: dir.join(name),
            reason: "this hook is not Keyslip's, and podman would run it; move it out of the directory".to_owned(),
        }),
    }
}
