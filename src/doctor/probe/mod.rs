//! Throw-away containers that prove what the rules only conclude.
//!
//! In: the engines as they are set up. Out: for each of them, whether a random value, stored as the login of an
//! agent of its own for the time of the probe, reaches the main process, an `exec` and the files, and is
//! nowhere else: not in `inspect`, not in the engine's storage, and after the end in no place at all. What
//! can go wrong: the engine is down, the container does not start, somebody ends the probe. Whatever
//! happens, containers, images, files and the login are removed; what a killed probe has left, the
//! next one removes.
//!
//! Nothing of the way differs from that of any other container: the same store, configuration, rules,
//! shim and hooks. No variable and no option leads a program of Keyslip's elsewhere.

mod bare;
mod containerd;
mod docker;
mod image;
mod judge;
mod podman;
mod search;
mod way;

pub use judge::Property;
pub use way::{Promise, Way};

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::{Area, Finding, Remedy, engines, programs};
use crate::clock::Instant;
use crate::config::{Backend, Config};
use crate::ledger::{Ledger, Record, SandboxId, clean_up};
use crate::names::{Account, AgentName};
use crate::probe::NAME;
use crate::secret::Secret;
use crate::site::Site;
use crate::source::{Custody, Store, store_of};
use crate::sys::Signals;

/// The agent that the containers ask for.
pub const AGENT: &str = NAME;

/// How long the login is good that a killed probe may leave behind, in seconds.
const LIFE: i64 = 600;

/// The agent that the containers ask for.
#[must_use]
pub fn agent() -> AgentName {
    AGENT.parse().expect("it is the name of an agent")
}

/// Whether a probe of this site is running now.
#[must_use]
pub fn is_running(site: &Site) -> bool {
    let Ok(dir) = File::open(directory(site)) else { return false };
    rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive).is_err()
}

/// Where the image and bundles lie while a probe runs.
fn directory(site: &Site) -> PathBuf {
    site.state.join("probe")
}

/// What a probe needs to know.
pub struct Surroundings<'a> {
    /// Where things are.
    pub site: &'a Site,
    /// The configuration.
    pub config: &'a Config,
    /// The programs.
    pub libexec: &'a Path,
    /// How the engines are set up.
    pub engines: &'a engines::Seen,
    /// The links.
    pub programs: &'a programs::Seen,
}

/// Everything of one probe that must be removed again.
struct Bench<'a> {
    store: &'a Store,
    around: &'a Surroundings<'a>,
    dir: PathBuf,
    /// Kept from other probes as long as this is open.
    _lock: File,
    value: Secret,
    signals: Option<Signals>,
}

/// Starts a container in every way that is set up, or in those of the engines that are named.
#[must_use]
pub fn run(around: &Surroundings<'_>, only: &[String]) -> Vec<Finding> {
    let ways = ways(around, only);
    let mut findings = Vec::new();
    for name in only.iter().filter(|name| !ways.iter().any(|way| way.engine() == name.as_str())) {
        let remedy = Remedy::advice(format!("set it up first: keyslip install {name}; see keyslip doctor"));
        findings.push(Finding::broken(Area::Probe, name.clone(), "is not set up to call Keyslip", remedy));
    }
    if ways.is_empty() {
        if only.is_empty() {
            let remedy = Remedy::advice("set an engine up: keyslip install podman");
            findings.push(Finding::note(Area::Probe, "probe", "there is nothing to probe", remedy));
        }
        return findings;
    }
    let failed = |why: String| {
        Finding::broken(
            Area::Probe,
            "probe",
            why,
            Remedy::advice("mend what keyslip doctor says first, then probe again"),
        )
    };
    let store = match store_of(around.config, around.site) {
        Ok(store) => store,
        Err(error) => return vec![failed(error.to_string())],
    };
    match Bench::set_up(around, &store) {
        Ok(bench) => findings.extend(ways.into_iter().flat_map(|way| bench.probe(way))),
        Err(why) => findings.push(failed(why)),
    }
    findings
}

/// The ways that there are.
fn ways<'a>(around: &'a Surroundings<'_>, only: &[String]) -> Vec<Box<dyn Way + 'a>> {
    let mut ways: Vec<Box<dyn Way>> = Vec::new();
    ways.extend(podman::ways(around));
    ways.extend(docker::ways(around, only));
    ways.extend(containerd::ways(around, only));
    ways.extend(bare::ways(around));
    ways.retain(|way| only.is_empty() || only.iter().any(|name| name == way.engine()));
    ways
}

impl<'a> Bench<'a> {
    /// Takes the place of a probe that was killed, and stores a fresh value as a login.
    fn set_up(around: &'a Surroundings<'a>, store: &'a Store) -> Result<Self, String> {
        let dir = directory(around.site);
        let failed = |what: &str, error: std::io::Error| format!("{what} {}: {error}", dir.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| failed("cannot make", error))?;
        let lock = File::open(&dir).map_err(|error| failed("cannot open", error))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| "another probe is running; wait for its end".to_owned())?;
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
        }
        let random = || SandboxId::random().map_err(|error| format!("no random number: {error}"));
        let value = Secret::from_text(&format!("{AGENT}-{}{}", random()?.as_str(), random()?.as_str()));
        let signals = Signals::catch().ok();
        let bench = Self { store, around, dir, _lock: lock, value, signals };
        image::write(&around.libexec.join("keyslip-launch"), &bench.image())
            .map_err(|error| format!("cannot write an image of keyslip-launch: {error}"))?;
        let now = Instant::now();
        let times = (now, Some(Instant(now.0 + LIFE)), false);
        let custody = Custody::new(store, around.config, around.site);
        custody
            .put((&agent(), &Account::default()), &bench.value, times, Backend::File)
            .map_err(|error| format!("cannot store the login of the probe: {error}"))?;
        Ok(bench)
    }

    fn image(&self) -> PathBuf {
        self.dir.join("image.tar")
    }

    /// Somebody wants to end this.
    fn is_interrupted(&self) -> bool {
        const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
        let Some(signals) = &self.signals else { return false };
        std::iter::from_fn(|| signals.take()).any(|signal| ENDING.contains(&signal))
    }

    /// One container, from its start to its end.
    fn probe(&self, mut way: Box<dyn Way + '_>) -> Vec<Finding> {
        let subject = way.subject();
        if self.is_interrupted() {
            let what = "was not probed: a signal came";
            return vec![Finding::warning(Area::Probe, subject, what, Remedy::advice("probe again"))];
        }
        let begin = Instant::now();
        // What a probe that was killed has left.
        let _ = way.end();
        let started = way.start(&self.image());
        let mut findings = match started {
            Err(why) => vec![judge::not_started(&subject, &why)],
            Ok(()) => self.look(way.as_ref(), begin),
        };
        let storage = way.storage();
        match way.end() {
            Err(why) => findings.push(judge::not_removed(&subject, &why)),
            Ok(()) => findings.push(self.look_after(&subject, &storage, begin)),
        }
        findings
    }

    /// While it runs.
    fn look(&self, way: &dyn Way, begin: Instant) -> Vec<Finding> {
        let subject = way.subject();
        let mut findings = judge::sight(&subject, &way.promise(), way.look(), &self.value);
        findings.push(judge::inspect(&subject, way.inspect(), &self.value));
        let found = search::search(&way.storage(), begin, &self.value, search::LIMITS);
        findings.push(judge::storage(&subject, Property::Storage, &found));
        findings
    }

    /// After its end.
    fn look_after(&self, subject: &str, storage: &[PathBuf], begin: Instant) -> Finding {
        let held = !held(&Ledger::at(&self.around.site.runtime)).is_empty();
        let places: Vec<PathBuf> = storage.iter().cloned().chain([self.around.site.runtime.clone()]).collect();
        if held {
            return judge::still_listed(subject);
        }
        let found = search::search(&places, begin, &self.value, search::LIMITS);
        judge::storage(subject, Property::Removed, &found)
    }
}

/// The records of containers that were given the value of a probe.
fn held(ledger: &Ledger) -> Vec<Record> {
    let mut records = ledger.records().found;
    records.retain(|record| record.agents.iter().any(|it| it.agent.as_str() == AGENT));
    records
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        // Where the engine did not say that they have ended.
        let ledger = Ledger::at(&self.around.site.runtime);
        held(&ledger).iter().for_each(|record| drop(clean_up(&ledger, record)));
        let _ = ledger.remove_dangling();
        let custody = Custody::new(self.store, self.around.config, self.around.site);
        let _ = custody.remove(&agent(), &Account::default());
        // Nobody else holds it, for this is the only probe.
        let lock = self.store.dir().join(format!(".lock-{AGENT}@{}", Account::default()));
        let _ = self.store.keeper().act(|| fs::remove_file(lock));
        way::remove_requests(self.around.site);
        let _ = fs::remove_dir_all(&self.dir);
    }
}
