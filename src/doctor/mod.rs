//! What is wrong with this installation, and what to do about it.
//!
//! In: a [`Site`] and where the programs are. Out: a list of [`Finding`]s, each of which says what to do
//! unless it is in order. What can go wrong is what is looked for; what cannot be looked at is a finding
//! itself, so nothing here fails.
//!
//! Every part has two halves. `observe` looks and decides nothing; `judge` is pure, takes what was seen and
//! returns findings, so that each rule is tested without a broken machine. Looking changes nothing, and
//! a program is asked for its version only if nobody but its user or root can have written it.
//!
//! [`probe`] is the exception: asked for, it starts containers.

pub mod advisories;
mod asking;
pub mod engines;
pub mod files;
pub mod kernel;
pub mod leftovers;
pub mod logins;
pub mod memory;
pub mod probe;
pub mod programs;
pub mod settings;
pub mod version;

pub use asking::{Said, ask, look_up};

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// In order.
    Ok,
    /// In order, and worth knowing.
    Note,
    /// Something is missing, unsafe or about to fail.
    Warning,
    /// Containers do not get what they ask for, or others can get at it.
    Broken,
}

/// What a finding is about, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Keyslip's own programs and the engines' links.
    Programs,
    /// The OCI runtimes below.
    Runtimes,
    /// The runtime directory, swap and the kernel.
    Memory,
    /// The store, keyrings, helpers and secret files.
    Logins,
    /// Keyslip's configuration.
    Configuration,
    /// The engines' configuration.
    Engines,
    /// What containers have left behind.
    Leftovers,
    /// Throw-away containers.
    Probe,
}

impl Area {
    /// As a heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Runtimes => "runtimes",
            Self::Memory => "memory",
            Self::Logins => "logins",
            Self::Configuration => "configuration",
            Self::Engines => "engines",
            Self::Leftovers => "leftovers",
            Self::Probe => "probe",
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// For a person, as an imperative.
    pub text: String,
    /// A command for a shell that mends it, where one does.
    pub command: Option<String>,
}

impl Remedy {
    /// A command that mends it.
    #[must_use]
    pub fn run(command: impl Into<String>) -> Self {
        let command = command.into();
        Self { text: format!("run: {command}"), command: Some(command) }
    }

    /// What no command does.
    #[must_use]
    pub fn advice(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// How bad it is.
    pub severity: Severity,
    /// Which file, engine or login.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// What to do; empty when all is in order.
    pub remedy: String,
    /// The command that does it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Finding {
    /// All is in order.
    #[must_use]
    pub fn ok(area: Area, subject: impl Into<String>, what: impl Into<String>) -> Self {
        let (subject, what) = (subject.into(), what.into());
        Self { area, severity: Severity::Ok, subject, what, remedy: String::new(), command: None }
    }

    /// Something that is not: everything else says what to do.
    #[must_use]
    pub fn new(
        area: Area,
        severity: Severity,
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: Remedy,
    ) -> Self {
        let (subject, what) = (subject.into(), what.into());
        Self { area, severity, subject, what, remedy: remedy.text, command: remedy.command }
    }

    /// A note.
    #[must_use]
    pub fn note(area: Area, subject: impl Into<String>, what: impl Into<String>, remedy: Remedy) -> Self {
        Self::new(area, Severity::Note, subject, what, remedy)
    }

    /// A warning.
    #[must_use]
    pub fn warning(area: Area, subject: impl Into<String>, what: impl Into<String>, remedy: Remedy) -> Self {
        Self::new(area, Severity::Warning, subject, what, remedy)
    }

    /// Broken.
    #[must_use]
    pub fn broken(area: Area, subject: impl Into<String>, what: impl Into<String>, remedy: Remedy) -> Self {
        Self::new(area, Severity::Broken, subject, what, remedy)
    }
}

/// 0 for findings that are in order, 1 with warnings, 2 when something is broken.
#[must_use]
pub fn exit_code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Broken) => 2,
        Some(Severity::Warning) => 1,
        _ => 0,
    }
}

/// `one`, `one and two`, `one, two and three`.
#[must_use]
pub(crate) fn listed<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

/// A word as a shell takes it.
#[must_use]
pub(crate) fn quoted(word: impl AsRef<std::path::Path>) -> String {
    let word = word.as_ref().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let area = Area::Memory;
        let ok = Finding::ok(area, "a", "b");
        let note = Finding::note(area, "a", "b", Remedy::advice("c"));
        let warning = Finding::warning(area, "a", "b", Remedy::advice("c"));
        let broken = Finding::broken(area, "a", "b", Remedy::run("c"));
        assert_eq!(exit_code(&[]), 0);
        assert_eq!(exit_code(&[ok.clone(), note]), 0);
        assert_eq!(exit_code(&[warning.clone(), ok.clone()]), 1);
        assert_eq!(exit_code(&[warning, broken, ok]), 2);
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("/usr/libexec/keyslip"), "/usr/libexec/keyslip");
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
        assert_eq!(quoted(""), "''");
    }
}
