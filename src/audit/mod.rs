//! The audit log, one JSON line an event; and messages to syslog.

use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::clock::Instant;

/// What happened.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A container was given what it asked for, as far as that was there.
    Delivered,
    /// A request was refused.
    Denied,
    /// A request without consent was passed over.
    Ignored,
    /// A start failed.
    Failed,
    /// A container that runs was brought up to date.
    Synced,
    /// A credential was taken away from a container that runs.
    Revoked,
    /// What a container had was removed.
    Cleaned,
}

#[derive(Serialize)]
struct Line<'a> {
    time: Instant,
    event: Event,
    engine: &'a str,
    container: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<AgentLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct AgentLine<'a> {
    agent: &'a str,
    account: &'a str,
    fingerprint: Option<&'a str>,
}

/// Appends a line to `audit.log` below `state`, mode 0600. A log that cannot be written does not
/// stop a container.
pub fn audit(state: &Path, event: Event, engine: &str, container: &str, record: Option<&Record>, reason: Option<&str>) {
    let agents = record.iter().flat_map(|record| &record.agents).map(|agent| AgentLine {
        agent: agent.agent.as_str(),
        account: agent.login.as_ref().unwrap_or(&agent.account).as_str(),
        fingerprint: agent.fingerprint.as_deref(),
    });
    let line = Line {
        time: Instant::now(),
        event,
        engine,
        container,
        id: record.map(|record| record.id.as_str()),
        agents: agents.collect(),
        secrets: record.iter().flat_map(|record| &record.secrets).map(|secret| secret.name.as_str()).collect(),
        reason,
    };
    let Ok(mut text) = serde_json::to_vec(&line) else { return };
    text.push(b'\n');
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(state);
    let log = File::options().append(true).create(true).mode(0o600).open(state.join("audit.log"));
    let _ = log.and_then(|mut log| log.write_all(&text));
}

/// A refusal or failure of the past.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// When.
    pub time: Instant,
    /// `denied` or `failed`.
    pub event: String,
    /// For which engine.
    pub engine: String,
    /// For which container; empty when a hook did not know yet.
    pub container: String,
    /// Why.
    pub reason: Option<String>,
}

/// How much of the end of the log is looked at.
const TAIL: u64 = 64 << 10;

/// The refusals and failures of the last `seconds`, the newest last.
#[must_use]
pub fn problems(state: &Path, seconds: i64) -> Vec<Problem> {
    let Ok(mut log) = File::open(state.join("audit.log")) else { return Vec::new() };
    let length = log.metadata().map_or(0, |about| about.len());
    let mut text = Vec::new();
    if log
        .seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .and_then(|_| log.take(TAIL).read_to_end(&mut text))
        .is_err()
    {
        return Vec::new();
    }
    let now = Instant::now();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Problem>(line).ok());
    lines.filter(|it| (it.event == "denied" || it.event == "failed") && now.since(it.time) < seconds).collect()
}

/// Sends a message to syslog, if there is one; never waits. `severity` is syslog's: 3 error,
/// 4 warning, 6 information, 7 debug.
pub fn tell_syslog(severity: u8, message: &str) {
    /// Security messages, private (`LOG_AUTHPRIV`).
    const AUTHPRIV: u8 = 10;
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let _ = socket.set_nonblocking(true);
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = socket.send_to(format!("<{}>keyslip: {line}", AUTHPRIV * 8 + severity).as_bytes(), "/dev/log");
}
