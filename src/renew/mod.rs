//! Renew the logins whose refresh token Keyslip alone holds.
//!
//! In: a login of the store and the `refresh` part of its kind's definition. Out: the login with a new
//! access token, and mostly a new refresh token, written over the old one: an [`Outcome`]. What can go
//! wrong: the server has withdrawn the login, it cannot be reached, it says something of no use; the
//! store or the keyring cannot be written.
//!
//! A refresh token can often be used only once, and what comes back is the only way on. So
//!
//! - one process at a time renews a login, and looks again whether it is still to be renewed when its
//!   turn comes;
//! - signals that would end the process wait until the new login is written;
//! - the answer is put on the disk as it comes, beside the login (`source::Renewal`), before it is
//!   looked into, and the next attempt takes it up if this one is cut off. A login that rests in a
//!   keyring or encrypted is not put there in clear: it is sealed at once, and that sealing works is
//!   tried before the token is sent.
//!
//! What is left: a token that was spent while its answer never came is gone, and so is one whose process
//! is killed between reading the answer from the network and writing it, the next thing it does. The
//! server refuses the next attempt then, and somebody has to log in again.

mod grant;
mod http;
mod login;

pub use grant::{Renewed, renew};
pub use http::{Http, LONGEST_ANSWER, Limits};
pub use login::{Job, Outcome, one};

use crate::clock::Instant;
use crate::secret::Secret;
use crate::source::{Entry, Kept, StoreError};

/// A login is due with fewer seconds left. The timer runs every ten minutes, so there are two attempts
/// before the end of even a short life.
pub const LEAST_LEFT: i64 = 30 * 60;

/// Whether to renew a login now: less than a quarter of its life is left, or less than half an hour.
#[must_use]
pub fn is_due(entry: &Entry, now: Instant) -> bool {
    entry.expires.is_some_and(|end| end.since(now) < (end.since(entry.created) / 4).max(LEAST_LEFT))
}

/// Opens and seals logins that do not rest in their entry.
pub trait Vault {
    /// The login of `entry`.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    fn open(&self, entry: &Entry) -> Result<Secret, String>;

    /// Keeps `login` in place of that of `entry`, in the same way. It is called with the login as it is
    /// before the token is spent, and then with the new one; in a keyring both go into the same item.
    ///
    /// # Errors
    /// Why it cannot be kept, and what to do.
    fn seal(&self, entry: &Entry, login: &Secret) -> Result<Kept, String>;
}

/// A vault for logins that rest in their entries, and for no others.
#[derive(Clone, Copy, Debug, Default)]
pub struct InEntries;

impl Vault for InEntries {
    fn open(&self, entry: &Entry) -> Result<Secret, String> {
        Err(format!("it rests in another place ({})", entry.kept.backend()))
    }

    fn seal(&self, entry: &Entry, _: &Secret) -> Result<Kept, String> {
        Err(format!("it rests in another place ({})", entry.kept.backend()))
    }
}

/// Why a login was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The login is gone.
    #[error("{server} refuses the refresh token ({code}){}; log in again with `keyslip auth login`", cut_off(*.interrupted))]
    Refused {
        /// Which server.
        server: String,
        /// Its code.
        code: &'static str,
        /// When an attempt with the same token was cut off.
        interrupted: Option<Instant>,
    },
    /// The server does not know the client as the definition describes it.
    #[error("{server} does not take the request ({code}); the agent's definition is out of date: update Keyslip")]
    Client {
        /// Which server.
        server: String,
        /// Its code.
        code: &'static str,
    },
    /// The server fails.
    #[error("{server} answered with status {status} and no token; try again later")]
    Server {
        /// Which server.
        server: String,
        /// The status.
        status: u16,
    },
    /// The server sends us somewhere else.
    #[error(
        "{server} redirects (status {status}), which is not followed with a token in hand; check the definition's endpoint"
    )]
    Redirected {
        /// Which server.
        server: String,
        /// The status.
        status: u16,
    },
    /// The answer is of no use.
    #[error(
        "the answer of {server} {reason}; the token may have been used up: if the next attempt is refused, log in again"
    )]
    Answer {
        /// Which server.
        server: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no connection, or it was cut off.
    #[error("{server} cannot be reached: {reason}; {}", unanswered(*.sent))]
    Unreachable {
        /// Which server.
        server: String,
        /// What is wrong.
        reason: String,
        /// The token may have been sent.
        sent: bool,
    },
    /// It takes too long.
    #[error("{server} did not answer within {after} seconds; {}", unanswered(*.sent))]
    TimedOut {
        /// Which server.
        server: String,
        /// The limit for everything.
        after: u64,
        /// The token may have been sent.
        sent: bool,
    },
    /// The definition would send a token in clear.
    #[error("the endpoint {endpoint:?} is no https address, so no token is sent there; correct the agent's definition")]
    Insecure {
        /// The address.
        endpoint: String,
    },
    /// The definition does not say how.
    #[error("the agent's definition does not say how this kind of login is renewed")]
    NotRenewable,
    /// The login is not what its definition says.
    #[error("the login is not the JSON that the agent's definition describes; log in again with `keyslip auth login`")]
    Credential,
    /// There is nothing to renew it with.
    #[error("the login has no refresh token; log in again with `keyslip auth login`")]
    NoRefreshToken,
    /// The store cannot be used; nothing was sent.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place where the login rests cannot be used; nothing was sent.
    #[error("the login cannot be used: {0}")]
    Vault(String),
    /// The login was renewed, and the new one could not be kept.
    #[error("the login was renewed and cannot be kept: {reason}; {}", unsaved(*.noted))]
    Unsaved {
        /// Why.
        reason: String,
        /// The answer is in the store and is taken up by the next attempt.
        noted: bool,
    },
}

impl Error {
    /// Whether only a new login helps.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Credential | Self::NoRefreshToken | Self::Unsaved { noted: false, .. }
        )
    }
}

fn cut_off(interrupted: Option<Instant>) -> String {
    interrupted.map_or_else(String::new, |at| {
        format!(", which was sent before, at {at}, by an attempt that was cut off before the answer was kept")
    })
}

fn unanswered(sent: bool) -> &'static str {
    if sent {
        "the token was sent and may have been used up: if the next attempt is refused, log in again"
    } else {
        "nothing was sent; try again later"
    }
}

fn unsaved(noted: bool) -> &'static str {
    if noted {
        "the answer is kept beside it; mend that and run `keyslip auth refresh` again"
    } else {
        "the old refresh token is used up: mend that and log in again with `keyslip auth login`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(created: i64, expires: Option<i64>) -> Entry {
        let kept = Kept::Here(Secret::from_text("{}"));
        Entry { kept, created: Instant(created), expires: expires.map(Instant), renewable: true }
    }

    #[test]
    fn due_is_the_last_quarter_and_the_last_half_hour() {
        let eight_hours = entry(0, Some(8 * 3600));
        assert!(!is_due(&eight_hours, Instant(6 * 3600)));
        assert!(is_due(&eight_hours, Instant(6 * 3600 + 1)));
        assert!(is_due(&eight_hours, Instant(9 * 3600)), "it has expired");
        let one_hour = entry(0, Some(3600));
        assert!(!is_due(&one_hour, Instant(1800)));
        assert!(is_due(&one_hour, Instant(1801)));
        assert!(!is_due(&entry(0, None), Instant(i64::MAX)), "it does not expire");
    }
}
