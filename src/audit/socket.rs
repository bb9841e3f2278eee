//! Messages to syslog and to systemd's journal. Both are datagrams that are sent without waiting: when nobody reads
//! them, they are lost.

use std::os::unix::net::UnixDatagram;

use super::Event;

/// Sends a message to syslog, if there is one; never waits. `severity` is syslog's: 3 error,
/// 4 warning, 6 information, 7 debug.
pub fn tell_syslog(severity: u8, message: &str) {
    /// Security messages, private (`LOG_AUTHPRIV`).
    const AUTHPRIV: u8 = 10;
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    send("/dev/log", format!("<{}>keyslip: {line}", AUTHPRIV * 8 + severity).as_bytes());
}

/// Sends a line of the audit log to the journal, in its own protocol: a field a line. The line is JSON, so there is no
/// line break in it; `container` is anybody's words and goes with its length before it.
pub fn tell_journal(event: Event, container: &str, line: &[u8]) {
    let priority = if matches!(event, Event::Denied | Event::Failed | Event::Ignored) { 4 } else { 6 };
    let mut message = format!("SYSLOG_IDENTIFIER=keyslip\nPRIORITY={priority}\nKEYSLIP_EVENT={event:?}\n").into_bytes();
    for (name, value) in [("KEYSLIP_CONTAINER", container.as_bytes()), ("MESSAGE", line)] {
        message.extend_from_slice(name.as_bytes());
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
        message.extend_from_slice(value);
        message.push(b'\n');
    }
    send("/run/systemd/journal/socket", &message);
}

fn send(socket: &str, message: &[u8]) {
    let Ok(from) = UnixDatagram::unbound() else { return };
    let _ = from.set_nonblocking(true);
    let _ = from.send_to(message, socket);
}
