//! Medians of rounds, and ratios of what was measured in the same round.

use std::time::Duration;

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of `a` divided by `b`, round by round.
pub fn ratio(a: &[Duration], b: &[Duration]) -> f64 {
    let rounds = a.iter().zip(b);
    median(rounds.map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()))
}

/// The median in seconds.
pub fn seconds(times: &[Duration]) -> f64 {
    median(times.iter().map(Duration::as_secs_f64))
}
