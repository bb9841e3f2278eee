//! Readings of a screen: where a credential stands, and where it ends.

use vt100::Color;
use zeroize::Zeroizing;

use super::printed::Doubt;
use crate::secret::Secret;

/// Margins and borders: a line that ends so near to an edge may have been cut there.
const MARGIN: usize = 8;
/// Stands for the vertical line of a box.
const BORDER: u8 = b'|';
/// Stands for every character that is not ASCII.
const OTHER: u8 = b'?';

/// A value that stands on the screen, and what speaks against it.
pub(super) struct Reading {
    pub value: Secret,
    pub doubt: Option<Doubt>,
}

/// A line of the screen, with what the terminal itself has wrapped; one byte a cell.
pub(super) struct Line {
    text: Zeroizing<Vec<u8>>,
    colours: Vec<Color>,
    /// Cells in a row of the screen.
    columns: usize,
    /// The cell at which the cursor is, if it is in this line.
    cursor: Option<usize>,
}

/// A part of a line.
#[derive(Clone, Copy)]
struct Run {
    from: usize,
    to: usize,
}

/// Everything on the screen, and what has left it at its top.
pub(super) fn lines(screen: &mut vt100::Screen) -> Vec<Line> {
    let mut lines = Vec::new();
    let rows = usize::from(screen.size().0);
    let mut wrapped = false;
    screen.set_scrollback(usize::MAX);
    let mut above = screen.scrollback();
    loop {
        screen.set_scrollback(above);
        let showing = if above == 0 { rows } else { above.min(rows) };
        let cursor = (above == 0).then(|| screen.cursor_position());
        for row in 0..showing {
            let row = u16::try_from(row).expect("a row of the screen");
            if !wrapped {
                lines.push(Line::new(screen.size().1));
            }
            let line = lines.last_mut().expect("it was begun");
            let column = cursor.filter(|(at, _)| *at == row).map(|(_, column)| usize::from(column));
            line.add(screen, row, column);
            wrapped = screen.row_wrapped(row);
        }
        if above == 0 {
            return lines;
        }
        above -= showing;
    }
}

/// The credentials on a screen, each as long as it may be read.
pub(super) fn readings(lines: &[Line], prefix: &[u8], edges: &[u16], least: usize) -> Vec<Reading> {
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&line.text[from..], prefix).map(|at| from + at) {
            from = at + prefix.len();
            if at == 0 || !of_alphabet(line.text[at - 1]) {
                found.push(read(&lines[place..], at, edges, least));
            }
        }
    }
    found
}

/// Reads the value that begins in the first of `lines`.
fn read(lines: &[Line], at: usize, edges: &[u16], least: usize) -> Reading {
    let mut run = lines[0].run(at);
    let mut value = Zeroizing::default();
    append(&mut value, &lines[0].text[run.from..run.to]);
    let first_end = lines[0].column(run.to);
    let at_edge = edges.iter().any(|edge| (first_end..=first_end + MARGIN).contains(&usize::from(*edge)));
    let mut doubt = None;
    for (place, line) in lines.iter().enumerate() {
        let end = line.column(run.to);
        // Its continuation ends where it ends, at the same edge, or has come to its end before that.
        let (continued, may_go_on) = (place > 0, if place > 0 { end == first_end } else { at_edge });
        // At the beginning of a line it waits for the next picture.
        if line.cursor.is_some_and(|cell| cell % line.columns > 0) {
            doubt = Some(Doubt::Unfinished);
        } else if !line.in_one_colour(run) {
            doubt = Some(Doubt::Cut);
        }
        if continued && !may_go_on {
            break;
        }
        let alone = match line.after(run) {
            After::Nothing => true,
            After::Text => false,
            After::Closed => break,
            After::Torn => {
                doubt = Some(Doubt::Cut);
                break;
            }
        };
        let below = lines.get(place + 1).and_then(|below| Some((below, below.bare()?)));
        let Some((below, bare)) = below else {
            doubt = doubt.or(may_go_on.then_some(Doubt::Cut));
            break;
        };
        let next = below.run(bare.from);
        let fits = alone
            && next.to == bare.to
            && below.column(next.to) <= first_end
            && below.text[next.from..next.to].iter().any(u8::is_ascii_alphanumeric)
            && below.colours[next.from] == line.colours[run.to - 1];
        if fits && (may_go_on || value.len() < least) {
            append(&mut value, &below.text[next.from..next.to]);
            run = next;
            continue;
        }
        if next.to > next.from || !alone || may_go_on {
            // Longer than any reading that stops here, so that those are known to be torn.
            append(&mut value, &below.text[next.from..next.to]);
            doubt = Some(Doubt::Cut);
        }
        break;
    }
    Reading { value: Secret::new(std::mem::take(&mut *value)), doubt }
}

/// What follows a run in its line.
enum After {
    /// Nothing, or the border of a box.
    Nothing,
    /// Other text.
    Text,
    /// A quote or a bracket: the run ends here.
    Closed,
    /// A character that stands for more, or that the alphabet may lack.
    Torn,
}

impl Line {
    fn new(columns: u16) -> Self {
        Self { text: Zeroizing::default(), colours: Vec::new(), columns: usize::from(columns), cursor: None }
    }

    fn add(&mut self, screen: &vt100::Screen, row: u16, cursor: Option<usize>) {
        let start = self.text.len();
        let mut text = Zeroizing::new(Vec::with_capacity(self.columns));
        for column in 0..self.columns {
            let cell = u16::try_from(column).ok().and_then(|column| screen.cell(row, column));
            text.push(cell.map_or(b' ', |cell| class(cell.contents())));
            self.colours.push(cell.map_or(Color::Default, vt100::Cell::fgcolor));
        }
        append(&mut self.text, &text);
        self.cursor = cursor.map(|column| start + column).or(self.cursor);
    }

    /// The longest run of the alphabet from `at` on.
    fn run(&self, at: usize) -> Run {
        let length = self.text[at..].iter().take_while(|byte| of_alphabet(**byte)).count();
        Run { from: at, to: at + length }
    }

    /// The column of the screen at which a part ends that ends before `to`.
    fn column(&self, to: usize) -> usize {
        (to - 1) % self.columns + 1
    }

    /// Whether it was drawn at once: what an older picture has left may have another colour.
    fn in_one_colour(&self, run: Run) -> bool {
        self.colours[run.from..run.to].iter().all(|colour| *colour == self.colours[run.from])
    }

    /// What there is beside blanks and borders.
    fn bare(&self) -> Option<Run> {
        let bare = |byte: &u8| !matches!(*byte, b' ' | BORDER);
        let from = self.text.iter().position(bare)?;
        let to = self.text.iter().rposition(bare)? + 1;
        Some(Run { from, to })
    }

    fn after(&self, run: Run) -> After {
        let rest = &self.text[run.to..];
        match rest.first() {
            None | Some(b' ' | &BORDER) if rest.iter().all(|byte| matches!(*byte, b' ' | BORDER)) => After::Nothing,
            None | Some(b' ' | &BORDER) => After::Text,
            Some(b'"' | b'\'' | b'`' | b')' | b']' | b'}' | b'>' | b',' | b';') => After::Closed,
            Some(_) => After::Torn,
        }
    }
}

/// Makes `value` longer. A vector that grows by itself leaves what it held behind.
fn append(value: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let mut longer = Zeroizing::new(Vec::with_capacity(value.len() + more.len()));
    longer.extend_from_slice(value);
    longer.extend_from_slice(more);
    *value = longer;
}

fn of_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A cell's content as one byte.
fn class(content: &str) -> u8 {
    match content.as_bytes() {
        [] | b"\xc2\xa0" => b' ',
        [byte] => *byte,
        _ if matches!(content, "│" | "┃" | "║" | "▏" | "▌" | "▐" | "▕" | "█") => BORDER,
        _ => OTHER,
    }
}
