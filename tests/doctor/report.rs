//! What the doctor says, as its JSON has it, and an installation that is sound.

use serde_json::Value;

use crate::lab::{Lab, Output};

/// What was found.
pub struct Report {
    pub code: Option<i32>,
    pub findings: Vec<Finding>,
    /// For the message of an assertion.
    pub text: String,
}

/// One finding.
pub struct Finding {
    pub area: String,
    pub severity: String,
    pub subject: String,
    pub what: String,
    pub remedy: String,
    pub command: Option<String>,
}

impl Report {
    /// Reads the output of `keyslip doctor --json`.
    #[track_caller]
    pub fn of(output: &Output) -> Self {
        let value: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let findings: Vec<Finding> = value["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|it| Finding {
                area: text(it, "area"),
                severity: text(it, "severity"),
                subject: text(it, "subject"),
                what: text(it, "what"),
                remedy: text(it, "remedy"),
                command: it["command"].as_str().map(str::to_owned),
            })
            .collect();
        assert_eq!(value["exitCode"].as_i64().map(|code| code as i32), output.code(), "{output}");
        for finding in &findings {
            // Nothing is found without a word about what to do.
            assert!(finding.severity == "ok" || !finding.remedy.is_empty(), "{}: {}", finding.subject, finding.what);
        }
        // No value of a marked credential, whatever was looked at.
        assert!(!output.said().contains('<') || !output.said().contains("<CLAUDE>"), "{output}");
        Self { code: output.code(), findings, text: output.stdout.clone() }
    }

    /// Those of this severity whose subject or text has `part`.
    pub fn with(&self, severity: &str, part: &str) -> Vec<&Finding> {
        let fits = |it: &&Finding| it.severity == severity && (it.what.contains(part) || it.subject.contains(part));
        self.findings.iter().filter(fits).collect()
    }
}

/// Asks the doctor, as root.
#[track_caller]
pub fn doctor(lab: &Lab, options: &str) -> Report {
    Report::of(&lab.sh(&format!("keyslip doctor --json {options}")))
}

/// Asks the doctor, as the ordinary user.
#[track_caller]
pub fn doctor_of_user(lab: &Lab, options: &str) -> Report {
    Report::of(&lab.as_user(&format!("keyslip doctor --json {options}")))
}

/// A lab whose installation is in order: crun, whose Debian 12 version has no known hole; podman by the shim,
/// without trust in annotations; a tmpfs; a login.
pub fn sound(name: &str) -> Option<Lab> {
    let lab = Lab::with_claude(&format!("doctor-{name}"))?;
    lab.configure("");
    lab.ok("keyslip install tmpfs; rm -f /usr/libexec/keyslip/*/runc /usr/libexec/keyslip/*/runc.real
        sed -i '/^runc = /d' $CONTAINERS_CONF; printf '' >/home/labuser/.config/keyslip/keyslip.toml");
    Some(lab)
}
