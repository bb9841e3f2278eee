//! Where a credential can rest besides Keyslip's own file.
//!
//! In: a name and, to store, a credential. Out: the credential, or that there is none, which is never
//! said when a place could not be looked at. What can go wrong: the place is locked, was never set up,
//! belongs to somebody else, does not answer, or answers nonsense. Nothing here asks the user, and
//! nothing waits longer than its limit.
//!
//! * [`keyring`]: the Secret Service of the session bus (GNOME Keyring, KWallet, KeePassXC).
//! * [`keychain`]: the macOS keychain, through the program `security`.
//! * [`encrypted`]: sealed with the host's key or its TPM by `systemd-creds`.
//! * [`command`]: a program of the operator's choice, the credential helper.

mod bus;
pub mod command;
mod complaint;
pub mod encrypted;
pub mod keychain;
pub mod keyring;
pub(crate) mod process;

pub use process::Error as ProcessError;
