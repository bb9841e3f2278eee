//! Who holds what.
//!
//! Below the runtime directory, which is a tmpfs:
//!
//! ```text
//! sandbox/<xx>/<id>/   one directory a container: record.json, and what is delivered to it
//!     record.json      who asked, what was delivered; fingerprints, never values
//!     env              variables for processes started later
//!     secrets/         mounted at /run/secrets
//!     files/           mounted below the home directory, one by one
//!     bundle/          the private bundle, for runtimes that read one
//! index/<hash>         a link from (runtime, --root, container id) to the id
//! use/<hash>/          a mountpoint that was made, and a link for every container that uses it
//! claim/<hash>         a link from a file in a volume to the id of the container that has it
//! share/<id>/          mounts of what is shared from the host's configuration directory
//! request/             its entries, bind-mounted, are requests
//! ```
//!
//! In: a plan that was carried out. Out: answers to "which directory is this container's", "is it
//! still alive", "what is left over". What can go wrong: a full or missing tmpfs.

mod alive;
mod fingerprint;
mod index;
mod reap;
mod record;
mod root;
mod shared;
mod uses;

pub use alive::{Liveness, Process, ask_process, liveness};
pub use fingerprint::Fingerprinter;
pub use index::Key;
pub use reap::{YOUNG, clean_up, is_young, reap_some};
pub use record::{AgentRecord, FileRecord, Phase, Record, SecretRecord, Status};
pub use root::effective_root;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::sys;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The runtime directory would put secrets on a disk.
    #[error(
        "{0} is not on a tmpfs, and Keyslip writes secrets to nothing else; as root run `keyslip install tmpfs`; for a user, /run/user/UID must be a tmpfs, as systemd-logind makes it"
    )]
    NotInMemory(PathBuf),
    /// Somebody else made the runtime directory.
    #[error("{path} belongs to uid {uid}; remove it, Keyslip makes its own")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Whether something is simply not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What was found, and what keeps from knowing whether it is all.
#[derive(Debug)]
pub struct Found<T> {
    /// What there is.
    pub found: Vec<T>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

/// What is in the directory `dir`. One that is missing is empty.
fn list(dir: &Path, problems: &mut Vec<Error>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let read = fs::read_dir(dir).and_then(|mut entries| {
        entries.try_for_each(|entry| {
            found.push(entry?.path());
            Ok(())
        })
    });
    problems.extend(read.map_err(Error::io(dir)).err().filter(|error| !error.is_missing()));
    found
}

/// Whether there is something, or nobody can tell.
fn exists(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The result of a removal, which a second one comes too late for.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// The random name of a container's directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxId(String);

impl SandboxId {
    /// A new one: 128 random bits.
    ///
    /// # Errors
    /// When the kernel has no random numbers yet.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0_u8; 16];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// As text: 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SandboxId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let fits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if fits { Ok(Self(text)) } else { Err("a sandbox id is 32 hexadecimal digits") }
    }
}

impl From<SandboxId> for String {
    fn from(id: SandboxId) -> Self {
        id.0
    }
}

/// The ledger of one runtime directory.
#[derive(Clone, Debug)]
pub struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// The ledger below `runtime`; nothing is touched.
    #[must_use]
    pub fn at(runtime: &Path) -> Self {
        Self { dir: runtime.to_owned() }
    }

    /// Where a container's directory is.
    #[must_use]
    pub fn sandbox(&self, id: &SandboxId) -> PathBuf {
        self.shard(id).join(id.as_str())
    }

    /// Whether a container has a directory, or nobody can tell.
    fn knows(&self, id: &SandboxId) -> bool {
        exists(&self.sandbox(id))
    }

    /// Containers are spread over 256 directories, so that looking at a few stays cheap.
    fn shard(&self, id: &SandboxId) -> PathBuf {
        self.dir.join("sandbox").join(&id.as_str()[..2])
    }

    /// Makes the runtime directory, private to this user and in memory.
    ///
    /// # Errors
    /// When it cannot be made, is not on a tmpfs, or belongs to somebody else.
    pub fn make(&self) -> Result<(), Error> {
        let about = match fs::symlink_metadata(&self.dir) {
            Ok(about) => about,
            Err(_) => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(Error::io(&self.dir))?;
                fs::symlink_metadata(&self.dir).map_err(Error::io(&self.dir))?
            }
        };
        if about.uid() != rustix::process::geteuid().as_raw() || !about.is_dir() {
            return Err(Error::Foreign { path: self.dir.clone(), uid: about.uid() });
        }
        if about.mode() & 0o077 != 0 {
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs::set_permissions(&self.dir, private).map_err(Error::io(&self.dir))?;
        }
        if !sys::is_memory_backed(&self.dir).map_err(Error::io(&self.dir))? {
            return Err(Error::NotInMemory(self.dir.clone()));
        }
        Ok(())
    }

    /// Makes the directory of a new container.
    ///
    /// # Errors
    /// When the tmpfs is full or missing.
    pub fn make_sandbox(&self, id: &SandboxId) -> Result<PathBuf, Error> {
        let path = self.sandbox(id);
        let make = || fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        // Another container's end may have removed the directory above in between.
        make().or_else(|_| make()).map_err(Error::io(&path))?;
        Ok(path)
    }

    /// Holds a container's directory until the result is dropped: it is being made, or run in the
    /// foreground. The kernel lets go when the process ends, however it ends.
    #[must_use]
    pub fn hold(&self, id: &SandboxId) -> Option<File> {
        let dir = File::open(self.sandbox(id)).ok()?;
        rustix::fs::flock(&dir, FlockOperation::LockExclusive).ok()?;
        Some(dir)
    }

    /// Whether somebody holds the directory `sandbox`, or nobody can tell.
    #[must_use]
    pub fn is_held(&self, sandbox: &Path) -> bool {
        match File::open(sandbox) {
            Ok(dir) => rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive).is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Keeps others from changing what a container holds until the result is dropped.
    #[must_use]
    pub fn change(&self, id: &SandboxId) -> Option<File> {
        let dir = File::open(self.sandbox(id).join("secrets")).ok()?;
        rustix::fs::flock(&dir, FlockOperation::LockExclusive).ok()?;
        Some(dir)
    }

    /// Every container's record. What is missing is passed over: it is being made or removed.
    #[must_use]
    pub fn records(&self) -> Found<Record> {
        let Found { found, mut problems } = self.sandboxes();
        let read = found.iter().map(|path| Record::read(path)).filter_map(|record| match record {
            Ok(record) => Some(record),
            Err(error) => {
                problems.extend((!error.is_missing()).then_some(error));
                None
            }
        });
        Found { found: read.collect(), problems }
    }

    /// Where login programs have directories of their own, each named by the process that runs one.
    #[must_use]
    pub fn logins(&self) -> PathBuf {
        self.dir.join("login")
    }

    /// Removes the directories of logins that were killed: they may hold a refresh token.
    pub fn remove_logins(&self) {
        for entry in fs::read_dir(self.logins()).into_iter().flatten().flatten() {
            let running = Path::new("/proc").join(entry.file_name()).exists();
            if !running || entry.file_name() == *std::process::id().to_string() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Every container's directory.
    #[must_use]
    pub fn sandboxes(&self) -> Found<PathBuf> {
        let mut problems = Vec::new();
        let shards = list(&self.dir.join("sandbox"), &mut problems);
        let found = shards.iter().flat_map(|shard| list(shard, &mut problems)).collect();
        Found { found, problems }
    }
}
