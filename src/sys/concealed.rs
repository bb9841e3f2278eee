//! Keeping what this process holds to itself, and having no more power than it needs.
//!
//! Everything here is undone for the program that is executed next: a program that can be read is dumpable again
//! (`execve(2)`), [`super::exec`] and [`super::supervise`] give the limit on core files back, and root gets its
//! capabilities back from the bounding set (`capabilities(7)`), which is left alone.

use std::sync::OnceLock;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet};

/// The soft limit on core files that this process was given.
static CORE: OnceLock<Option<u64>> = OnceLock::new();

/// From here on no other process of this user can read or debug this one, and it leaves no core file.
pub fn conceal() {
    let limit = CORE.get_or_init(|| rustix::process::getrlimit(Resource::Core).current);
    // Where dumping is switched off, a handler in `core_pattern` is not called either; the limit is for kernels
    // with `fs.suid_dumpable` set, which may switch it on again.
    stay_concealed();
    if *limit != Some(0) {
        limit_core(Some(0));
    }
}

/// Once more, after a change of identity: the kernel then sets what `fs.suid_dumpable` says.
pub(super) fn stay_concealed() {
    if CORE.get().is_some() {
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Gives the limit on core files back while `work` starts another program.
pub(super) fn with_given_limits<T>(work: impl FnOnce() -> T) -> T {
    let given = CORE.get().copied().filter(|limit| *limit != Some(0));
    if let Some(limit) = given {
        limit_core(limit);
    }
    let done = work();
    if given.is_some() {
        limit_core(Some(0));
    }
    done
}

fn limit_core(current: Option<u64>) {
    let maximum = rustix::process::getrlimit(Resource::Core).maximum;
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current, maximum });
}

/// What root still has to do, as the capabilities that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Deliver: files and mountpoints of other owners, mounts, asking a helper as whoever keeps the logins. A helper
    /// has no more than this; `sudo` and `su` want to write to the kernel's audit log.
    Deliver,
    /// Take away what was delivered.
    CleanUp,
    /// Read files.
    Read,
}

impl Need {
    fn capabilities(self) -> CapabilitySet {
        let read = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        let clean_up = read
            | CapabilitySet::FOWNER
            | CapabilitySet::SETUID
            | CapabilitySet::SETGID
            // `umount`.
            | CapabilitySet::SYS_ADMIN;
        match self {
            Self::Read => read,
            Self::CleanUp => clean_up,
            Self::Deliver => {
                clean_up
                    | CapabilitySet::CHOWN
                    | CapabilitySet::FSETID
                    | CapabilitySet::KILL
                    | CapabilitySet::AUDIT_WRITE
                    // A container's namespaces, and a map of users for mounts (`setns(2)`, `user_namespaces(7)`).
                    | CapabilitySet::SYS_CHROOT
                    | CapabilitySet::SYS_PTRACE
                    | CapabilitySet::SETFCAP
            }
        }
    }
}

/// Gives up every capability that is not for `need`. Only where the program executed next has them again: as root,
/// and with root's usual privileges. What is inheritable stays, for with it goes what is ambient.
pub fn keep_only(need: Need) {
    let is_root = rustix::process::getuid().is_root() && rustix::process::geteuid().is_root();
    let usual = CapabilitiesSecureBits::NO_ROOT;
    if !is_root || !rustix::thread::capabilities_secure_bits().is_ok_and(|bits| !bits.intersects(usual)) {
        return;
    }
    let Ok(mut sets) = rustix::thread::capabilities(None) else { return };
    let kept = need.capabilities() | sets.inheritable;
    sets.permitted &= kept;
    sets.effective &= kept;
    let _ = rustix::thread::set_capabilities(None, sets);
}

/// No program that this one executes gets more privileges than it has. For good: not for a program that executes an
/// OCI runtime.
pub fn gain_nothing() {
    let _ = rustix::thread::set_no_new_privs(true);
}
