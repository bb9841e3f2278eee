//! The credential in what a program prints.
//!
//! In: everything that a program prints in its terminal, in pieces of any size, and the terminal's size.
//! Out: the one credential that stood on the screen, or a [`Doubt`]. A terminal emulator draws the
//! screen, because the text alone says little: programs write a picture over the last one, leave out
//! what is there already, and separate words by moving the cursor. The screen is looked at when the
//! program rests, before it clears everything, and at the end; a shorter reading of what another look
//! shows longer is a torn one. What can go wrong: a line was cut or wrapped, and where it goes on is not
//! certain. A part of a credential is never returned; in doubt there is none.
//!
//! What was seen is held in [`Secret`]s. The emulator's own memory is the exception: `vt100` offers no
//! way to overwrite it. It holds a character a cell, never the value in one piece, and is freed before
//! the result is decided.

use vt100::{Callbacks, Parser};

use super::page::{self, Reading};
use crate::secret::Secret;

/// The emulator has at least so many rows. Programs move relative to where they are, so more than the
/// terminal has do no harm, and a credential of several lines has room.
const ROWS: u16 = 24;
const COLUMNS: u16 = 250;
/// Lines that have left the screen at its top.
const HISTORY: usize = 1000;
/// What programs believe that cannot find out.
const BELIEVED: u16 = 80;
/// More readings than this are no credential.
const READINGS: usize = 64;

/// Why no credential was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// None was there.
    #[error("the program printed no token; nothing was stored; run it again, or paste the token with `--method paste`")]
    Nothing,
    /// More than one was there.
    #[error(
        "the program printed several tokens; nothing was stored; run it again, or paste the right one with `--method paste`"
    )]
    Several,
    /// It may be longer than what was seen, or what follows it may be a part of it.
    #[error(
        "the token may have been cut where its line ends; nothing was stored; run it again in a wider terminal, or paste the token with `--method paste`"
    )]
    Cut,
    /// It ended in the middle of a line of its own, with the cursor behind it.
    #[error(
        "the program ended while it printed the token; nothing was stored; run it again, or paste the token with `--method paste`"
    )]
    Unfinished,
    /// It has a length that no such credential has.
    #[error(
        "the token has {found} characters and not {least} to {most}; nothing was stored; run it again in a wider terminal, or paste the token with `--method paste`"
    )]
    Length {
        /// Characters seen.
        found: usize,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// The program drew in a way that the emulator does not know.
    #[error(
        "the program drew the token in an unknown way; nothing was stored; run it again, or paste the token with `--method paste`"
    )]
    Unknown,
}

/// A terminal's screen on which a credential is expected.
pub struct Screen {
    parser: Parser<Strange>,
    prefix: Vec<u8>,
    length: (usize, usize),
    /// Columns at which lines may have been cut.
    edges: Vec<u16>,
    sequence: Sequence,
    readings: Vec<(Secret, Option<Doubt>)>,
}

impl Screen {
    /// A screen for a credential that begins with `prefix` and has `length.0` to `length.1` characters
    /// of `A-Z`, `a-z`, `0-9`, `_` and `-`.
    #[must_use]
    pub fn new(prefix: &str, length: (usize, usize)) -> Self {
        Self {
            parser: Parser::new_with_callbacks(ROWS, COLUMNS, HISTORY, Strange::default()),
            prefix: prefix.as_bytes().to_vec(),
            length,
            edges: vec![BELIEVED, COLUMNS],
            sequence: Sequence::default(),
            readings: Vec::new(),
        }
    }

    /// Takes what was printed.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut from = 0;
        for (place, byte) in bytes.iter().enumerate() {
            if let Some(clears) = self.sequence.take(*byte) {
                self.parser.process(&bytes[from..place]);
                from = place;
                if clears == Clears::All || self.parser.screen().cursor_position().0 == 0 {
                    self.look();
                }
            }
        }
        self.parser.process(&bytes[from..]);
    }

    /// The terminal has another size now. The emulator only grows: `vt100` 0.16 cuts rows off when it
    /// shrinks, and with them half of a credential.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.look();
        if !self.edges.contains(&columns) {
            self.edges.push(columns);
        }
        let screen = self.parser.screen_mut();
        let (old_rows, old_columns) = screen.size();
        screen.set_size(rows.max(old_rows), columns.max(old_columns));
    }

    /// The program waits, so that what is on the screen is a whole picture.
    pub fn rest(&mut self) {
        self.look();
    }

    /// What the credential is, now that the program has ended with success. One that failed may have
    /// been stopped between two lines: do not ask then.
    ///
    /// # Errors
    /// When it is not certain.
    pub fn finish(mut self) -> Result<Secret, Doubt> {
        self.look();
        let Self { parser, readings, length: (least, most), .. } = self;
        let strange = parser.callbacks().met;
        drop(parser);
        let torn = |one: &Secret| {
            readings.iter().any(|(other, _)| other.len() > one.len() && other.expose().starts_with(one.expose()))
        };
        let mut whole = readings.iter().filter(|(value, _)| !torn(value));
        match (whole.next(), whole.next()) {
            (None, _) => Err(Doubt::Nothing),
            _ if strange => Err(Doubt::Unknown),
            _ if readings.len() >= READINGS => Err(Doubt::Several),
            (Some(_), Some(_)) => Err(Doubt::Several),
            (Some((_, Some(doubt))), None) => Err(*doubt),
            (Some((value, None)), None) if (least..=most).contains(&value.len()) => Ok(value.clone()),
            (Some((value, None)), None) => Err(Doubt::Length { found: value.len(), least, most }),
        }
    }

    /// Remembers what is on the screen. The last look at a value decides whether it is in doubt.
    fn look(&mut self) {
        let lines = page::lines(self.parser.screen_mut());
        for Reading { value, doubt } in page::readings(&lines, &self.prefix, &self.edges, self.length.0) {
            if let Some(known) = self.readings.iter_mut().find(|(known, _)| *known == value) {
                known.1 = doubt;
            } else if self.readings.len() < READINGS {
                self.readings.push((value, doubt));
            }
        }
    }
}

/// What an escape sequence clears.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clears {
    /// The whole screen, or it shows another one.
    All,
    /// Everything from the cursor on.
    Below,
}

/// Finds the sequences that clear everything, before the emulator obeys them.
#[derive(Default)]
struct Sequence {
    state: State,
    parameters: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Control,
}

impl Sequence {
    /// Takes the next byte; what it clears, if it completes such a sequence.
    fn take(&mut self, byte: u8) -> Option<Clears> {
        let (state, clears) = match (self.state, byte) {
            (_, 0x1b) => (State::Escape, None),
            (State::Escape, b'[') => {
                self.parameters.clear();
                (State::Control, None)
            }
            (State::Escape, b'c') => (State::Text, Some(Clears::All)),
            (State::Control, 0x20..=0x3f) => {
                if self.parameters.len() < 32 {
                    self.parameters.push(byte);
                }
                (State::Control, None)
            }
            // A control character within a sequence is obeyed, and the sequence goes on.
            (State::Control, 0..=0x17 | 0x19 | 0x1c..=0x1f) => (State::Control, None),
            (State::Control, b'J' | b'h' | b'l') => (State::Text, self.clears(byte)),
            _ => (State::Text, None),
        };
        self.state = state;
        clears
    }

    fn clears(&self, last: u8) -> Option<Clears> {
        let parameters = self.parameters.as_slice();
        let numbers = parameters.strip_prefix(b"?").unwrap_or(parameters);
        match last {
            b'J' if matches!(numbers, b"" | b"0") => Some(Clears::Below),
            b'J' if numbers != b"1" => Some(Clears::All),
            b'h' | b'l'
                if numbers.split(|byte| *byte == b';').any(|mode| matches!(mode, b"47" | b"1047" | b"1049")) =>
            {
                Some(Clears::All)
            }
            _ => None,
        }
    }
}

/// Whether the program used what `vt100` does not know and what may have changed the picture. A repeated
/// character that is left out would make another credential of the right form.
#[derive(Default)]
struct Strange {
    met: bool,
}

impl Callbacks for Strange {
    fn unhandled_char(&mut self, _: &mut vt100::Screen, _: char) {
        self.met = true;
    }

    fn unhandled_control(&mut self, _: &mut vt100::Screen, byte: u8) {
        self.met |= byte != 0;
    }

    fn unhandled_escape(&mut self, _: &mut vt100::Screen, first: Option<u8>, _: Option<u8>, last: u8) {
        // The end of a string, the choice of ASCII as the alphabet, and that of UTF-8.
        let harmless =
            matches!((first, last), (None, b'\\') | (Some(b'(' | b')' | b'*' | b'+'), b'B') | (Some(b'%'), b'G'));
        self.met |= !harmless;
    }

    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        first: Option<u8>,
        second: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        let drawing_mode = |mode: &&[u16]| match mode {
            // Wrapping at the edge, which is what the emulator does.
            [7] => last == 'l',
            [number, ..] => matches!(number, 3 | 45 | 69 | 1047 | 1048),
            [] => true,
        };
        let harmless = match (first, second, last) {
            (_, _, 'm' | 'n' | 'c' | 'q' | 't' | 'p') => true,
            (Some(b'<' | b'=' | b'>' | b'?'), None, 'u') => true,
            (Some(b'?'), None, 'h' | 'l') => !parameters.iter().any(drawing_mode),
            // To insert or to overwrite, which is what the emulator does.
            (None, None, 'l') => *parameters == [[4]],
            // The history, which is not on the screen.
            (None | Some(b'?'), None, 'J') => *parameters == [[3]],
            _ => false,
        };
        self.met |= !harmless;
    }
}
