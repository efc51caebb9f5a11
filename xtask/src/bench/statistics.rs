//! Quantiles, and how far a ratio of two can be trusted.

/// How often an interval draws anew.
const DRAWS: usize = 2000;

/// Samples, by run. Those of one run are more alike than those of several: the host had its mood.
pub(super) type Runs = [Vec<f64>];

/// The smallest figure that a share of `at` of all figures does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank among a few hundred"
)]
pub(super) fn quantile(figures: &[f64], at: f64) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * at).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The same over all runs.
pub(super) fn quantile_of_runs(runs: &Runs, at: f64) -> Option<f64> {
    quantile(&runs.concat(), at)
}

/// Below so many samples there is no interval: it would look as if all were certain.
const FEW: usize = 3;

/// A ratio, with the interval that 90 % of such measurings would give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) ratio: f64,
    /// From and to; `None` where the samples are too few, or too near to zero, to tell.
    pub(super) interval: Option<[f64; 2]>,
}

/// The ratio of a quantile of `over` to that of `under`, with a bootstrap interval: runs are drawn with
/// replacement, and samples from within each. `None` without samples, or where a sample is no time (below 0:
/// noticed within the clock's own noise) such that a ratio means nothing.
pub(super) fn ratio(over: &Runs, under: &Runs, at: f64) -> Option<Ratio> {
    let of = |over: Option<f64>, under: Option<f64>| {
        let (over, under) = (over?, under?);
        (over > 0.0 && under > 0.0).then(|| over / under)
    };
    let ratio = of(quantile_of_runs(over, at), quantile_of_runs(under, at))?;
    if [over, under].iter().any(|runs| runs.concat().len() < FEW) {
        return Some(Ratio { ratio, interval: None });
    }
    let mut chance = Chance(1);
    let drawn: Vec<f64> = (0..DRAWS)
        .filter_map(|_| of(quantile(&chance.draw(over), at), quantile(&chance.draw(under), at)))
        .collect();
    if drawn.len() < DRAWS {
        // Figures so near to zero that some draws have no ratio: how large it may be, nobody knows.
        return Some(Ratio { ratio, interval: None });
    }
    let interval = quantile(&drawn, 0.05).zip(quantile(&drawn, 0.95)).map(|(low, high)| [low, high]);
    Some(Ratio { ratio, interval })
}

/// Numbers that look random and are the same each time (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % below.max(1) as u64).unwrap_or(0)
    }

    fn draw(&mut self, runs: &Runs) -> Vec<f64> {
        let filled: Vec<&Vec<f64>> = runs.iter().filter(|run| !run.is_empty()).collect();
        let mut drawn = Vec::new();
        for _ in 0..filled.len() {
            let run = filled[self.next(filled.len())];
            drawn.extend((0..run.len()).map(|_| run[self.next(run.len())]));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::{quantile, ratio};

    #[test]
    fn quantiles_are_figures_that_were_measured() {
        let figures: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(
            [0.1, 0.5, 0.99, 1.0].map(|at| quantile(&figures, at).unwrap()),
            [10.0, 50.0, 99.0, 100.0]
        );
        assert_eq!(quantile(&[7.0], 0.5), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_ratio_lies_in_its_interval_and_steady_figures_make_it_narrow() {
        let steady = |base: f64| vec![vec![base; 20], vec![base * 1.01; 20], vec![base * 0.99; 20]];
        let found = ratio(&steady(8.0), &steady(2.0), 0.5).unwrap();
        assert!((found.ratio - 4.0).abs() < 0.01, "{found:?}");
        let [low, high] = found.interval.unwrap();
        assert!(low <= found.ratio && found.ratio <= high, "{found:?}");
        assert!(high - low < 0.4, "{found:?}");
    }

    #[test]
    fn runs_that_differ_make_it_wide_however_many_samples_they_have() {
        let moody = vec![vec![1.0; 500], vec![3.0; 500], vec![9.0; 500]];
        let found = ratio(&moody, &[vec![1.0; 500]], 0.5).unwrap();
        let [low, high] = found.interval.unwrap();
        assert!(low <= 1.0 && high >= 9.0, "{found:?}");
    }

    #[test]
    fn one_sample_is_not_shown_as_certain() {
        let found = ratio(&[vec![4.0]], &[vec![2.0]], 0.5).unwrap();
        assert_eq!((found.ratio, found.interval), (2.0, None));
    }

    #[test]
    fn without_figures_or_with_a_time_below_zero_there_is_no_ratio() {
        assert_eq!(ratio(&[], &[vec![1.0]], 0.5), None);
        assert_eq!(ratio(&[vec![1.0]], &[vec![-0.001]], 0.5), None);
    }
}
