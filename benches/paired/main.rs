//! What Keyslip costs, as ratios: the same work is done with and without it, in turns, in one run.
//!
//! `benches/compare` opens a lab, puts everything in place and starts this. A *variant* is a way to do a case's work; each
//! round does all of them once, in changing order, so that what else the machine does falls on all of them. A ratio is taken
//! within a round; shown is the median over the rounds, with a 95 % interval by the bootstrap.

mod cases;
mod measure;
mod plot;
mod report;
mod stats;

use std::path::{Path, PathBuf};

/// `paired OUT ROUNDS [WORD]`: measures everything and writes `summary.json` and the plots below `OUT`; with a word only the
/// cases that have it in their names, and nothing is written.
fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(out), Some(rounds)) = (arguments.next(), arguments.next()) else {
        eprintln!("run benches/compare, which puts everything in place");
        std::process::exit(2);
    };
    let out = PathBuf::from(out);
    let rounds: usize = rounds.parse().expect("a number of rounds");
    std::fs::create_dir_all(&out).expect("a directory for the results");
    let word = arguments.next();
    let mut report = report::Report::new(rounds);
    for case in cases::all().iter().filter(|case| word.as_ref().is_none_or(|word| case.name.contains(word))) {
        report.case(case, rounds);
    }
    if word.is_some() {
        return;
    }
    for series in cases::series() {
        report.series(series, rounds);
    }
    report.commands(cases::commands());
    report.write(&out);
    for (name, svg) in [
        ("ratios", plot::ratios(&report)),
        ("entries", plot::line(&report, "entries")),
        ("sizes", plot::line(&report, "sizes")),
    ] {
        write(&out.join(format!("{name}.svg")), &svg);
    }
    if !report.holds() {
        println!("a goal was missed");
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
