//! What was measured: a table, and `summary.json`.

use std::path::Path;

use serde::Serialize;

use crate::cases::{By, Case, Series, Size, Variant};
use crate::measure::{Taken, Work};
use crate::stats::{Estimate, estimate, median};

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Rounds of a case that takes little.
    pub rounds: usize,
    pub cases: Vec<CaseReport>,
    pub series: Vec<SeriesReport>,
    pub commands: Vec<CommandReport>,
}

#[derive(Debug, Serialize)]
pub struct CaseReport {
    pub name: &'static str,
    /// `cpu` or `wall`.
    pub by: &'static str,
    pub rounds: usize,
    pub variants: Vec<VariantReport>,
    pub goals: Vec<GoalReport>,
}

#[derive(Debug, Serialize)]
pub struct VariantReport {
    pub name: &'static str,
    /// Microseconds.
    pub median_us: f64,
    /// To the first variant.
    pub ratio: Estimate,
}

#[derive(Debug, Serialize)]
pub struct GoalReport {
    pub variant: &'static str,
    pub to: &'static str,
    pub ratio: Estimate,
    pub goal: f64,
    pub met: bool,
}

#[derive(Debug, Serialize)]
pub struct SeriesReport {
    pub name: &'static str,
    pub unit: &'static str,
    pub points: Vec<Point>,
}

#[derive(Debug, Serialize)]
pub struct Point {
    pub at: usize,
    /// Medians in microseconds of processor time, by the variants' names.
    pub cpu_us: Vec<(&'static str, f64)>,
}

#[derive(Debug, Serialize)]
pub struct CommandReport {
    pub name: &'static str,
    pub median_ms: f64,
    pub goal_ms: f64,
    pub met: bool,
}

/// Does all variants of each round, in an order that changes; their times by variant.
fn rounds(variants: &[Variant], rounds: usize) -> Vec<Vec<Taken>> {
    let mut taken = vec![Vec::with_capacity(rounds); variants.len()];
    // The first time makes what is made once, and brings files into memory.
    for (_, work) in variants {
        work.run();
    }
    for round in 0..rounds {
        for step in 0..variants.len() {
            let which = (round + step) % variants.len();
            // Backwards every other time, so that nobody always comes after the same one.
            let which = if round % 2 == 0 { which } else { variants.len() - 1 - which };
            taken[which].push(variants[which].1.run());
        }
    }
    taken
}

fn numbers(taken: &[Taken], by: By) -> Vec<f64> {
    taken.iter().map(|taken| if by == By::Cpu { taken.cpu } else { taken.wall }).collect()
}

fn ratio(one: &[f64], other: &[f64]) -> Estimate {
    estimate(&one.iter().zip(other).map(|(one, other)| one / other).collect::<Vec<_>>())
}

impl Report {
    pub fn new(rounds: usize) -> Self {
        Self { rounds, ..Self::default() }
    }

    pub fn case(&mut self, case: &Case, all: usize) {
        let count = (all / case.share).max(5);
        let by = if case.by == By::Cpu { "cpu" } else { "wall" };
        println!("\n{} ({by}, {count} rounds)", case.name);
        let taken: Vec<Vec<f64>> = rounds(&case.variants, count).iter().map(|taken| numbers(taken, case.by)).collect();
        let mut variants = Vec::new();
        for ((name, _), times) in case.variants.iter().zip(&taken) {
            let report = VariantReport { name, median_us: median(times), ratio: ratio(times, &taken[0]) };
            let Estimate { median, low, high } = report.ratio;
            println!("  {name:18} {:9.3} ms   {median:6.3}  [{low:.3}, {high:.3}]", report.median_us / 1000.0);
            variants.push(report);
        }
        let find = |name: &str| {
            case.variants.iter().position(|(variant, _)| *variant == name).expect("a goal names variants of its case")
        };
        let mut goals = Vec::new();
        for &(variant, to, goal) in &case.goals {
            let ratio = ratio(&taken[find(variant)], &taken[find(to)]);
            let met = ratio.median <= goal;
            println!(
                "  {variant} to {to}: {:.3} [{:.3}, {:.3}], goal {goal}: {}",
                ratio.median,
                ratio.low,
                ratio.high,
                if met { "met" } else { "MISSED" }
            );
            goals.push(GoalReport { variant, to, ratio, goal, met });
        }
        self.cases.push(CaseReport { name: case.name, by, rounds: count, variants, goals });
    }

    pub fn series(&mut self, series: Series, all: usize) {
        let count = (all / series.share).max(5);
        println!("\n{} (cpu, {count} rounds)", series.unit);
        let mut points = Vec::new();
        for Size { at, before, variants } in series.sizes {
            Work { before, ..Work::default() }.run();
            let taken = rounds(&variants, count);
            let cpu_us: Vec<(&'static str, f64)> = variants
                .iter()
                .zip(&taken)
                .map(|((name, _), taken)| (*name, median(&numbers(taken, By::Cpu))))
                .collect();
            let shown: Vec<String> =
                cpu_us.iter().map(|(name, cpu)| format!("{name} {:.3} ms", cpu / 1000.0)).collect();
            println!("  {at:9}  {}", shown.join(", "));
            points.push(Point { at, cpu_us });
        }
        self.series.push(SeriesReport { name: series.name, unit: series.unit, points });
    }

    pub fn commands(&mut self, commands: Vec<(&'static str, Work, f64)>) {
        println!("\ncommands, with all of them alive");
        for (name, work, goal_ms) in commands {
            let walls: Vec<f64> = (0..11).map(|_| work.run().wall / 1000.0).collect();
            let median_ms = median(&walls);
            let met = median_ms <= goal_ms;
            println!("  {name:18} {median_ms:9.3} ms, goal {goal_ms}: {}", if met { "met" } else { "MISSED" });
            self.commands.push(CommandReport { name, median_ms, goal_ms, met });
        }
    }

    /// Whether every goal was met.
    pub fn holds(&self) -> bool {
        self.cases.iter().flat_map(|case| &case.goals).all(|goal| goal.met) && self.commands.iter().all(|one| one.met)
    }

    pub fn write(&self, out: &Path) {
        let text = serde_json::to_string_pretty(self).expect("numbers and names");
        crate::write(&out.join("summary.json"), &(text + "\n"));
    }
}
