//! Versions of runtimes with holes that are known.
//!
//! Only what lets a container reach the host, and only where the container is one that an engine makes. Left
//! out is what needs a container without a mount at `/dev` (CVE-2026-88264 and CVE-2026-88265 of crun) or an
//! option that no engine uses (CVE-2026-30892 of crun), and what stays in the container (CVE-2022-27650 of
//! crun). A distribution repairs a version without changing its number, and says so in the changelog of
//! its package; that is looked at too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::version::Version;
use super::{Area, Finding, Remedy, asking, listed, look_up};

/// A hole.
#[derive(Debug)]
pub struct Advisory {
    /// Its number.
    pub cve: &'static str,
    /// The advisory of the runtime's own project.
    pub ghsa: &'static str,
    /// The runtime.
    pub runtime: &'static str,
    /// The first repaired version of each series, the oldest series first. What is older than a series
    /// and younger than the one before it is not repaired.
    pub repaired: &'static [&'static str],
    /// It needs a runtime that says this of itself.
    pub only_with: Option<&'static str>,
    /// What it lets a container do.
    pub what: &'static str,
}

/// The holes. Versions are those of the projects' own advisories.
pub const ADVISORIES: [Advisory; 8] = [
    Advisory {
        cve: "CVE-2024-21626",
        ghsa: "GHSA-xr7r-f8xq-vfvv",
        runtime: "runc",
        repaired: &["1.1.12"],
        only_with: None,
        what: "an image's working directory can lie on the host",
    },
    Advisory {
        cve: "CVE-2024-45310",
        ghsa: "GHSA-jfvp-7x6p-h2pv",
        runtime: "runc",
        repaired: &["1.1.14", "1.2.0-rc.3"],
        only_with: None,
        what: "with a volume that two containers share, empty files and directories can be made on the host",
    },
    Advisory {
        cve: "CVE-2025-31133",
        ghsa: "GHSA-9493-h29p-rfm2",
        runtime: "runc",
        repaired: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        only_with: None,
        what: "masked paths can be made writable, and the host with them",
    },
    Advisory {
        cve: "CVE-2025-52565",
        ghsa: "GHSA-qw9x-cqr3-wc7r",
        runtime: "runc",
        repaired: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        only_with: None,
        what: "a link at the console makes files of /proc writable",
    },
    Advisory {
        cve: "CVE-2025-52881",
        ghsa: "GHSA-cgrx-mc8f-2prm",
        runtime: "runc",
        repaired: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        only_with: None,
        what: "the runtime's writes to /proc can be redirected",
    },
    Advisory {
        cve: "CVE-2025-24965",
        ghsa: "GHSA-f42g-r5jj-qh4j",
        runtime: "crun",
        repaired: &["1.20"],
        only_with: Some("+LIBKRUN"),
        what: "with krun an image can write files of the host",
    },
    Advisory {
        cve: "CVE-2025-62161",
        ghsa: "GHSA-4g74-7cff-xcv8",
        runtime: "youki",
        repaired: &["0.5.7"],
        only_with: None,
        what: "masked paths can be made writable, and the host with them",
    },
    Advisory {
        cve: "CVE-2025-62596",
        ghsa: "GHSA-vf95-55w6-qmrf",
        runtime: "youki",
        repaired: &["0.5.7"],
        only_with: None,
        what: "the runtime's writes to /proc can be redirected",
    },
];

impl Advisory {
    /// Whether `version` of `runtime` has it; `says` is everything it says of itself.
    #[must_use]
    pub fn concerns(&self, runtime: &str, version: &Version, says: &str) -> bool {
        if runtime != self.runtime || self.only_with.is_some_and(|feature| !says.contains(feature)) {
            return false;
        }
        let repaired: Vec<Version> = self.repaired.iter().filter_map(|text| Version::parse(text)).collect();
        let series = |version: &Version| (version.number(0), version.number(1));
        let same = repaired.iter().find(|first| series(first) == series(version));
        same.or(repaired.last()).is_some_and(|first| version < first)
    }
}

/// A runtime that was seen.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Everything it says.
    pub says: String,
    /// Numbers of holes that its package's changelog mentions; nothing when there is no such changelog.
    pub mentioned: Option<BTreeSet<String>>,
}

/// Longest that a changelog may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What the changelog of the package of `program` says was repaired.
#[must_use]
pub fn mentioned(name: &str, program: &Path) -> Option<BTreeSet<String>> {
    let changelog = Path::new("/usr/share/doc").join(name).join("changelog.Debian.gz");
    let text = if changelog.exists() {
        asking::ask(&look_up("gzip")?, ["-dc".as_ref(), changelog.as_os_str()], LIMIT).ok()
    } else {
        let arguments = ["-q", "--changelog", "-f"].map(std::ffi::OsStr::new);
        asking::ask(&look_up("rpm")?, arguments.into_iter().chain([program.as_os_str()]), LIMIT).ok()
    };
    Some(numbers_in(&text.filter(|said| said.good)?.text))
}

/// The numbers `CVE-2024-21626` in a text.
fn numbers_in(text: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_digit() || c == '-');
    let found = text.match_indices("CVE-").map(|(at, _)| {
        let rest = &text[at + 4..];
        format!("CVE-{}", rest[..rest.find(ends).unwrap_or(rest.len())].trim_end_matches('-'))
    });
    found.collect()
}

/// Which of the runtimes have holes.
#[must_use]
pub fn judge(runtimes: &[Runtime]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for runtime in runtimes {
        let Runtime { path, name, version, says, mentioned } = runtime;
        let has = |advisory: &&Advisory| advisory.concerns(name, version, says);
        let repaired = |advisory: &&Advisory| mentioned.as_ref().is_some_and(|them| them.contains(advisory.cve));
        let (repaired, open): (Vec<&Advisory>, Vec<&Advisory>) = ADVISORIES.iter().filter(has).partition(repaired);
        let subject = path.display().to_string();
        if open.is_empty() {
            let also = match repaired.is_empty() {
                true => "no hole that is known here".to_owned(),
                false => format!("its package has repaired {}", listed(repaired.iter().map(|it| it.cve))),
            };
            findings.push(Finding::ok(Area::Runtimes, subject, format!("{name} {version}: {also}")));
        }
        // Those that were repaired together are one finding.
        let mut series: Vec<&[&str]> = open.iter().map(|advisory| advisory.repaired).collect();
        series.dedup();
        for repaired in series {
            let together: Vec<&Advisory> = open.iter().copied().filter(|it| it.repaired == repaired).collect();
            findings.push(finding(runtime, &together, repaired));
        }
    }
    findings
}

fn finding(runtime: &Runtime, holes: &[&Advisory], repaired: &[&str]) -> Finding {
    let Runtime { path, name, version, mentioned, .. } = runtime;
    let unless = match mentioned {
        Some(_) => "the changelog of its package does not mention it",
        None => "unless your distribution has repaired it",
    };
    let first = holes.first().map_or("", |hole| hole.what);
    let what = format!("{name} {version} has {} ({first}); {unless}", listed(holes.iter().map(|hole| hole.cve)));
    let remedy = format!(
        "install {name} {} or later, or your distribution's update; see https://github.com/{}/security/advisories, {}",
        listed(repaired).replace(" and ", " or "),
        project(name),
        listed(holes.iter().map(|hole| hole.ghsa))
    );
    Finding::warning(Area::Runtimes, path.display().to_string(), what, Remedy::advice(remedy))
}

/// Where a runtime's advisories are.
fn project(name: &str) -> &'static str {
    match name {
        "crun" => "containers/crun",
        "youki" => "youki-dev/youki",
        _ => "opencontainers/runc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn holes(runtime: &str, version: &str, says: &str) -> Vec<&'static str> {
        let version = Version::parse(version).unwrap();
        let all = ADVISORIES.iter().filter(|advisory| advisory.concerns(runtime, &version, says));
        all.map(|advisory| advisory.cve).collect()
    }

    #[test]
    fn each_series_has_a_first_repaired_version() {
        let of_2025 = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"];
        assert_eq!(holes("runc", "1.1.11", "").len(), 5);
        assert_eq!(holes("runc", "1.1.13", "")[0], "CVE-2024-45310");
        assert_eq!(holes("runc", "1.1.13", "")[1..], of_2025);
        assert_eq!(holes("runc", "1.1.14", ""), of_2025);
        assert_eq!(holes("runc", "1.1.15+ds1", ""), of_2025);
        for (version, has) in [
            ("1.2.7", true),
            ("1.2.8", false),
            ("1.3.2", true),
            ("1.3.3", false),
            ("1.3.4", false),
            ("1.4.0-rc.2", true),
            ("1.4.0-rc.3", false),
            ("1.4.0", false),
            ("1.5.0-rc.1", false),
        ] {
            assert_eq!(holes("runc", version, "") == of_2025, has, "{version}");
            assert_eq!(holes("runc", version, "").is_empty(), !has, "{version}");
        }
        assert!(holes("runsc", "1.0.0", "").is_empty());
        assert_eq!(holes("youki", "0.5.6", "").len(), 2);
    }

    #[test]
    fn a_hole_of_krun_needs_krun() {
        assert!(holes("crun", "1.8.1", "+SYSTEMD +SELINUX").is_empty());
        assert_eq!(holes("crun", "1.8.1", "+SYSTEMD +LIBKRUN +YAJL"), ["CVE-2025-24965"]);
        assert!(holes("crun", "1.20", "+LIBKRUN").is_empty());
    }

    #[test]
    fn what_a_distribution_has_repaired_is_no_warning() {
        let numbers = numbers_in("  * CVE-2024-21626: several breakouts\n    + CVE-2023-25809, CVE-2023-1-\n");
        assert!(numbers.contains("CVE-2024-21626") && numbers.contains("CVE-2023-25809"));
        let runtime = |mentioned| Runtime {
            path: PathBuf::from("/usr/sbin/runc"),
            name: "runc".to_owned(),
            version: Version::parse("1.1.5+ds1").unwrap(),
            says: String::new(),
            mentioned,
        };
        let open = |mentioned| {
            let findings = judge(&[runtime(mentioned)]);
            let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning);
            warnings.map(|finding| finding.what.matches("CVE-").count()).sum::<usize>()
        };
        assert_eq!(open(None), 5);
        assert_eq!(open(Some(numbers)), 4);
        let all = ADVISORIES.iter().map(|advisory| advisory.cve.to_owned()).collect();
        assert_eq!(open(Some(all)), 0);
    }

    #[test]
    fn the_remedy_names_versions_and_the_advisory() {
        let runtime = Runtime {
            path: PathBuf::from("/usr/bin/runc"),
            name: "runc".to_owned(),
            version: Version::parse("1.2.7").unwrap(),
            says: String::new(),
            mentioned: None,
        };
        let finding = &judge(&[runtime])[0];
        assert!(finding.what.contains("unless your distribution has repaired it"), "{}", finding.what);
        assert!(finding.remedy.contains("runc 1.2.8, 1.3.3 or 1.4.0-rc.3 or later"), "{}", finding.remedy);
        assert!(finding.remedy.contains("opencontainers/runc/security/advisories, GHSA-9493-h29p-rfm2"));
    }
}
