//! What a screen says. The recordings are of the real client, against a server that gave it the token.

use proptest::prelude::*;

use super::printed::{Doubt, Screen};

const PREFIX: &str = "sk-ant-oat01-";
const LENGTH: (usize, usize) = (80, 200);
const RECORDED: [&[u8]; 2] = [
    include_bytes!("../../tests/login/recorded/claude-2.1.197-250.out"),
    include_bytes!("../../tests/login/recorded/claude-2.1.197-80.out"),
];

/// A token of so many characters.
fn token(length: usize) -> String {
    let filling = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-".chars();
    format!("{PREFIX}FAKE").chars().chain(filling.cycle()).take(length).collect()
}

fn recorded_token() -> String {
    let filling = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-0123456789abcdefghijklmno";
    format!("{PREFIX}FAKE{}AA", &filling[..89])
}

/// Places in a recording: every one in its last pictures, some before.
fn places(recorded: &[u8]) -> impl Iterator<Item = usize> {
    let prompt = memchr::memmem::find(recorded, b"prompted").expect("it asks for the code");
    (0..prompt).step_by(50).chain(prompt..recorded.len())
}

/// The value, or the doubt.
fn said(screen: Screen) -> Result<String, Doubt> {
    screen.finish().map(|value| value.expose_text().expect("ASCII").to_owned())
}

fn shown(text: impl AsRef<[u8]>) -> Result<String, Doubt> {
    let mut screen = Screen::new(PREFIX, LENGTH);
    screen.feed(text.as_ref());
    said(screen)
}

/// A picture as Ink draws it that believes in `width` columns: words at columns, the token cut at the
/// edge with colours and moves in the middle, blank lines around it.
fn picture(token: &str, width: usize, margin: usize, below: &str) -> Vec<u8> {
    let indent = format!("\x1b[{}G", margin + 1);
    let new_line = format!("\r\r\n{indent}");
    let room = width - 2 * margin;
    let pieces: Vec<String> = token
        .as_bytes()
        .chunks(room)
        .map(|piece| format!("\x1b[38;5;220m{}\x1b[39m", String::from_utf8_lossy(piece)))
        .collect();
    format!(
        "\x1b[?25l\x1b[?2004h{indent}Your\x1b[{}Gtoken:\x1b[39m\r\r\n{new_line}{}{new_line}{below}{new_line}\x1b[2mStore\x1b[{}Git.\x1b[22m\r\r\n",
        margin + 6,
        pieces.join(&new_line),
        margin + 7,
    )
    .into_bytes()
}

#[test]
fn the_recorded_client_at_both_widths() {
    for recorded in RECORDED {
        assert_eq!(shown(recorded), Ok(recorded_token()));
    }
}

#[test]
fn a_recording_cut_anywhere_gives_no_part_of_the_token() {
    for recorded in RECORDED {
        for cut in places(recorded) {
            let said = shown(&recorded[..cut]);
            assert!(said.is_err() || said == Ok(recorded_token()), "cut at {cut}");
        }
    }
}

#[test]
fn a_rest_anywhere_gives_no_other_token() {
    for recorded in RECORDED {
        let (mut tried, mut found) = (0, 0);
        for cut in places(recorded) {
            let mut screen = Screen::new(PREFIX, LENGTH);
            screen.feed(&recorded[..cut]);
            screen.rest();
            screen.feed(&recorded[cut..]);
            let said = said(screen);
            assert!(said.is_err() || said == Ok(recorded_token()), "a rest at {cut}");
            (tried, found) = (tried + 1, found + usize::from(said.is_ok()));
        }
        // In the middle of a picture the lines below the token are those of the last one.
        assert!(found > tried * 4 / 5, "{found} of {tried}");
    }
}

#[test]
fn a_resize_anywhere_gives_no_other_token() {
    for recorded in RECORDED {
        for (rows, columns) in [(10, 250), (60, 300), (24, 80)] {
            for cut in places(recorded).step_by(5) {
                let mut screen = Screen::new(PREFIX, LENGTH);
                screen.resize(30, 260);
                screen.feed(&recorded[..cut]);
                screen.resize(rows, columns);
                screen.feed(&recorded[cut..]);
                let said = said(screen);
                assert!(said.is_err() || said == Ok(recorded_token()), "{columns} columns at {cut}");
            }
        }
    }
}

#[test]
fn a_smaller_terminal_cuts_no_wide_character_in_half() {
    let mut screen = Screen::new(PREFIX, LENGTH);
    screen.resize(24, 300);
    screen.feed("\x1b[1;250H\u{4f60}\x1b[H".as_bytes());
    screen.resize(24, 250);
    screen.feed(format!("\x1b[K\r\n{}\r\n\r\n", token(108)).as_bytes());
    assert_eq!(said(screen), Ok(token(108)));
}

proptest! {
    #[test]
    fn pieces_of_any_size_say_the_same(cuts in proptest::collection::vec(0..2100_usize, 0..40), which in 0..2_usize) {
        let recorded = RECORDED[which];
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut screen = Screen::new(PREFIX, LENGTH);
        let mut from = 0;
        for cut in cuts {
            screen.feed(&recorded[from..cut]);
            from = cut;
        }
        screen.feed(&recorded[from..]);
        prop_assert_eq!(said(screen), Ok(recorded_token()));
    }

    #[test]
    fn lines_cut_at_any_width_give_the_token_or_none(
        width in 40..301_usize,
        margin in 0..4_usize,
        length in 80..201_usize,
        below in prop_oneof![Just(""), Just("Done"), Just("Keep it."), Just("(a year)"), Just("----"), Just("x-y_z1")],
        columns in prop_oneof![Just(250_u16), Just(280), Just(300)],
    ) {
        let mut screen = Screen::new(PREFIX, LENGTH);
        screen.resize(24, columns);
        screen.feed(&picture(&token(length), width, margin, below));
        let said = said(screen);
        prop_assert!(said.is_err() || said == Ok(token(length)), "{:?}", said);
    }

    #[test]
    fn pictures_cut_anywhere_give_no_part(
        width in prop_oneof![Just(80_usize), Just(250), Just(300)],
        margin in 0..4_usize,
        length in 80..201_usize,
        cut in 0..700_usize,
    ) {
        let picture = picture(&token(length), width, margin, "");
        let said = shown(&picture[..cut.min(picture.len())]);
        prop_assert!(said.is_err() || said == Ok(token(length)), "{:?}", said);
    }

    #[test]
    fn anything_at_all_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000), columns in 1..400_u16) {
        let mut screen = Screen::new(PREFIX, LENGTH);
        screen.feed(&bytes);
        screen.resize(1, columns);
        screen.feed(&bytes);
        prop_assert!(said(screen).is_err());
    }

    #[test]
    fn any_drawing_is_survived(parts in proptest::collection::vec(drawing(), 0..200)) {
        let mut screen = Screen::new(PREFIX, LENGTH);
        for part in parts {
            screen.feed(part.as_bytes());
        }
        prop_assert!(said(screen).is_err());
    }
}

/// A piece of what programs print.
fn drawing() -> impl Strategy<Value = String> {
    let control = (prop::collection::vec(0..320_u16, 0..3), prop::sample::select("@ABCDEFGHJKLMPSTXdhlmr".as_bytes()))
        .prop_map(|(numbers, last)| {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            format!("\x1b[{}{}", numbers.join(";"), char::from(last))
        });
    let words = prop::sample::select(
        &[
            "\r",
            "\n",
            "\t",
            "\x08",
            "\x1bM",
            "\x1b7",
            "\x1b8",
            "\x1b[?1049h",
            "\x1b[?1049l",
            "a",
            "\u{4f60}\u{4f60}",
            "\u{301}",
        ][..],
    );
    prop_oneof![control, words.prop_map(str::to_owned)]
}

#[test]
fn widths_that_programs_believe_are_understood() {
    for (width, margin) in [(80, 0), (80, 1), (80, 2), (250, 1), (60, 1), (72, 3)] {
        let said = shown(picture(&token(108), width, margin, ""));
        assert_eq!(said, Ok(token(108)), "{width} columns, margin {margin}");
    }
}

#[test]
fn a_line_below_that_may_go_on_is_a_doubt() {
    for below in ["Done", "Keep it safe", "----"] {
        assert_eq!(shown(format!("{}\r\n{below}\r\n\r\nbye\r\n", token(108))), Err(Doubt::Cut), "{below}");
    }
    let colours = format!("\x1b[33m{}\r\n\x1b[32mDone\x1b[39m\r\n\r\nbye\r\n", token(78));
    assert_eq!(shown(colours), Err(Doubt::Cut), "another colour is no continuation");
    let rule = format!("{}\r\n------\r\n\r\nbye\r\n", token(78));
    assert_eq!(shown(rule), Err(Doubt::Cut), "a drawn line is no continuation");
    let wider = format!("{}\r\n{}\r\n\r\nbye\r\n", token(78), "x".repeat(90));
    assert_eq!(shown(wider), Err(Doubt::Cut), "a continuation is not wider");
    assert_eq!(shown(format!("{}\r\n(a year)\r\n", token(108))), Ok(token(108)));
}

#[test]
fn a_line_that_ends_at_an_edge_is_a_doubt() {
    for (indent, length) in [(0, 80), (2, 78), (60, 190), (55, 190)] {
        let said = shown(format!("{}{}\r\n\r\nbye\r\n", " ".repeat(indent), token(length)));
        assert_eq!(said, Err(Doubt::Cut), "{length} characters from column {indent}");
    }
}

#[test]
fn what_says_that_there_is_more_is_a_doubt() {
    for end in ["\u{2026}", "...", ".", "=", "/", "*", "\u{301}", "%"] {
        assert_eq!(shown(format!("{}{end}\r\n\r\nbye\r\n", token(100))), Err(Doubt::Cut), "{end}");
    }
    for around in ["\"\"", "''", "``", "()", "[]", "<>"] {
        let (open, close) = around.split_at(1);
        assert_eq!(shown(format!("{open}{}{close}\r\n", token(100))), Ok(token(100)), "{around}");
    }
}

#[test]
fn what_an_older_picture_has_left_is_a_doubt() {
    let over = format!("{}\r\x1b[33m{}\x1b[39m\r\n\r\nbye\r\n", "x".repeat(130), token(100));
    assert_eq!(shown(over), Err(Doubt::Cut));
    let mut screen = Screen::new(PREFIX, LENGTH);
    screen.feed(format!("{}\r\n\r\n", token(100)).as_bytes());
    screen.rest();
    screen.feed("\x1b[2A\x1b[101G\u{2026}\r\n\r\n".as_bytes());
    assert_eq!(said(screen), Err(Doubt::Cut), "the last look counts");
}

#[test]
fn boxes_and_panels() {
    let token = token(108);
    let (first, second) = token.split_at(95);
    let boxed = format!("╭{0}╮\r\n│ {first} │\r\n│ {second:95} │\r\n╰{0}╯\r\n", "─".repeat(97));
    assert_eq!(shown(boxed), Err(Doubt::Cut), "an unknown width, and both readings have a good length");
    let boxed = format!("╭{0}╮\r\n│ {token} │\r\n╰{0}╯\r\n", "─".repeat(110));
    assert_eq!(shown(boxed), Ok(token.clone()));
    let panels = format!("{first}   news\r\n{second}   more\r\n");
    assert_eq!(shown(panels), Err(Doubt::Cut));
}

#[test]
fn the_token_in_the_flow_of_a_long_line() {
    for (before, after) in [(200, ""), (200, " and more"), (240, " x"), (142, ""), (142, " x")] {
        let said = shown(format!("{} {}{after}\r\n\r\nbye\r\n", "x".repeat(before), token(108)));
        assert!(said.is_err() || said == Ok(token(108)), "{before} {after}: {said:?}");
    }
    // The terminal has wrapped it, which is known.
    for after in ["", " and more"] {
        let said = shown(format!("{} {}{after}\r\n\r\nbye\r\n", "x".repeat(200), token(108)));
        assert_eq!(said, Ok(token(108)), "{after}");
    }
}

#[test]
fn what_is_gone_from_the_screen_was_seen() {
    let drawn = format!("\r\n\r\n{}\r\n\r\nKeep it.\r\n", token(108));
    for gone in ["\x1b[2J\x1b[H", "\x1b[H\x1b[J", "\x1b[H\x1b[2J\x1b[3J", "\x1bc", &"line\r\n".repeat(300)] {
        assert_eq!(shown(format!("{drawn}{gone}bye\r\n")), Ok(token(108)), "{gone:?}");
    }
    let elsewhere = format!("\x1b[?1049h\x1b[H{drawn}\x1b[?1049lbye\r\n");
    assert_eq!(shown(elsewhere), Ok(token(108)), "another screen");
    let mut screen = Screen::new(PREFIX, LENGTH);
    screen.feed(drawn.as_bytes());
    screen.rest();
    screen.feed(format!("\x1b[3A\r{}***\x1b[K\r\n", &token(108)[..20]).as_bytes());
    assert_eq!(said(screen), Ok(token(108)), "masked afterwards");
}

#[test]
fn lines_that_are_erased_one_by_one_leave_no_part() {
    let mut screen = Screen::new(PREFIX, LENGTH);
    screen.feed(&picture(&token(150), 80, 1, ""));
    for _ in 0..6 {
        screen.rest();
        screen.feed(b"\x1b[2K\x1b[1A");
    }
    assert_eq!(said(screen), Ok(token(150)));
    let mut screen = Screen::new(PREFIX, LENGTH);
    screen.feed(&picture(&token(150), 120, 1, ""));
    for _ in 0..6 {
        screen.rest();
        screen.feed(b"\x1b[2K\x1b[1A");
    }
    assert_eq!(said(screen), Err(Doubt::Cut));
}

#[test]
fn twice_the_same_is_one_and_two_are_too_many() {
    let one = token(108);
    let other = one.replace("FAKE", "FALS");
    assert_eq!(shown(format!("{one}\r\n\r\nexport X={one}\r\n\r\nbye\r\n")), Ok(one.clone()));
    assert_eq!(shown(format!("{PREFIX} begins every token.\r\n\r\n{one}\r\n\r\n")), Ok(one.clone()));
    assert_eq!(shown(format!("{one}\r\n\r\n{other}\r\n\r\n")), Err(Doubt::Several));
}

#[test]
fn what_is_no_token() {
    assert_eq!(shown("bye\r\n"), Err(Doubt::Nothing));
    assert_eq!(shown(format!("x{}\r\n", token(108))), Err(Doubt::Nothing), "not at the beginning of a word");
    assert_eq!(shown(token(108)), Err(Doubt::Unfinished));
    let long = format!("{}\r\n\r\n", token(201));
    assert_eq!(shown(long), Err(Doubt::Length { found: 201, least: 80, most: 200 }));
    let short = format!("{}\r\n\r\n", token(40));
    assert_eq!(shown(short), Err(Doubt::Length { found: 40, least: 80, most: 200 }));
    let repeated = format!("{}A\x1b[3bx\r\n\r\n", token(100));
    assert_eq!(shown(repeated), Err(Doubt::Unknown), "the emulator does not repeat characters");
    let boxes = format!("\x1b(0x\x1b(B{}\x1b(0x\x1b(B\r\n\r\n", token(100));
    assert!(shown(boxes).is_err(), "the emulator does not draw lines");
}

#[test]
fn a_doubt_says_what_to_do_and_shows_nothing() {
    for doubt in [
        Doubt::Nothing,
        Doubt::Several,
        Doubt::Cut,
        Doubt::Unfinished,
        Doubt::Unknown,
        Doubt::Length { found: 9, least: 80, most: 200 },
    ] {
        let text = doubt.to_string();
        assert!(text.contains("nothing was stored; run it again") && text.ends_with("with `--method paste`"), "{text}");
    }
}
