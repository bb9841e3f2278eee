//! Medians, and how far they can be trusted.

use serde::Serialize;

/// A median and its 95 % interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// The bootstrap draws so many samples.
const DRAWS: usize = 2000;

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// The median, and between what medians of samples drawn from `values` mostly lie.
pub fn estimate(values: &[f64]) -> Estimate {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        // xorshift64*, with a fixed seed: the same measurements have the same interval.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        values[usize::try_from(random).unwrap_or(0) % values.len()]
    };
    let mut medians: Vec<f64> =
        (0..DRAWS).map(|_| median(&(0..values.len()).map(|_| draw()).collect::<Vec<_>>())).collect();
    medians.sort_by(f64::total_cmp);
    Estimate { median: median(values), low: medians[DRAWS / 40], high: medians[DRAWS - DRAWS / 40 - 1] }
}
