//! Text for people, JSON for programs.

use clap::Args;
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub struct Format {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints `value` as indented JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Tells what keeps from knowing all. Whoever has asked must not take the rest for all there is.
pub fn unread(problems: &[keyslip::ledger::Error]) -> bool {
    for problem in problems {
        eprintln!("keyslip: containers may be missing here: {}", plain(&problem.to_string()));
    }
    !problems.is_empty()
}

/// A text of a container's, without what would steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Prints rows in columns, the first row being the heading.
pub fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", plain(line.join("  ").trim_end()));
    }
}

/// A row of texts.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
