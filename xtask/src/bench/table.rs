//! The figures as a table.

use std::fmt::Write as _;

use super::measure::Figures;

/// A row: what it is, which figures, which quantile of them, and its unit.
type Row = (&'static str, fn(&Figures) -> &Vec<f64>, f64, &'static str, f64);

const ROWS: &[Row] = &[
    ("start to script's first line", |f| &f.script_began, 0.5, "ms", 1e3),
    ("start to shell", |f| &f.shell_answered, 0.5, "s", 1.0),
    ("succeed(\"true\"), median", |f| &f.round_trips, 0.5, "ms", 1e3),
    ("succeed(\"true\"), p99", |f| &f.round_trips, 0.99, "ms", 1e3),
    ("wait_until_succeeds late by, median", |f| &f.lateness, 0.5, "ms", 1e3),
    ("wait_until_succeeds late by, worst", |f| &f.lateness, 1.0, "ms", 1e3),
    ("driver's peak memory", |f| &f.memory_kib, 0.5, "MiB", 1.0 / 1024.0),
];

/// Renders the figures of one driver, or of two with their ratios.
pub(crate) fn render(own: &Figures, other: Option<&Figures>) -> String {
    let mut text = format!("{:<38}{:>14}", "", "innkeeper");
    if other.is_some() {
        let _ = write!(text, "{:>14}{:>10}", "against", "ratio");
    }
    text.push('\n');
    for (name, of, at, unit, scale) in ROWS {
        let mine = quantile(of(own), *at) * scale;
        let _ = write!(text, "{name:<38}{:>14}", format!("{mine:.2} {unit}"));
        if let Some(other) = other {
            let theirs = quantile(of(other), *at) * scale;
            let _ = write!(text, "{:>14}{:>10.3}", format!("{theirs:.2} {unit}"), mine / theirs);
        }
        text.push('\n');
    }
    text
}

/// The smallest figure that a share of `at` of all figures does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank among a few hundred"
)]
fn quantile(figures: &[f64], at: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * at).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{Figures, quantile, render};

    #[test]
    fn quantiles_are_figures_that_were_measured() {
        let figures: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|at| quantile(&figures, at)), [50.0, 99.0, 100.0]);
        assert_eq!(quantile(&[7.0], 0.5), 7.0);
    }

    #[test]
    fn a_ratio_below_one_means_that_ours_is_less() {
        let of = |round_trips| Figures { round_trips, ..Figures::default() };
        let table = render(&of(vec![0.01]), Some(&of(vec![0.04])));
        let row = table.lines().find(|line| line.contains("median") && line.contains("true")).unwrap();
        assert!(row.contains("10.00 ms") && row.contains("40.00 ms") && row.ends_with("0.250"), "{row}");
    }
}
