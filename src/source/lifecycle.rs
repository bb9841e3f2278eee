//! Valid, expiring, expired.

use crate::clock::{DAY, Instant};

/// With fewer days left a token is used with a warning.
pub const EXPIRING_DAYS: i64 = 30;

/// Where in its life a credential is; spans in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Good; `left` is unknown for one that does not end.
    Valid {
        /// How long it still lasts.
        left: Option<i64>,
    },
    /// Good, but renew it.
    Expiring {
        /// How long it still lasts.
        left: i64,
    },
    /// Of no use.
    Expired {
        /// How long ago.
        since: i64,
    },
}

impl Life {
    /// The life of something that ends at `expires`.
    #[must_use]
    pub fn of(expires: Option<Instant>, now: Instant) -> Self {
        match expires.map(|end| end.since(now)) {
            None => Self::Valid { left: None },
            Some(left) if left <= 0 => Self::Expired { since: -left },
            Some(left) if left < EXPIRING_DAYS * DAY => Self::Expiring { left },
            Some(left) => Self::Valid { left: Some(left) },
        }
    }

    /// Seconds left, if it ends at all.
    #[must_use]
    pub fn left(self) -> Option<i64> {
        match self {
            Self::Valid { left } => left,
            Self::Expiring { left } => Some(left),
            Self::Expired { .. } => Some(0),
        }
    }

    /// `valid`, `expiring`, `expired`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid { .. } => "valid",
            Self::Expiring { .. } => "expiring",
            Self::Expired { .. } => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_cycle_of_the_seed() {
        let now = Instant(1_000_000_000);
        let in_days = |days: i64| Life::of(Some(Instant(now.0 + days * DAY)), now).name();
        assert_eq!(in_days(365), "valid");
        assert_eq!(in_days(30), "valid");
        assert_eq!(in_days(29), "expiring");
        assert_eq!(in_days(0), "expired");
        assert_eq!(in_days(-1), "expired");
        assert_eq!(Life::of(None, now).name(), "valid");
    }
}
