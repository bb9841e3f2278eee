//! What a program wrote to its standard error, fit to be shown in a message.
//!
//! In: its standard error and its standard output. Out: the first line, short, without control
//! characters, and without anything that is or may be a credential: a program that fails with a
//! request or an answer in its message must not put the token into a log. What can go wrong: a
//! credential that looks like a common word and that the program did not print is not known for one.

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest line shown, in characters.
const LONGEST: usize = 200;

/// Words of the standard output that are at least so long do not show up, in bytes.
const KNOWN: usize = 6;

/// Tokens are at least so long, in bytes. Words for people are shorter, or have no digits.
const TOKEN: usize = 20;

/// What stands for something that is not shown.
const HIDDEN: &str = "[...]";

/// The first line of `stderr` that says something. Nothing that is in `stdout` is in it.
pub(super) fn shown(stderr: &Secret, stdout: &Secret) -> String {
    let text = Zeroizing::new(String::from_utf8_lossy(stderr.expose()).into_owned());
    let Some(line) = text.lines().find(|line| !line.trim().is_empty()) else { return String::new() };
    let mut line = Zeroizing::new(line.trim().chars().filter(|c| !c.is_control()).collect::<String>());
    let printed = Zeroizing::new(String::from_utf8_lossy(stdout.expose()).into_owned());
    for word in printed.split(|c: char| c.is_whitespace() || c.is_control() || c == '"') {
        if word.len() >= KNOWN && line.contains(word) {
            line = Zeroizing::new(line.replace(word, HIDDEN));
        }
    }
    let masked = without_tokens(&line);
    let mut short: String = masked.chars().take(LONGEST).collect();
    if short.len() < masked.len() {
        short.push('…');
    }
    short
}

/// `line` with everything hidden that looks like a token.
fn without_tokens(line: &str) -> Zeroizing<String> {
    let mut result = Zeroizing::new(String::with_capacity(line.len()));
    let mut rest = line;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_token_character(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(length);
        result.push_str(if looks_like_token(run) { HIDDEN } else { run });
        let other = after.find(is_token_character).unwrap_or(after.len());
        result.push_str(&after[..other]);
        rest = &after[other..];
    }
    result
}

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+/=~".contains(c)
}

/// Long, with letters and digits. Paths may have both, but seldom lower and upper case besides.
fn looks_like_token(run: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| run.as_bytes().iter().any(kind);
    run.len() >= TOKEN
        && has(u8::is_ascii_digit)
        && if run.contains('/') {
            has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
        } else {
            has(u8::is_ascii_alphabetic)
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stderr: &str, stdout: &str) -> String {
        shown(&Secret::from_text(stderr), &Secret::from_text(stdout))
    }

    #[test]
    fn the_first_line_that_says_something() {
        assert_eq!(
            of("\n  \nno value at secret/keyslip/claude2/work\nmore\n", ""),
            "no value at secret/keyslip/claude2/work"
        );
        assert_eq!(of("", "x"), "");
        assert_eq!(of("a\x1b[31mred\x07\x00", ""), "a[31mred");
    }

    #[test]
    fn what_was_printed_is_not_shown() {
        assert_eq!(of("refused: swordfish", "{\"credential\": \"swordfish\"}"), "refused: [...]");
        assert_eq!(of("refused: sword\x1bfish", "swordfish\n"), "refused: [...]");
    }

    #[test]
    fn what_looks_like_a_token_is_not_shown() {
        for token in [
            "sk-ant-oat01-FAKE-0123456789",
            "hvs.CAESIFAKE0123456789FAKE0123456789",
            "eyJhbGciOiJub25lIn0FAKE1.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-signature-0123456789",
            "aGVsbG8/FAKE+0123456789abcdef==",
        ] {
            let said = of(&format!("403 for Authorization: Bearer {token}, try again"), "");
            assert!(!said.contains("0123456789"), "{said}");
            assert!(said.starts_with("403 for Authorization: Bearer ") && said.ends_with(", try again"), "{said}");
        }
        let harmless = "Get \"https://vault-01.example.internal:8200/v1/secret\": x509: certificate has expired";
        assert_eq!(of(harmless, ""), harmless);
    }

    #[test]
    fn a_long_line_is_cut() {
        assert_eq!(of(&"word ".repeat(100), "").chars().count(), 201);
        // Hidden first, cut afterwards: half a token would not be known for one.
        let said = of(&format!("{}sk-ant-oat01-FAKE-0123456789", "word ".repeat(38)), "");
        assert!(!said.contains("sk-ant"), "{said}");
    }
}
