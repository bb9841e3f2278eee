//! What containers, logins and probes that are gone have left behind, and what went wrong of late.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Area, Finding, Remedy, probe};
use crate::audit::{self, Problem};
use crate::clock::DAY;
use crate::config::Config;
use crate::ledger::{Ledger, Liveness, Record, YOUNG, is_young, liveness};
use crate::names::Account;
use crate::site::Site;
use crate::source::Store;

/// What was seen. What is younger than a minute is not counted: it may be being made.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Containers that run.
    pub alive: usize,
    /// Containers that are gone and have left what they had.
    pub dead: usize,
    /// Directories without a record.
    pub unfinished: usize,
    /// Directories whose record cannot be read.
    pub broken: Vec<PathBuf>,
    /// Mounts of containers that are gone.
    pub mounts: usize,
    /// Directories of login programs that are gone.
    pub logins: usize,
    /// Refusals and failures of the last day.
    pub problems: Vec<Problem>,
    /// A probe that was killed has left its login in the store.
    pub probe: bool,
}

/// Looks at the ledger and the store of `site`.
#[must_use]
pub fn observe(config: &Config, site: &Site, store: Option<&Store>) -> Seen {
    let ledger = Ledger::at(&site.runtime);
    let mut seen = Seen { problems: audit::problems(&site.state, &config.audit, DAY), ..Seen::default() };
    for path in ledger.sandboxes().found {
        if is_young(&path, YOUNG) || ledger.is_held(&path) {
            continue;
        }
        match Record::read(&path) {
            Err(_) if !path.join(Record::FILE).exists() => seen.unfinished += 1,
            Err(_) => seen.broken.push(path),
            Ok(record) => match liveness(&ledger, &record) {
                Liveness::Dead => seen.dead += 1,
                Liveness::Alive => seen.alive += 1,
                Liveness::Unknown => {}
            },
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    seen.mounts = stray_mounts(&mounts, &site.runtime, |id| {
        let known = id.to_owned().try_into();
        known.is_ok_and(|id| ledger.sandbox(&id).exists())
    });
    let processes = fs::read_dir(ledger.logins()).into_iter().flatten().flatten();
    seen.logins = processes.filter(|entry| !Path::new("/proc").join(entry.file_name()).exists()).count();
    seen.probe = store.is_some_and(|store| {
        let there = store.read(&probe::agent(), &Account::default()).is_ok_and(|entry| entry.is_some());
        there && !probe::is_running(site)
    });
    seen
}

/// Mounts at `share/<id>/…` of containers that are not known any more.
fn stray_mounts(mounts: &str, runtime: &Path, is_known: impl Fn(&str) -> bool) -> usize {
    let shares = runtime.join("share");
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let ids = places.filter_map(|place| Path::new(place).strip_prefix(&shares).ok()?.iter().next()?.to_str());
    ids.filter(|id| !is_known(id)).count()
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Leftovers;
    let mut findings = Vec::new();
    let sweep = || Remedy::run("keyslip sweep");
    for (count, what) in [
        (seen.dead, "ended without a clean-up; what they had is still there"),
        (seen.unfinished, "have no record; they were killed while they were made"),
    ] {
        if count > 0 {
            findings.push(Finding::warning(area, format!("{count} of the containers"), what, sweep()));
        }
    }
    for path in &seen.broken {
        let what = "has a record that cannot be read, so nobody can tell whose it is";
        let remedy = Remedy::advice("when the container that uses it has ended, remove the directory");
        findings.push(Finding::warning(area, path.display().to_string(), what, remedy));
    }
    if seen.mounts > 0 {
        let what = "of containers that are gone are left in the runtime directory";
        findings.push(Finding::warning(area, format!("{} mounts", seen.mounts), what, sweep()));
    }
    if seen.logins > 0 {
        let what = "was killed; its directory may hold a login";
        findings.push(Finding::warning(area, "a login program", what, sweep()));
    }
    if seen.probe {
        findings.push(Finding::warning(
            area,
            "keyslip doctor --probe",
            "was killed and has left its login, a random value, in the store, and perhaps a container, which the next probe removes",
            Remedy::run(format!("keyslip auth logout {}", probe::AGENT)),
        ));
    }
    let count = |event: &str| seen.problems.iter().filter(|problem| problem.event == event).count();
    let last = |event: &str| {
        let newest = seen.problems.iter().rev().find(|problem| problem.event == event);
        let reason = newest.and_then(|problem| problem.reason.as_deref()).unwrap_or("the runtime said why");
        reason.chars().take(200).collect::<String>()
    };
    if count("failed") > 0 {
        let what = format!("failed to start in the last day; the last one: {}", last("failed"));
        let remedy = Remedy::advice("see keyslip status, which names the containers");
        findings.push(Finding::warning(area, format!("{} containers", count("failed")), what, remedy));
    }
    if count("denied") > 0 {
        let what = format!("were refused in the last day; the last one: {}", last("denied"));
        let remedy = Remedy::advice("see keyslip status; nothing is to be done if that was meant");
        findings.push(Finding::note(area, format!("{} requests", count("denied")), what, remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            area,
            "containers",
            format!("{} hold credentials, nothing is left over", seen.alive),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::doctor::{Severity, exit_code};

    fn problem(event: &str) -> Problem {
        Problem {
            time: Instant::now(),
            event: event.to_owned(),
            engine: "podman".to_owned(),
            container: String::new(),
            reason: Some("why".to_owned()),
        }
    }

    #[test]
    fn each_leftover_has_its_remedy() {
        assert_eq!(exit_code(&judge(&Seen { alive: 3, ..Seen::default() })), 0);
        assert_eq!(exit_code(&judge(&Seen { broken: vec![PathBuf::from("/run/x")], ..Seen::default() })), 1);
        for (seen, command) in [
            (Seen { dead: 1, ..Seen::default() }, "keyslip sweep"),
            (Seen { unfinished: 2, ..Seen::default() }, "keyslip sweep"),
            (Seen { mounts: 1, ..Seen::default() }, "keyslip sweep"),
            (Seen { logins: 1, ..Seen::default() }, "keyslip sweep"),
            (Seen { probe: true, ..Seen::default() }, "keyslip auth logout keyslip-probe"),
        ] {
            let findings = judge(&seen);
            assert_eq!((findings.len(), exit_code(&findings)), (1, 1), "{seen:?}");
            assert_eq!(findings[0].command.as_deref(), Some(command));
        }
    }

    #[test]
    fn a_failure_is_a_warning_and_a_refusal_is_none() {
        let findings = judge(&Seen { problems: vec![problem("denied"), problem("failed")], ..Seen::default() });
        let severities: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Note]);
        assert!(findings[0].what.ends_with("why"));
    }

    #[test]
    fn mounts_of_known_containers_are_no_leftovers() {
        let mounts = "1 2 0:3 / /run/keyslip rw - tmpfs t rw\n\
                      4 1 0:5 / /run/keyslip/share/aa/1 rw - ext4 d rw\n\
                      6 1 0:5 / /run/keyslip/share/bb/1 rw - ext4 d rw\n";
        assert_eq!(stray_mounts(mounts, Path::new("/run/keyslip"), |id| id == "aa"), 1);
        assert_eq!(stray_mounts(mounts, Path::new("/run/keyslip"), |_| true), 0);
    }
}
