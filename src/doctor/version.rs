//! Versions, as runtimes and engines say them, in an order.

use std::cmp::Ordering;
use std::fmt;

/// Numbers, and whether it comes before the release that they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: Vec<u64>,
    /// Of a release candidate `-rc.3`, the 3.
    candidate: Option<u64>,
}

impl Version {
    /// Reads `1.1.5+ds1`, `1.4.0-rc.2`, `1.20`, `26.1.5+dfsg1`, `1.6.20~ds1`; what a distribution adds is
    /// left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let numbers: Option<Vec<u64>> =
            numbers.trim_end_matches('.').split('.').map(|number| number.parse().ok()).collect();
        let candidate = rest.strip_prefix("-rc").map(|rest| {
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().unwrap_or(0)
        });
        Some(Self { numbers: numbers?, candidate })
    }

    /// The first word of `text` that is a version with a dot in it.
    #[must_use]
    pub fn find(text: &str) -> Option<(Self, &str)> {
        text.split_ascii_whitespace()
            .map(|word| word.trim_end_matches(','))
            .filter(|word| word.contains('.'))
            .find_map(|word| Some((Self::parse(word)?, word)))
    }

    /// One of its numbers; 0 where it has none.
    #[must_use]
    pub fn number(&self, place: usize) -> u64 {
        self.numbers.get(place).copied().unwrap_or(0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let most = self.numbers.len().max(other.numbers.len());
        let numbers = (0..most).map(|place| self.number(place).cmp(&other.number(place)));
        numbers.fold(Ordering::Equal, Ordering::then).then_with(|| match (self.candidate, other.candidate) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => one.cmp(&two),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        self.candidate.map_or(Ok(()), |number| write!(f, "-rc.{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_have_an_order() {
        let sorted =
            ["1.1.5+ds1", "1.1.12", "1.2.0-rc.1", "1.2.0-rc.3", "1.2.0", "1.4.0-rc.2", "1.4.0", "1.20", "26.1.5+dfsg1"];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.20"), version("v1.20"));
        assert_eq!(version("1.20").cmp(&version("1.20.0")), Ordering::Equal);
        assert_eq!(version("1.4.0-rc3").to_string(), "1.4.0-rc.3");
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let found = |text| Version::find(text).map(|(version, word)| (version.to_string(), word.to_owned()));
        let pair = |version: &str, word: &str| Some((version.to_owned(), word.to_owned()));
        assert_eq!(found("runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1"), pair("1.1.5", "1.1.5+ds1"));
        assert_eq!(found("Docker version 20.10.24+dfsg1, build 5d6db84"), pair("20.10.24", "20.10.24+dfsg1"));
        assert_eq!(found("containerd github.com/containerd/containerd 1.6.20~ds1 x"), pair("1.6.20", "1.6.20~ds1"));
        assert_eq!(found("no version"), None);
    }
}
