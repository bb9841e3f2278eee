//! Points in time, RFC 3339 in files and whole seconds inside.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

/// Seconds in a day.
pub const DAY: i64 = 86_400;

impl Instant {
    /// Now, by the clock of the host.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    /// Reads `2026-03-19T21:00:00Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|at| Self(at.unix_timestamp()))
    }

    /// Seconds from `earlier` to this point; negative when it lies before.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp(self.0).ok().and_then(|at| at.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("9999-12-31T23:59:59Z"))
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time of the form 2026-03-19T21:00:00Z"))
    }
}

/// `364d`, `7h25m`, `12m`, `40s`: how long something still lasts.
#[must_use]
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / DAY, seconds % DAY / 3600, seconds % 3600 / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, ..) => format!("{days}d"),
    }
}

/// `7h25m0s`, `40s`: to the second, for a log.
#[must_use]
pub fn exact(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_a_round_trip() {
        let at = Instant::parse("2026-03-19T21:00:00Z").unwrap();
        assert_eq!(at.to_string(), "2026-03-19T21:00:00Z");
        assert_eq!(Instant::parse("2026-03-19T22:00:00+01:00"), Some(at));
        assert_eq!(Instant::parse("yesterday"), None);
    }

    #[test]
    fn spans_read_like_a_person_says_them() {
        assert_eq!(span(26_700), "7h25m");
        assert_eq!(span(365 * DAY), "365d");
        assert_eq!(span(-5), "0s");
        assert_eq!((exact(26_700), exact(59), exact(61)), ("7h25m0s".to_owned(), "59s".to_owned(), "1m1s".to_owned()));
    }
}
