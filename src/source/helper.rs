//! Asking `keyslip credential get`, as the keeper of the logins, with a limit of time.

use std::env;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant as Moment};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use zeroize::Zeroizing;

use super::keeper::Keeper;
use super::question::{Answer, Question};
use super::secret_file::LONGEST_SECRET;
use crate::site::{Site, Whose};
use crate::sys::{self, Helper};

/// What the helper may take beyond the limit of what it asks itself.
const GRACE: Duration = Duration::from_secs(3);

/// A keyring that needs longer to say nothing does not answer at all.
const SILENCE: Duration = Duration::from_secs(3);

/// Longest reason that is told, in characters.
const LONGEST_REASON: usize = 400;

/// Asks `question`. What goes wrong is an answer too: nobody can say. A keyring that does not answer is
/// waited for once, for a start has a limit and may look for many logins.
pub fn ask(question: &Question, keeper: &Keeper, site: &Site) -> Answer {
    let Some(program) = program() else {
        return Answer::Unavailable("/proc/self/exe cannot be read, so the program keyslip is not found".to_owned());
    };
    static SILENT: OnceLock<String> = OnceLock::new();
    let of_keyring = matches!(question, Question::Keyring(_));
    if let (true, Some(why)) = (of_keyring, SILENT.get()) {
        return Answer::Unavailable(why.clone());
    }
    let begin = Moment::now();
    let answer = match ask_program(&program, question, keeper, site) {
        // Whoever answers on a bus chose the words.
        Ok(Answer::Unavailable(why)) => Answer::Unavailable(why.chars().take(LONGEST_REASON).collect()),
        Ok(answer) => answer,
        Err(error) => Answer::Unavailable(format!("{} credential get: {error}", program.display())),
    };
    if let (true, Answer::Unavailable(why)) = (of_keyring && begin.elapsed() >= SILENCE, &answer) {
        let _ = SILENT.set(why.clone());
    }
    answer
}

/// The program `keyslip`: beside this one, which knows its own place from the kernel.
pub fn program() -> Option<PathBuf> {
    let own = std::fs::read_link("/proc/self/exe").ok()?;
    Some(own.with_file_name("keyslip"))
}

fn ask_program(program: &Path, question: &Question, keeper: &Keeper, site: &Site) -> io::Result<Answer> {
    let deadline = Moment::now() + Duration::from_secs(question.limit()) + GRACE;
    if !program.exists() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such program; install Keyslip again"));
    }
    let text = Zeroizing::new(serde_json::to_vec(question)?);
    let program = CString::new(program.as_os_str().as_bytes())?;
    let env = environment(keeper, site);
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    let mut helper = sys::start_helper(&program, &[&program, c"credential", c"get"], &env, keeper.user)?;
    let answer = write(&mut helper, &text, deadline).and_then(|()| read(&helper, deadline));
    let code = end(&helper, answer.is_ok().then_some(deadline))?;
    let answer = answer?;
    if code != 0 {
        return Err(io::Error::other(format!("exit code {code}")));
    }
    let unreadable = |error: serde_json::Error| format!("no answer (line {}, column {})", error.line(), error.column());
    serde_json::from_slice(&answer).map_err(|error| io::Error::other(unreadable(error)))
}

/// Variables that it gets as they are. Whatever else there is, `LD_PRELOAD` for one, may be somebody else's: hooks have
/// been run with the environment of a container (CVE-2025-23266), and this program is loaded by a dynamic loader.
const KEPT: [&str; 5] = ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

/// Whoever keeps the logins runs it, with nothing of another user's environment and little of this one's.
fn environment(keeper: &Keeper, site: &Site) -> Vec<CString> {
    let uid = match (keeper.user, site.whose) {
        (Some((uid, _)), _) | (None, Whose::User(uid)) => uid,
        (None, Whose::System) => 0,
    };
    let runtime = format!("/run/user/{uid}");
    let mut all: Vec<(OsString, OsString)> = match keeper.user {
        Some(_) => Vec::new(),
        None => KEPT.iter().filter_map(|name| Some((name.into(), env::var_os(name)?))).collect(),
    };
    all.retain(|(_, value)| !value.is_empty());
    for (name, value) in [
        ("HOME", keeper.home.as_os_str().to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={runtime}/bus").into()),
        ("XDG_RUNTIME_DIR", runtime.into()),
    ] {
        if !all.iter().any(|(other, _)| other == name) {
            all.push((name.into(), value));
        }
    }
    let line = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        CString::new(name.into_vec()).ok()
    };
    all.into_iter().filter_map(line).collect()
}

/// Hands the question over. It is longer than a socket holds only when it carries a sealed credential.
fn write(helper: &mut Helper, mut text: &[u8], deadline: Moment) -> io::Result<()> {
    let Some(input) = helper.input.take() else { return Ok(()) };
    while !text.is_empty() {
        wait(PollFd::new(&input, PollFlags::OUT), deadline)?;
        match rustix::net::send(&input, text, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => text = &text[count..],
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Everything the helper prints, up to the longest secret in JSON.
fn read(helper: &Helper, deadline: Moment) -> io::Result<Zeroizing<Vec<u8>>> {
    let longest = usize::try_from(LONGEST_SECRET * 6 + 1024).unwrap_or(usize::MAX);
    let mut all = Zeroizing::new(Vec::with_capacity(64 << 10));
    let mut piece = Zeroizing::new([0_u8; 16 << 10]);
    loop {
        wait(PollFd::new(&helper.output, PollFlags::IN), deadline)?;
        match rustix::io::read(&helper.output, &mut *piece) {
            Ok(0) => return Ok(all),
            Ok(count) if all.len() + count > longest => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(count) => {
                if all.len() + count > all.capacity() {
                    // Grown by hand, so that no copy is left behind.
                    let mut larger = Zeroizing::new(Vec::with_capacity(all.capacity() * 2 + count));
                    larger.extend_from_slice(&all);
                    all = larger;
                }
                all.extend_from_slice(&piece[..count]);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait(descriptor: PollFd<'_>, deadline: Moment) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Moment::now());
    let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    match poll(&mut [descriptor], Some(&left)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for the helper, which has closed its output, or ends it.
fn end(helper: &Helper, deadline: Option<Moment>) -> io::Result<i32> {
    while deadline.is_some_and(|deadline| Moment::now() < deadline) {
        if let Some(code) = helper.try_wait()? {
            return Ok(code);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    helper.kill();
    Ok(128)
}
