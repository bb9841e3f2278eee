//! What happens while a sandbox lives, and after.
//!
//! In: the ledger's records. [`sync`] brings what has changed in the store into running containers,
//! [`revoke`] takes it away, [`sweep`] removes what is left of containers that are gone. What can go
//! wrong: a file that belongs to another user namespace, a container that ends meanwhile.

mod agent_file;
mod env;
pub mod in_place;
mod revoke;
mod sweep;
mod sync;
mod token_end;

pub use revoke::{Revoked, revoke};
pub use sweep::{Swept, sweep};
pub use sync::{Change, Synced, sync};

/// Why a running container could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error("{path}: {source}{}", hint(.source))]
    Io {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The credential could not be found or rendered.
    #[error(transparent)]
    Pipeline(#[from] crate::pipeline::Error),
    /// A file needs a new mount, and the container's process is not known.
    #[error("{0} has outgrown its page and the container's process is not known; restart the container")]
    Restart(String),
    /// The credential is now of a kind that is delivered otherwise.
    #[error(
        "the credential is of another kind now and needs {0}, which the container was made without; recreate the container"
    )]
    OtherKind(String),
    /// A part of the old credential would stay.
    #[error(
        "the credential is of another kind now, and {0} would keep the old one; recreate the container, or take the old one away with `keyslip revoke`"
    )]
    LeftBehind(String),
    /// A new mount could not be made.
    #[error(transparent)]
    Mount(crate::deliver::Error),
    /// It may not be changed without a line about it.
    #[error(transparent)]
    Audit(#[from] crate::audit::Error),
    /// The record could not be written.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "; for rootless containers run this inside `podman unshare`",
        _ => "",
    }
}

/// Names the file in an error.
fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error + use<'_> {
    move |source| Error::Io { path: path.to_owned(), source }
}
