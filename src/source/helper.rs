//! Asking `keyslip credential get`, as the keeper of the logins, with a limit of time.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant as Moment};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use super::keeper::Keeper;
use super::question::{Answer, Question};
use super::secret_file::LONGEST_SECRET;
use crate::site::{Site, Whose};

/// What the helper may take beyond the limit of what it asks itself.
const GRACE: Duration = Duration::from_secs(3);

/// Asks `question`. What goes wrong is an answer too: nobody can say.
pub fn ask(question: &Question, keeper: &Keeper, site: &Site) -> Answer {
    let Some(program) = program() else {
        return Answer::Unavailable("/proc/self/exe cannot be read, so the program keyslip is not found".to_owned());
    };
    ask_program(&program, question, keeper, site).unwrap_or_else(|error| {
        Answer::Unavailable(format!("{} credential get: {error}", program.display()))
    })
}

/// The program `keyslip`: beside this one, which knows its own place from the kernel.
fn program() -> Option<PathBuf> {
    let own = std::fs::read_link("/proc/self/exe").ok()?;
    Some(own.with_file_name("keyslip"))
}

fn ask_program(program: &Path, question: &Question, keeper: &Keeper, site: &Site) -> io::Result<Answer> {
    let deadline = Moment::now() + Duration::from_secs(question.limit()) + GRACE;
    let mut command = Command::new(program);
    command.args(["credential", "get"]).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A signal to the engine's process group is not meant for it.
    command.process_group(0);
    set_identity(&mut command, keeper, site);
    let mut child = command.spawn()?;
    let text = Zeroizing::new(serde_json::to_vec(question)?);
    let answer = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(&text))
        .and_then(|()| read_until(&mut child, deadline));
    let ended = end(&mut child, answer.is_ok().then_some(deadline));
    let answer = answer?;
    match ended? {
        status if status.success() => Ok(serde_json::from_slice(&answer)
            .map_err(|error| io::Error::other(format!("no answer (line {}, column {})", error.line(), error.column())))?),
        status => Err(io::Error::other(format!("{status}"))),
    }
}

/// Whoever keeps the logins runs it, with nothing of another user's environment.
fn set_identity(command: &mut Command, keeper: &Keeper, site: &Site) {
    let uid = match (keeper.user, site.whose) {
        (Some((uid, gid)), _) => {
            command.env_clear().uid(uid).gid(gid);
            uid
        }
        (None, Whose::User(uid)) => uid,
        (None, Whose::System) => 0,
    };
    let runtime = format!("/run/user/{uid}");
    let defaults: [(&str, OsString); 4] = [
        ("HOME", keeper.home.clone().into_os_string()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={runtime}/bus").into()),
        ("XDG_RUNTIME_DIR", runtime.into()),
    ];
    for (name, value) in defaults {
        if keeper.user.is_some() || env::var_os(name).is_none_or(|value| value.is_empty()) {
            command.env(name, value);
        }
    }
}

/// Everything the child prints, up to the longest secret in JSON.
fn read_until(child: &mut Child, deadline: Moment) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let longest = usize::try_from(LONGEST_SECRET * 6 + 1024).unwrap_or(usize::MAX);
    let mut all = Zeroizing::new(Vec::with_capacity(64 << 10));
    let mut piece = Zeroizing::new([0_u8; 16 << 10]);
    loop {
        let left = deadline.saturating_duration_since(Moment::now());
        let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&wait)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match stdout.read(&mut *piece)? {
            0 => return Ok(all),
            count if all.len() + count > longest => return Err(io::ErrorKind::FileTooLarge.into()),
            count => {
                if all.len() + count > all.capacity() {
                    // Grown by hand, so that no copy is left behind.
                    let mut larger = Zeroizing::new(Vec::with_capacity(all.capacity() * 2 + count));
                    larger.extend_from_slice(&all);
                    all = larger;
                }
                all.extend_from_slice(&piece[..count]);
            }
        }
    }
}

/// Waits for the child, which has closed its output, or ends it.
fn end(child: &mut Child, deadline: Option<Moment>) -> io::Result<ExitStatus> {
    while deadline.is_some_and(|deadline| Moment::now() < deadline) {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()
}
