//! The last characters of a credential, by which a client remembers that it may be used: Claude Code 2.1.197 asks
//! before it uses an API key in a terminal, unless the last 20 characters of the key are in its settings.
//!
//! In: a credential. Out: its end, as long as that tells nobody the rest. It is a part of a secret, so it is in
//! files of a tmpfs alone, which only the agent's user may read; `lifetime` replaces or blanks it there.

use crate::secret::Secret;

/// The end of a credential: ASCII, and in JSON the same as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEnd(Secret);

impl TokenEnd {
    /// What stands for it in settings.
    pub const PLACE: &str = "{{token_end_20}}";
    /// Its length in characters.
    pub const LENGTH: usize = 20;
    /// A shorter credential would be given away by its end.
    const SHORTEST: usize = 2 * Self::LENGTH;

    /// The end of a credential; nothing where it is too short, or not made of letters, digits, `-` and `_`.
    #[must_use]
    pub fn of(credential: &Secret) -> Option<Self> {
        let text = credential.expose().trim_ascii_end();
        let end = &text[text.len().checked_sub(Self::LENGTH).filter(|_| text.len() >= Self::SHORTEST)?..];
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        end.iter().all(plain).then(|| Self(Secret::new(end.to_vec())))
    }

    /// What takes its place when there is none any more.
    #[must_use]
    pub fn blank() -> Self {
        Self(Secret::new(vec![b' '; Self::LENGTH]))
    }

    /// Its characters.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_text().unwrap_or_default()
    }

    /// As a string of JSON.
    #[must_use]
    pub fn quoted(&self) -> Secret {
        let mut out = Vec::with_capacity(Self::LENGTH + 2);
        out.push(b'"');
        out.extend_from_slice(self.0.expose());
        out.push(b'"');
        Secret::new(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_key_is_its_last_twenty_characters() {
        let key = Secret::from_text("sk-ant-api03-FAKE-0123456789-abcdefghij_KLMNOPQRS\n");
        assert_eq!(TokenEnd::of(&key).unwrap().expose(), "abcdefghij_KLMNOPQRS");
        assert!(!format!("{:?}", TokenEnd::of(&key)).contains("KLMN"));
    }

    #[test]
    fn a_short_key_or_an_odd_one_has_no_end_to_be_shown() {
        for key in ["", "sk-ant-api03-FAKE", &"x".repeat(39), &format!("{}\"", "x".repeat(60)), &"\u{e9}".repeat(60)] {
            assert_eq!(TokenEnd::of(&Secret::from_text(key)), None, "{key}");
        }
        assert!(TokenEnd::of(&Secret::from_text(&"x".repeat(40))).is_some());
    }
}
