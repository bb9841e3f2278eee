//! A set of replacements in one text.

use std::ops::Range;

use zeroize::Zeroizing;

#[derive(Debug)]
struct Edit {
    place: Range<usize>,
    with: Zeroizing<Vec<u8>>,
}

/// Replacements and insertions, applied together.
#[derive(Debug, Default)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// Puts `with` where `place` is now.
    pub fn replace(&mut self, place: Range<usize>, with: impl Into<Vec<u8>>) {
        self.0.push(Edit { place, with: Zeroizing::new(with.into()) });
    }

    /// Puts `with` before the byte at `at`; several insertions at one place keep their order.
    pub fn insert(&mut self, at: usize, with: impl Into<Vec<u8>>) {
        self.replace(at..at, with);
    }

    /// The text with all edits. The buffer is allocated once, so no copy of a secret stays behind.
    ///
    /// # Panics
    /// When two edits overlap: an error in this program.
    #[must_use]
    pub fn apply(&self, text: &str) -> Zeroizing<Vec<u8>> {
        let mut order: Vec<&Edit> = self.0.iter().collect();
        order.sort_by_key(|edit| edit.place.start);
        let added: usize = order.iter().map(|edit| edit.with.len()).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(text.len() + added));
        let mut from = 0;
        for edit in order {
            assert!(edit.place.start >= from, "overlapping edits");
            out.extend_from_slice(&text.as_bytes()[from..edit.place.start]);
            out.extend_from_slice(&edit.with);
            from = edit.place.end;
        }
        out.extend_from_slice(&text.as_bytes()[from..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_outside_the_edits_is_kept() {
        let mut edits = Edits::default();
        edits.insert(3, "X");
        edits.replace(0..1, "ABC");
        edits.insert(3, "Y");
        assert_eq!(edits.apply("abcdef").as_slice(), b"ABCbcXYdef");
    }
}
