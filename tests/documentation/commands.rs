//! The commands of a block, one by one, as a shell would read them.

use std::process::{Command, Stdio};

/// Takes a block apart. A command may have several lines: a loop, a here-document, a line that goes on.
///
/// # Errors
/// When the last one has no end, or is no shell.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut commands = Vec::new();
    let mut command = String::new();
    for line in text.lines() {
        if command.is_empty() && (line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        command.push_str(line);
        command.push('\n');
        if is_whole(&command) {
            commands.push(std::mem::take(&mut command));
        }
    }
    if command.is_empty() { Ok(commands) } else { Err(format!("no command of a shell: {command}")) }
}

/// Whether bash has nothing to say against it, and nothing more to wait for.
fn is_whole(command: &str) -> bool {
    if command.ends_with("\\\n") {
        return false;
    }
    let output = Command::new("bash").args(["-n", "-c", command]).stdin(Stdio::null()).output().expect("bash starts");
    output.status.success() && output.stderr.is_empty()
}
