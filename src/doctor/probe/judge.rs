//! What the sight of a probe means.

use std::fmt;
use std::path::PathBuf;

use super::search::Found;
use super::way::Promise;
use crate::doctor::{Area, Finding, Remedy, listed};
use crate::probe::{Sight, digest};
use crate::secret::Secret;

/// What is proved of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// The variable of the main process.
    Main,
    /// The variable of what `exec` starts.
    Exec,
    /// The secret file.
    Secret,
    /// The file below the home directory.
    Home,
    /// `inspect` does not show the value.
    Inspect,
    /// The engine's storage does not hold it.
    Storage,
    /// After the end nothing does.
    Removed,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main env",
            Self::Exec => "exec env",
            Self::Secret => "secret file",
            Self::Home => "file in HOME",
            Self::Inspect => "inspect",
            Self::Storage => "storage",
            Self::Removed => "after removal",
        })
    }
}

fn ok(subject: &str, property: Property, what: &str) -> Finding {
    Finding::ok(Area::Probe, subject, format!("{property}: {what}"))
}

fn broken(subject: &str, property: Property, what: &str, remedy: &str) -> Finding {
    Finding::broken(Area::Probe, subject, format!("{property}: {what}"), Remedy::advice(remedy))
}

/// The container could not be started.
pub fn not_started(subject: &str, why: &str) -> Finding {
    // The rules are obeyed, not passed by.
    if why.contains("[[allow]]") {
        let what = format!("was not probed, because the rules do not let it ask: {why}");
        let remedy = Remedy::advice("to have it probed, add a rule for the agent keyslip-probe");
        return Finding::note(Area::Probe, subject, what, remedy);
    }
    let remedy = Remedy::advice("mend what the engine says; keyslip status shows what was refused or failed");
    Finding::broken(Area::Probe, subject, format!("its container does not start: {why}"), remedy)
}

/// The container could not be removed.
pub fn not_removed(subject: &str, why: &str) -> Finding {
    let remedy = Remedy::advice("remove the container and the image keyslip-probe with the engine's own commands");
    Finding::broken(Area::Probe, subject, format!("its container could not be removed: {why}"), remedy)
}

/// The container is gone and the ledger has it still.
pub fn still_listed(subject: &str) -> Finding {
    let remedy = "the engine did not call the shim or the hook at the end; keyslip sweep removes what is left";
    broken(subject, Property::Removed, "the container is still in keyslip list", remedy)
}

/// What was seen in the container.
pub fn sight(subject: &str, promise: &Promise, said: Result<String, String>, value: &Secret) -> Vec<Finding> {
    let remedy =
        "keyslip status says what was refused or failed; is the engine's runtime the shim, or are its hooks read?";
    let sight = match said.map(|text| Sight::parse(&text)) {
        Ok(Some(sight)) => sight,
        Ok(None) => {
            return vec![broken(subject, Property::Exec, "the program in the container said something else", remedy)];
        }
        Err(why) => return vec![broken(subject, Property::Exec, &format!("exec fails: {why}"), remedy)],
    };
    let expected = digest(value.expose());
    let parts = [
        (Property::Main, promise.main, sight.main),
        (Property::Exec, promise.exec, sight.exec),
        (Property::Secret, true, sight.secret),
        (Property::Home, true, sight.home),
    ];
    let each = parts.into_iter().map(|(property, promised, seen)| match seen {
        Some(seen) if seen == expected => ok(subject, property, "the value is there"),
        Some(_) => {
            broken(subject, property, "another value is there", "see which variable or file of the image is in the way")
        }
        None if promised => broken(subject, property, "the value is missing", remedy),
        None => ok(subject, property, &format!("none, for {}", promise.unless)),
    });
    each.collect()
}

/// What the engine shows.
pub fn inspect(subject: &str, said: Result<String, String>, value: &Secret) -> Finding {
    match said {
        Ok(text) if memchr::memmem::find(text.as_bytes(), value.expose()).is_none() => {
            ok(subject, Property::Inspect, "does not show the value")
        }
        Ok(_) => broken(
            subject,
            Property::Inspect,
            "shows the value",
            "something writes variables into the specification: env = \"spec\" in [delivery], or a hook of somebody else",
        ),
        Err(why) => broken(subject, Property::Inspect, &format!("fails: {why}"), "mend what the engine says"),
    }
}

/// Where the value was found. When the container is gone crun's state must be too.
pub fn storage(subject: &str, property: Property, found: &Found) -> Finding {
    let known: &[PathBuf] = if property == Property::Removed { &found.known } else { &[] };
    if found.files.len() + known.len() > 0 {
        let files = listed(found.files.iter().chain(known).take(3).map(|path| path.display()));
        let remedy =
            "the value was random and is of no use; a login would lie there too: report it with the engine's version";
        return broken(subject, property, &format!("{files} holds the value"), remedy);
    }
    if found.cut {
        let what = format!("{property}: clean as far as {} new files go; the search was cut short", found.read);
        return Finding::note(Area::Probe, subject, what, Remedy::advice("probe again while the engine is idle"));
    }
    let but = match found.known.first() {
        Some(known) => format!(", but for crun's own state in memory, {}", known.display()),
        None => String::new(),
    };
    ok(subject, property, &format!("{} new files are clean{but}", found.read - found.known.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Severity, exit_code};

    fn said(main: &str, exec: &str, secret: &str, home: &str) -> Result<String, String> {
        Ok(format!("main {main}\nexec {exec}\nsecret {secret}\nhome {home}\n"))
    }

    #[test]
    fn a_value_counts_where_it_is_promised() {
        let value = Secret::from_text("keyslip-probe-FAKE");
        let there = digest(value.expose());
        let codes = |promise: &Promise, said| {
            let findings = sight("x", promise, said, &value);
            (findings.len(), exit_code(&findings))
        };
        assert_eq!(codes(&Promise::ALL, said(&there, &there, &there, &there)), (4, 0));
        assert_eq!(codes(&Promise::ALL, said(&there, "absent", &there, &there)), (4, 2));
        assert_eq!(codes(&Promise::HOOKS, said(&there, "absent", &there, &there)), (4, 0));
        assert_eq!(codes(&Promise::HOOKS, said("absent", "absent", &there, &there)), (4, 2));
        assert_eq!(codes(&Promise::DEVICES, said("absent", "absent", &there, &there)), (4, 0));
        assert_eq!(codes(&Promise::DEVICES, said("absent", "absent", &there, "absent")), (4, 2));
        assert_eq!(codes(&Promise::ALL, said(&there, &digest(b"other"), &there, &there)), (4, 2));
        assert_eq!(codes(&Promise::ALL, Err("x".to_owned())), (1, 2));
    }

    #[test]
    fn leaks_are_broken_and_the_value_is_not_told() {
        let value = Secret::from_text("keyslip-probe-FAKE");
        let shown = inspect("x", Ok("{\"Env\":[\"A=keyslip-probe-FAKE\"]}".to_owned()), &value);
        assert!(shown.severity == Severity::Broken && !format!("{shown:?}").contains("FAKE"));
        assert_eq!(inspect("x", Ok("{}".to_owned()), &value).severity, Severity::Ok);
        let found = Found { files: vec![PathBuf::from("/s/config.json")], ..Found::default() };
        assert_eq!(storage("x", Property::Storage, &found).severity, Severity::Broken);
        assert_eq!(storage("x", Property::Storage, &Found { cut: true, ..Found::default() }).severity, Severity::Note);
        assert_eq!(storage("x", Property::Removed, &Found::default()).severity, Severity::Ok);
        let known = Found { known: vec![PathBuf::from("/run/r/config.json")], read: 3, ..Found::default() };
        let known = storage("x", Property::Storage, &known);
        assert!(known.severity == Severity::Ok && known.what.contains("2 new files") && known.what.contains("/run/r"));
    }

    #[test]
    fn rules_that_forbid_it_are_no_fault() {
        let refused =
            not_started("x", "podman asks for keyslip-probe, which no [[allow]] rule permits; to permit it, ...");
        assert_eq!(refused.severity, Severity::Note);
        assert_eq!(not_started("x", "no such image").severity, Severity::Broken);
    }
}
