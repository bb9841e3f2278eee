//! Where messages go: failures to standard error and the runtime's log, everything else to syslog,
//! because standard error of a successful start is the container's own log.

use std::fs::File;
use std::io::Write;

use keyslip::audit::tell_syslog;
use keyslip::clock::Instant;
use keyslip::config::Level;
use keyslip::journal::{Journal, sentence};
use keyslip::json::quote;

use crate::{Shim, create};

/// Reports a failed call; returns the exit code.
pub fn failure(shim: &Shim<'_>, error: &anyhow::Error) -> i32 {
    let message = format!("keyslip: container {}: {}", create::name(shim.call.container()), sentence(error.chain()));
    // `eprintln` panics when standard error is a file on a full disk.
    let _ = writeln!(std::io::stderr(), "{message}");
    // docker and containerd show the last line of this file and nothing else.
    if let Some(mut log) = shim.call.log().and_then(|path| File::options().append(true).create(true).open(path).ok()) {
        let line = format!(r#"{{"level":"error","msg":{},"time":"{}"}}"#, quote(&message), Instant::now());
        let _ = writeln!(log, "{line}");
    }
    tell_syslog(3, &message);
    1
}

/// Tells syslog what there is to say about a start.
pub fn journal(journal: &Journal, level: Level) {
    let messages = journal.warnings.iter().map(|message| (4, Level::Warn, message));
    let details = journal.details.iter().map(|message| (7, Level::Debug, message));
    for (severity, at, message) in messages.chain(details) {
        if at <= level {
            tell_syslog(severity, message);
        }
    }
}
