//! The results: what the file in bench/results holds, and what the page is made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use super::contestant::Contestant;
use super::measures::{self, Better, Measure, Samples};
use super::statistics::{Ratio, quantile_of_runs, ratio};
use super::versions::{Host, Sources};
use crate::command;

/// Everything that was found.
pub(super) struct Report<'a> {
    pub(super) host: &'a Host,
    pub(super) sources: &'a Sources,
    pub(super) runs: u32,
    pub(super) drivers: &'a [Contestant],
    pub(super) rows: Vec<Row<'a>>,
    /// What failed.
    pub(super) notes: Vec<String>,
}

/// One measure's figures.
pub(super) struct Row<'a> {
    pub(super) measure: &'static Measure,
    pub(super) by: BTreeMap<Contestant, Figures<'a>>,
}

/// One measure's figures of one driver.
pub(super) struct Figures<'a> {
    pub(super) samples: &'a [Vec<f64>],
    /// The quantile that the measure asks for.
    pub(super) value: f64,
    pub(super) p10: f64,
    pub(super) p90: f64,
    /// How many times better than the driver of [`Report::base`].
    pub(super) factor: Option<Ratio>,
}

impl<'a> Report<'a> {
    /// Sums all samples up.
    pub(super) fn new(
        host: &'a Host,
        sources: &'a Sources,
        runs: u32,
        drivers: &'a [Contestant],
        samples: &'a Samples,
        notes: Vec<String>,
    ) -> Self {
        let base = base(drivers);
        let rows = measures::ALL.iter().map(|measure| Row::new(measure, drivers, base, samples)).collect();
        Self { host, sources, runs, drivers, rows, notes }
    }

    /// Whom the others are compared with.
    pub(super) fn base(&self) -> Contestant {
        base(self.drivers)
    }

    /// Writes the file of results, and says where.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let file = PathBuf::from(format!("bench/results/{}.json", self.host.name()));
        let path = command::root().join(&file);
        fs::create_dir_all(command::root().join("bench/results"))?;
        let text = serde_json::to_string_pretty(&self.written())? + "\n";
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(file)
    }

    fn written(&self) -> Written<'_> {
        let mut measures = BTreeMap::<&str, BTreeMap<Contestant, WrittenFigures>>::new();
        for row in &self.rows {
            let of = measures.entry(row.measure.key).or_default();
            for (driver, figures) in &row.by {
                let written = of.entry(*driver).or_insert_with(|| WrittenFigures {
                    samples: figures.samples.iter().map(|run| run.iter().map(short).collect()).collect(),
                    summaries: BTreeMap::new(),
                });
                let name = if row.measure.at > 0.9 { "p99" } else { "median" };
                written.summaries.insert(
                    name,
                    Summary {
                        value: figures.value,
                        times_better: figures.factor.map(|factor| factor.ratio),
                        interval: figures.factor.and_then(|factor| factor.interval),
                    },
                );
            }
        }
        Written {
            host: self.host,
            sources: self.sources,
            runs: self.runs,
            compared_with: self.base(),
            units: "seconds, MiB/s, KiB; samples by run; times_better with its 90 % interval",
            measures,
            failures: &self.notes,
        }
    }
}

/// The file of results.
#[derive(Serialize)]
struct Written<'a> {
    host: &'a Host,
    sources: &'a Sources,
    runs: u32,
    compared_with: Contestant,
    units: &'static str,
    measures: BTreeMap<&'static str, BTreeMap<Contestant, WrittenFigures>>,
    failures: &'a [String],
}

#[derive(Serialize)]
struct WrittenFigures {
    #[serde(flatten)]
    summaries: BTreeMap<&'static str, Summary>,
    samples: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct Summary {
    value: f64,
    times_better: Option<f64>,
    interval: Option<[f64; 2]>,
}

impl<'a> Row<'a> {
    fn new(
        measure: &'static Measure,
        drivers: &[Contestant],
        base: Contestant,
        samples: &'a Samples,
    ) -> Self {
        let has_own = quantile_of_runs(samples.of(measure.key, base), measure.at).is_some();
        let of_base = samples.of(measure.instead.filter(|_| !has_own).unwrap_or(measure.key), base);
        let by = drivers.iter().filter_map(|driver| {
            let own = samples.of(measure.key, *driver);
            let value = quantile_of_runs(own, measure.at)?;
            let factor = match measure.better {
                _ if *driver == base => None,
                Better::Less => ratio(of_base, own, measure.at),
                Better::More => ratio(own, of_base, measure.at),
            };
            let at = |share| quantile_of_runs(own, share).unwrap_or(value);
            Some((*driver, Figures { samples: own, value, p10: at(0.1), p90: at(0.9), factor }))
        });
        Self { measure, by: by.collect() }
    }
}

fn base(drivers: &[Contestant]) -> Contestant {
    if drivers.contains(&Contestant::Upstream) { Contestant::Upstream } else { Contestant::Shell }
}

/// To the microsecond, which is more than a sample tells.
fn short(sample: &f64) -> f64 {
    (sample * 1e6).round() / 1e6
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Contestant, Report, Samples};
    use crate::bench::versions::{Host, Sources};

    pub(in crate::bench) fn host() -> Host {
        Host {
            date: "2026-01-02".to_owned(),
            cpu: "A | B".to_owned(),
            cores: 4,
            kernel: "6.1".to_owned(),
            qemu: "10.0.2".to_owned(),
            accelerator: "tcg".to_owned(),
            guest_kernel: "6.12".to_owned(),
            load: 0.5,
        }
    }

    pub(in crate::bench) fn sources() -> Sources {
        Sources { innkeeper: "0123".to_owned(), upstream: Some("nixpkgs 4567".to_owned()) }
    }

    pub(in crate::bench) fn samples() -> Samples {
        let mut samples = Samples::default();
        samples.put("round_trip", Contestant::Agent, vec![0.002, 0.002, 0.004]);
        samples.put("round_trip", Contestant::Upstream, vec![0.02, 0.02, 0.08]);
        samples.put("copy_from_host", Contestant::Agent, vec![50.0]);
        samples.put("copy_from_host", Contestant::Upstream, vec![10.0]);
        samples.put("copy_via_shell", Contestant::Agent, vec![50.0]);
        samples.put("copy_small_via_shell", Contestant::Upstream, vec![0.5]);
        samples.put("late_file", Contestant::Agent, vec![0.5]);
        samples
    }

    #[test]
    fn factors_say_how_many_times_better_for_times_and_for_rates() {
        let (host, sources, samples) = (host(), sources(), samples());
        let drivers = [Contestant::Agent, Contestant::Upstream];
        let report = Report::new(&host, &sources, 1, &drivers, &samples, Vec::new());
        let written = serde_json::to_value(report.written()).unwrap();
        let times = |key: &str, what: &str| written["measures"][key]["agent"][what]["times_better"].clone();
        assert_eq!(times("round_trip", "median"), 10.0);
        assert_eq!(times("round_trip", "p99"), 20.0);
        assert_eq!(times("copy_from_host", "median"), 5.0);
        assert_eq!(times("copy_via_shell", "median"), 100.0, "as fast as upstream with small files");
        assert!(times("late_file", "median").is_null(), "upstream has no such figure");
        assert_eq!(written["measures"]["round_trip"]["upstream"]["median"]["value"], 0.02);
        assert!(written["measures"]["round_trip"]["upstream"]["median"]["times_better"].is_null());
    }
}
