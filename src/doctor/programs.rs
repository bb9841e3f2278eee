//! Keyslip's own programs, and the links by which engines call the shim.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::StatVfsMountFlags;

use super::files::Exposure;
use super::version::Version;
use super::{Area, Finding, Remedy, asking, listed, look_up, quoted};

/// Programs beside the command line: their names, and whether they tell their version.
const PROGRAMS: [&str; 3] = ["keyslip-runtime", "keyslip-hook", "keyslip-launch"];

/// The link by which the static programs find the command line.
const COMMAND_LINE: &str = "keyslip";

/// The directories of links.
pub const ENGINES: [&str; 6] = ["bare", "podman", "docker", "containerd", "cri", "buildah"];

/// Longest that a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(5);

/// A program of Keyslip's.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Where it should be.
    pub path: PathBuf,
    /// It is there and can be executed.
    pub there: bool,
    /// Somebody else could have written it.
    pub exposed: Option<Exposure>,
    /// What it says after `--version`; nothing when it was not asked.
    pub says: Option<Result<String, String>>,
}

/// A link that an engine calls.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Its directory's name.
    pub engine: String,
    /// Its own name.
    pub runtime: String,
    /// It leads to the shim.
    pub to_the_shim: bool,
    /// Where `.real` leads, resolved if it is there.
    pub real: Option<PathBuf>,
}

/// A program that is called as a runtime.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    /// It is there and can be executed.
    pub there: bool,
    /// Somebody else could have written it.
    pub exposed: Option<Exposure>,
    /// What it says after `--version`; nothing when it was not asked.
    pub says: Option<Result<String, String>>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The directory of the programs.
    pub libexec: PathBuf,
    /// The version of the command line.
    pub version: String,
    /// The user of this process.
    pub us: u32,
    /// The programs.
    pub programs: Vec<Program>,
    /// The directory is mounted `noexec`.
    pub noexec: bool,
    /// The engines' links.
    pub links: Vec<Link>,
    /// What they lead to.
    pub runtimes: BTreeMap<PathBuf, Runtime>,
    /// Where a runtime of this name is in `PATH`.
    pub in_path: BTreeMap<String, PathBuf>,
    /// With SELinux, the label of the shim.
    pub label: Option<String>,
}

/// Looks at the programs in `libexec`.
#[must_use]
pub fn observe(libexec: &Path) -> Seen {
    let us = rustix::process::geteuid().as_raw();
    let names = PROGRAMS.iter().chain([&COMMAND_LINE]);
    let mut seen = Seen {
        libexec: libexec.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        us,
        programs: names.map(|name| program(libexec.join(name), us)).collect(),
        noexec: rustix::fs::statvfs(libexec).is_ok_and(|about| about.f_flag.contains(StatVfsMountFlags::NOEXEC)),
        label: label(&libexec.join(PROGRAMS[0])),
        ..Seen::default()
    };
    for engine in ENGINES {
        let names = fs::read_dir(libexec.join(engine)).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        for runtime in names.into_iter().filter(|name| !name.ends_with(".real")) {
            seen.add_link(engine, runtime);
        }
    }
    seen
}

impl Seen {
    fn add_link(&mut self, engine: &str, runtime: String) {
        let link = self.libexec.join(engine).join(&runtime);
        let shim = fs::canonicalize(self.libexec.join(PROGRAMS[0]));
        let real = fs::read_link(self.libexec.join(engine).join(format!("{runtime}.real"))).ok();
        let real = real.map(|target| fs::canonicalize(self.libexec.join(engine).join(&target)).unwrap_or(target));
        if let Some(path) = &real
            && !self.runtimes.contains_key(path)
        {
            self.runtimes.insert(path.clone(), runtime_at(path, self.us));
        }
        if let Some(path) = look_up(&runtime) {
            self.in_path.insert(runtime.clone(), path);
        }
        let to_the_shim = fs::canonicalize(&link).is_ok_and(|to| shim.is_ok_and(|shim| shim == to));
        self.links.push(Link { engine: engine.to_owned(), runtime, to_the_shim, real });
    }

    /// Name and version of the runtimes that are linked: those that say what they are.
    #[must_use]
    pub fn versions(&self) -> Vec<(PathBuf, String, Version, String)> {
        let said = |runtime: &Runtime| runtime.says.clone().and_then(Result::ok);
        let each = self.runtimes.iter().filter_map(|(path, runtime)| {
            let text = said(runtime)?;
            let name = text.split_ascii_whitespace().next()?.to_owned();
            let (version, _) = Version::find(&text)?;
            Some((path.clone(), name, version, text))
        });
        each.collect()
    }
}

fn program(path: PathBuf, us: u32) -> Program {
    let there = asking::is_program(&path);
    let exposed = Exposure::of_all(&path, us);
    let says = (there && exposed.is_none()).then(|| version_of(&path));
    Program { path, there, exposed, says }
}

fn runtime_at(path: &Path, us: u32) -> Runtime {
    let there = asking::is_program(path);
    let exposed = Exposure::of_all(path, us);
    // What others can write is not executed, as root least of all.
    let says = (there && exposed.is_none()).then(|| version_of(path));
    Runtime { there, exposed, says }
}

fn version_of(path: &Path) -> Result<String, String> {
    let said = asking::ask(path, ["--version"], LIMIT)?;
    if said.good { Ok(said.text.trim().to_owned()) } else { Err(said.complaint) }
}

/// The SELinux label of a file, where SELinux is on.
fn label(path: &Path) -> Option<String> {
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        return None;
    }
    let mut buffer = [0_u8; 256];
    let length = rustix::fs::getxattr(path, c"security.selinux", &mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).trim_end_matches('\0').to_owned())
}

/// Types that no program of the system has: from a file that was moved from a home directory or `/tmp`.
const STRANGE_TYPES: [&str; 7] =
    ["user_home_t", "admin_home_t", "user_tmp_t", "tmp_t", "unlabeled_t", "default_t", "file_t"];

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Programs;
    let mut findings = Vec::new();
    for program in &seen.programs {
        judge_program(program, seen, &mut findings);
    }
    if seen.noexec {
        findings.push(Finding::broken(
            area,
            seen.libexec.display().to_string(),
            "lies on a file system that is mounted noexec, so no engine can start the programs",
            Remedy::advice("mount that file system with exec, or install below another PREFIX"),
        ));
    }
    if let Some(label) = &seen.label
        && STRANGE_TYPES.iter().any(|strange| label.split(':').nth(2) == Some(strange))
    {
        findings.push(Finding::warning(
            area,
            seen.libexec.join(PROGRAMS[0]).display().to_string(),
            format!("has the SELinux label {label}, with which engines may not be allowed to start it"),
            Remedy::run(format!("restorecon -R {}", quoted(&seen.libexec))),
        ));
    }
    judge_links(seen, &mut findings);
    if findings.is_empty() {
        let links = seen.links.len();
        findings.push(Finding::ok(
            area,
            seen.libexec.display().to_string(),
            format!("{} programs of version {}, {links} links to the shim", PROGRAMS.len(), seen.version),
        ));
    }
    findings
}

fn judge_program(program: &Program, seen: &Seen, findings: &mut Vec<Finding>) {
    let area = Area::Programs;
    let subject = program.path.display().to_string();
    let name = program.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let again = || Remedy::advice("install Keyslip again");
    if !program.there {
        let what = if name == COMMAND_LINE {
            "is missing: the shim and the hooks cannot ask for logins in keyrings and from helpers"
        } else {
            "is missing or cannot be executed"
        };
        let remedy = match (name == COMMAND_LINE, look_up(COMMAND_LINE)) {
            (true, Some(found)) => Remedy::run(format!("ln -sfn {} {}", quoted(found), quoted(&program.path))),
            _ => again(),
        };
        findings.push(Finding::broken(area, subject, what, remedy));
        return;
    }
    if let Some(exposed) = &program.exposed {
        let finding = exposed.finding(area, &subject);
        if !findings.iter().any(|other| other.subject == finding.subject) {
            findings.push(finding);
        }
        return;
    }
    let expected = format!("{name} {}", seen.version);
    match &program.says {
        Some(Ok(said)) if *said == expected => {}
        Some(Ok(said)) => findings.push(Finding::warning(
            area,
            subject,
            format!("says {:?}, but this program is keyslip {}", shortened(said), seen.version),
            again(),
        )),
        Some(Err(why)) => {
            findings.push(Finding::broken(area, subject, format!("does not say its version: {why}"), again()));
        }
        None => {}
    }
}

/// The links, findings of the same kind as one.
fn judge_links(seen: &Seen, findings: &mut Vec<Finding>) {
    let area = Area::Programs;
    if seen.links.is_empty() {
        findings.push(Finding::warning(
            area,
            seen.libexec.display().to_string(),
            "has no links for engines, so none can call the shim",
            Remedy::run(link_all(seen)),
        ));
    }
    let stray: Vec<&Link> = seen.links.iter().filter(|link| !link.to_the_shim).collect();
    for link in stray {
        let path = seen.libexec.join(&link.engine).join(&link.runtime);
        findings.push(Finding::broken(
            area,
            path.display().to_string(),
            "does not lead to keyslip-runtime, so containers start without what they ask for",
            Remedy::run(format!("ln -sfn ../keyslip-runtime {}", quoted(&path))),
        ));
    }
    let mut by_target: BTreeMap<(&str, Option<&PathBuf>), Vec<&Link>> = BTreeMap::new();
    for link in &seen.links {
        by_target.entry((link.runtime.as_str(), link.real.as_ref())).or_default().push(link);
    }
    for ((runtime, real), links) in by_target {
        let engines = listed(links.iter().map(|link| &link.engine));
        let subject = format!("{runtime}.real of {engines}");
        let remedy = relink(seen, runtime, &links);
        let Some(path) = real else {
            findings.push(Finding::broken(area, subject, "is missing, so the shim cannot call the runtime", remedy));
            continue;
        };
        let shown = path.display();
        let target = seen.runtimes.get(path).cloned().unwrap_or_default();
        if !target.there {
            let what = format!("leads to {shown}, which is missing or cannot be executed");
            findings.push(Finding::broken(area, subject, what, remedy));
            continue;
        }
        if let Some(exposed) = &target.exposed {
            let finding = exposed.finding(area, &format!("the runtime {shown}"));
            if !findings.iter().any(|other| other.subject == finding.subject) {
                findings.push(finding);
            }
            continue;
        }
        match &target.says {
            Some(Ok(said)) if said.split_ascii_whitespace().next() == Some(runtime) => {}
            Some(Ok(said)) => {
                let mut what = format!("leads to {shown}, which is no {runtime}: it says {:?}", shortened(said));
                if runtime == "crun" {
                    what.push_str(", and does not take --config");
                }
                findings.push(Finding::broken(area, subject, what, remedy));
            }
            Some(Err(why)) => {
                let what = format!("leads to {shown}, which does not say what it is: {why}");
                findings.push(Finding::broken(area, subject, what, remedy));
            }
            None => {}
        }
    }
}

fn shortened(said: &str) -> String {
    said.lines().next().unwrap_or_default().chars().take(60).collect()
}

/// Makes these links lead to the runtime that is in `PATH`, or takes them away.
fn relink(seen: &Seen, runtime: &str, links: &[&Link]) -> Remedy {
    let path = |link: &Link, end: &str| quoted(seen.libexec.join(&link.engine).join(format!("{runtime}{end}")));
    match seen.in_path.get(runtime) {
        Some(found) if asking::is_program(found) => {
            let all = links.iter().map(|link| format!("ln -sfn {} {}", quoted(found), path(link, ".real")));
            Remedy::run(all.collect::<Vec<_>>().join("; "))
        }
        _ => {
            let all: Vec<String> = links.iter().flat_map(|link| [path(link, ""), path(link, ".real")]).collect();
            let command = format!("rm -f {}", all.join(" "));
            let text = format!("install {runtime} again; or, if no engine uses it, run: {command}");
            Remedy { text, command: Some(command) }
        }
    }
}

/// Makes all links, as the installation does.
fn link_all(seen: &Seen) -> String {
    let engines = ENGINES.join(" ");
    format!(
        "cd {} && for e in {engines}; do mkdir -p $e; for r in crun runc youki runsc; do real=$(command -v $r) || continue; \
         ln -sfn ../keyslip-runtime $e/$r; ln -sfn $real $e/$r.real; done; done",
        quoted(&seen.libexec)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn sound() -> Seen {
        let crun = PathBuf::from("/usr/bin/crun");
        let says = Some(Ok("crun version 1.21\nspec: 1.0.0".to_owned()));
        let link =
            Link { engine: "podman".into(), runtime: "crun".into(), to_the_shim: true, real: Some(crun.clone()) };
        Seen {
            version: "1.0.0".to_owned(),
            links: vec![link],
            runtimes: BTreeMap::from([(crun, Runtime { there: true, exposed: None, says })]),
            ..Seen::default()
        }
    }

    #[test]
    fn labels_of_a_home_directory_are_told_with_selinux() {
        let labelled = |label: &str| judge(&Seen { label: Some(label.to_owned()), ..sound() });
        assert_eq!(exit_code(&judge(&sound())), 0);
        assert_eq!(exit_code(&labelled("system_u:object_r:bin_t:s0")), 0);
        let strange = labelled("unconfined_u:object_r:user_home_t:s0");
        assert_eq!(exit_code(&strange), 1);
        assert!(strange[0].command.as_ref().is_some_and(|command| command.starts_with("restorecon -R ")));
    }

    #[test]
    fn a_runtime_is_what_its_link_says() {
        let says = |text: &str| {
            let mut seen = sound();
            seen.runtimes.values_mut().for_each(|runtime| runtime.says = Some(Ok(text.to_owned())));
            judge(&seen)
        };
        assert_eq!(exit_code(&says("crun version 1.8.1")), 0);
        let other = says("runc version 1.1.5");
        assert!(other[0].severity == Severity::Broken && other[0].what.contains("does not take --config"), "{other:?}");
        assert_eq!(sound().versions()[0].1, "crun");
        assert_eq!(exit_code(&judge(&Seen { links: vec![], ..sound() })), 1);
    }
}
