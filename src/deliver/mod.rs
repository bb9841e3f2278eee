//! Put it where the agent looks.
//!
//! In: what was found and how the agents take it (an [`Order`]), and the specification. Out: a
//! [`Plan`], made without touching anything and printable without a value; then its execution, in
//! order, with everything undone in reverse when a step fails. What can go wrong: two requests for
//! one file or variable, a destination that is taken or leads nowhere, a full tmpfs.

mod carry_out;
mod home;
pub mod into_container;
mod launcher;
mod mountpoint;
mod order;
mod owner;
mod place;
mod plan;
mod secrets;
mod shadows;
mod shared;
mod tree;

pub use carry_out::carry_out;
pub use mountpoint::{Kind, Mountpoint};
pub use order::{AgentOrder, HostDir, Order, SecretOrder};
pub use owner::Owner;
pub use plan::{Claim, Context, EnvWay, Plan, PlannedFile, TOO_LATE, plan};
pub use shared::PlannedShare;
pub use tree::{Base, Found, Place, Tree};

use std::path::PathBuf;

/// Why nothing is delivered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path of the container leads nowhere.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
    /// A user that the container does not have.
    #[error("user {0:?} is not in the container's /etc/passwd; name another one in dev.keyslip.user, or a number")]
    UnknownUser(String),
    /// A list of users that is too long to be read.
    #[error(
        "the container's /etc/passwd is longer than a megabyte and its beginning does not name the user; set HOME in the container"
    )]
    LongPasswd,
    /// An id outside of the container's user namespace.
    #[error("{what} {id} is not mapped in the container's user namespace")]
    Unmapped {
        /// `uid` or `gid`.
        what: &'static str,
        /// The id.
        id: u32,
    },
    /// A home directory that no mount can be made below.
    #[error(
        "the home directory {0:?} of the container's user cannot be used: it must be an absolute path without control characters"
    )]
    BadHome(PathBuf),
    /// Two things want one variable.
    #[error("{one} and {two} both want the variable {name}; ask for one of them")]
    TwoForVariable {
        /// The variable.
        name: String,
        /// Who.
        one: String,
        /// Who else.
        two: String,
    },
    /// Two things want one path.
    #[error("{one} and {two} both want {path} in the container; ask for one of them")]
    TwoForPath {
        /// The path.
        path: PathBuf,
        /// Who.
        one: String,
        /// Who else.
        two: String,
    },
    /// A path is taken by a mount of the container's own.
    #[error("{path} in the container is taken by a mount of its own; {what} cannot go there")]
    Taken {
        /// The path.
        path: PathBuf,
        /// What should go there.
        what: String,
    },
    /// A path is not what a mount can be put on.
    #[error("{path} in the container {reason}; {what} cannot go there")]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What should go there.
        what: String,
    },
    /// A variable would be used in place of the credential, or send it away.
    #[error("{0}; on_shadow = \"fail\" in the configuration forbids it")]
    Shadowed(String),
    /// The launcher cannot be put in front of nothing.
    #[error("the container has no command in process.args that the launcher could be put in front of")]
    NoCommand,
    /// The launcher is missing.
    #[error("the launcher {0} is missing; install Keyslip again")]
    NoLauncher(PathBuf),
    /// The mount calls are missing.
    #[error(
        "this kernel, or a filter of system calls, lacks one that mounts from outside need (openat2, open_tree, move_mount, mount_setattr, fsopen: Linux 5.12); use the shim"
    )]
    OldKernel,
    /// There is no process whose namespace could be entered.
    #[error("the container's first process is not known; this hook belongs to createRuntime or prestart")]
    NoProcess,
    /// A mount could not be made.
    #[error("cannot mount on {place} in the container: {source}")]
    Mount {
        /// Where.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// A step failed.
    #[error("{path}: {source}{}", hint(.source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull => "; the tmpfs is full: end containers, or make it larger",
        std::io::ErrorKind::ReadOnlyFilesystem => {
            "; a mountpoint that does not exist cannot be made there: add it to the image"
        }
        std::io::ErrorKind::PermissionDenied => "; the container's user may not write there",
        _ => "",
    }
}
