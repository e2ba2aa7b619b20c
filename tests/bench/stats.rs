//! Figures out of samples.

use std::time::Duration;

/// The value below which this share of the samples lies; zero of no samples.
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

pub fn millis(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1_000.0).collect()
}

/// `1.02 (0.99 to 1.04)`: a median, and between which values all lie.
pub fn spread(samples: &[f64], digits: usize) -> String {
    let (low, high) = (quantile(samples, 0.0), quantile(samples, 1.0));
    format!("{:.digits$} ({low:.digits$} to {high:.digits$})", median(samples))
}
