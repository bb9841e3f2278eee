//! What `keyslip install` has written down, against what is there now.

use std::path::PathBuf;

use super::super::version::Version;
use super::super::{Area, Finding, Remedy};
use super::read;
use crate::engine;
use crate::site::Site;

/// What became of a file that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is as it was written.
    AsWritten,
    /// It was edited, and our part stands in it.
    Edited,
    /// Our part is not in it any more.
    WithoutOurs,
    /// It is not there.
    Gone,
}

/// An installation.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The engine.
    pub engine: String,
    /// The way in.
    pub mode: String,
    /// The engine's version at that time.
    pub version: Option<Version>,
    /// It was cut short.
    pub pending: bool,
    /// What became of its files.
    pub files: Vec<(PathBuf, State)>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What was installed.
    pub receipts: Vec<Receipt>,
}

/// Looks at the receipts of `site`.
#[must_use]
pub fn observe(site: &Site) -> Seen {
    let state = |change: &engine::Change| {
        let now = read(&change.path).ok().flatten();
        let state = match (&now, &change.after) {
            (None, None) => State::AsWritten,
            (None, Some(_)) => State::Gone,
            (Some(now), Some(after)) if now.as_bytes() == after.as_slice() => State::AsWritten,
            (Some(now), _) if change.ours.is_in(now) => State::Edited,
            (Some(_), _) => State::WithoutOurs,
        };
        (change.path.clone(), state)
    };
    let each = engine::receipts(site).into_iter().map(|receipt| Receipt {
        engine: receipt.engine.to_string(),
        mode: receipt.mode.to_string(),
        version: receipt.version.as_deref().and_then(Version::parse),
        pending: receipt.pending,
        files: receipt.changes.iter().map(state).collect(),
    });
    Seen { receipts: each.collect() }
}

/// What that means; `now` has the engines' versions.
#[must_use]
pub fn judge(seen: &Seen, now: &super::Seen) -> Vec<Finding> {
    let area = Area::Engines;
    let mut findings = Vec::new();
    for receipt in &seen.receipts {
        let Receipt { engine, mode, version, pending, files } = receipt;
        let subject = format!("keyslip install {engine}");
        let again = format!("keyslip install {engine} --mode {mode}");
        let undo = format!("keyslip uninstall {engine}");
        if *pending {
            let what = "was cut short, and its work is half done";
            let remedy = Remedy::run(format!("{undo} && {again}"));
            findings.push(Finding::broken(area, subject.clone(), what, remedy));
            continue;
        }
        for (path, state) in files {
            let path = path.display();
            let what = match state {
                State::AsWritten => continue,
                State::Edited => {
                    findings.push(Finding::ok(
                        area,
                        subject.clone(),
                        format!("{path} was edited since; our part stands"),
                    ));
                    continue;
                }
                State::WithoutOurs => format!("{path} was changed since, and what was written into it is gone"),
                State::Gone => format!("{path} is gone"),
            };
            let text = format!("install it again, or forget it: {again}; or {undo}");
            findings.push(Finding::broken(area, subject.clone(), what, Remedy { text, command: Some(again.clone()) }));
        }
        let current = match engine.as_str() {
            "podman" => now.podman.version.as_ref(),
            "docker" => now.docker.version.as_ref(),
            "containerd" => now.containerd.version.as_ref(),
            _ => None,
        };
        if let (Some(then), Some(current)) = (version, current)
            && (then.number(0), then.number(1)) != (current.number(0), current.number(1))
        {
            let what = format!("was done for {engine} {then}, and it is {current} now");
            findings.push(Finding::note(
                area,
                subject,
                what,
                Remedy::advice(format!("prove it: keyslip doctor --probe {engine}")),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn receipt(state: State) -> Receipt {
        Receipt {
            engine: "podman".to_owned(),
            mode: "shim".to_owned(),
            version: Version::parse("4.3.1"),
            pending: false,
            files: vec![(PathBuf::from("/etc/containers/containers.conf"), state)],
        }
    }

    fn findings(receipt: Receipt) -> Vec<Finding> {
        judge(&Seen { receipts: vec![receipt] }, &super::super::Seen::default())
    }

    #[test]
    fn what_was_taken_away_is_found() {
        assert_eq!(findings(receipt(State::AsWritten)), []);
        assert_eq!(findings(receipt(State::Edited))[0].severity, Severity::Ok);
        for state in [State::WithoutOurs, State::Gone] {
            let found = findings(receipt(state));
            assert_eq!(exit_code(&found), 2);
            assert_eq!(found[0].command.as_deref(), Some("keyslip install podman --mode shim"));
        }
        assert_eq!(exit_code(&findings(Receipt { pending: true, ..receipt(State::AsWritten) })), 2);
    }

    #[test]
    fn an_engine_of_another_version_is_to_be_proved_again() {
        let mut now = super::super::Seen::default();
        let of = |now: &super::super::Seen| judge(&Seen { receipts: vec![receipt(State::AsWritten)] }, now);
        now.podman.version = Version::parse("4.3.2");
        assert_eq!(of(&now), []);
        now.podman.version = Version::parse("5.4.2");
        assert!(of(&now)[0].remedy.contains("--probe podman"));
    }
}
