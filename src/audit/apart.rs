//! Appending to a log that may be on a file system that does not answer. Who waits for one cannot even be killed, so
//! it is another program that does: `keyslip audit append`. It has nothing of this program's but the line, and is left
//! behind when it takes too long.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;

use super::{LIMIT, Settings};
use crate::{source, sys};

/// Appends a line to the file of `settings`, within [`LIMIT`].
pub fn append(settings: &Settings, line: &[u8]) -> io::Result<()> {
    let end = Instant::now() + LIMIT;
    let program = source::program().filter(|program| program.exists()).ok_or(io::ErrorKind::NotFound)?;
    let program = CString::new(program.as_os_str().as_bytes())?;
    let mut question = serde_json::to_vec(settings)?;
    question.push(b'\n');
    question.extend_from_slice(line);
    let mut helper = sys::start_helper(&program, &[&program, c"audit", c"append"], &[], None)?;
    if let Some(input) = helper.input.take() {
        // A line is far shorter than what a socket holds.
        let sent = rustix::net::send(&input, &question, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        if sent != question.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    // It closes its output when it ends.
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    if poll(&mut [PollFd::new(&helper.output, PollFlags::IN)], Some(&left))? == 0 {
        helper.abandon();
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs())));
    }
    let mut said = [0; 200];
    let count = rustix::io::read(&helper.output, &mut said)?;
    if count > 0 {
        helper.abandon();
        return Err(io::Error::other(String::from_utf8_lossy(&said[..count]).trim().to_owned()));
    }
    while Instant::now() < end {
        match helper.try_wait()? {
            Some(0) => return Ok(()),
            Some(code) => return Err(io::Error::other(format!("keyslip audit append ended with {code}"))),
            None => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
    helper.abandon();
    Err(io::ErrorKind::TimedOut.into())
}
