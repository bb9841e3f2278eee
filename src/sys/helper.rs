//! Starting another program of ours, to be asked something, as whoever it shall be.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};

use super::exec::pointers;

/// A program that was started.
#[derive(Debug)]
pub struct Helper {
    /// What it reads.
    pub input: Option<OwnedFd>,
    /// What it prints.
    pub output: OwnedFd,
    pid: libc::pid_t,
    /// What was to be done about children that end.
    before: libc::sighandler_t,
}

/// Starts `program` with these arguments and this environment and nothing else; with `user`, as that uid
/// and gid and with no other group. It has a session of its own: who has a terminal can type into it
/// (`TIOCSTI`), and this terminal may be root's.
///
/// # Errors
/// When there are no more processes or descriptors. That the program is missing shows in its end: 127.
pub fn start_helper(program: &CStr, argv: &[&CStr], env: &[&CStr], user: Option<(u32, u32)>) -> io::Result<Helper> {
    // A pipe whose reader is gone would end this program by SIGPIPE, which is left as it was handed over.
    let (stdin, input) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let (output, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: sets a disposition to its default; no handler runs. Whoever started this program may have it
    // ignored, and then nobody can be waited for, by this program or by the other one.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // SAFETY: this program has one thread; the child calls only what is safe after a fork. Program,
    // arguments and environment are NUL-terminated and outlive it; both vectors end with null.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above; the descriptors are open.
        unsafe {
            // What it starts may not become somebody else either.
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let ready = libc::setsid() == libc::getpid()
                && user.is_none_or(|(uid, gid)| {
                    libc::setgroups(0, std::ptr::null()) == 0
                        && libc::setresgid(gid, gid, gid) == 0
                        && libc::setresuid(uid, uid, uid) == 0
                })
                && libc::dup2(stdin.as_raw_fd(), 0) == 0
                && libc::dup2(stdout.as_raw_fd(), 1) == 1
                && libc::dup2(null.as_raw_fd(), 2) == 2;
            if ready {
                // What the engine has open is not for it; where this is missing it is marked to be
                // closed, or the engine's own.
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
                libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr());
            }
            libc::_exit(127)
        }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Helper { input: Some(input), output, pid, before })
}

impl Drop for Helper {
    fn drop(&mut self) {
        // SAFETY: puts back what was there; this program installs no handlers.
        unsafe { libc::signal(libc::SIGCHLD, self.before) };
    }
}

impl Helper {
    /// How it ended, if it has: an exit code, or 128 and the signal.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_wait(&self) -> io::Result<Option<i32>> {
        self.wait_with(libc::WNOHANG)
    }

    /// Ends it, with what it has started in its group, and waits for it.
    pub fn kill(&self) {
        // SAFETY: our child, which has not been waited for, and its group; it may not lead one yet.
        unsafe {
            libc::kill(-self.pid, libc::SIGKILL);
            libc::kill(self.pid, libc::SIGKILL);
        }
        let _ = self.wait_with(0);
    }

    /// Ends it, and does not wait: it may be in a call that cannot be ended.
    pub fn abandon(&self) {
        // SAFETY: our child, which has not been waited for, or one that has and gives ESRCH.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    fn wait_with(&self, flags: libc::c_int) -> io::Result<Option<i32>> {
        let mut status = 0;
        // SAFETY: `status` is a valid place.
        match unsafe { libc::waitpid(self.pid, &raw mut status, flags) } {
            0 => Ok(None),
            pid if pid == self.pid && libc::WIFEXITED(status) => Ok(Some(libc::WEXITSTATUS(status))),
            pid if pid == self.pid => Ok(Some(128 + libc::WTERMSIG(status))),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
