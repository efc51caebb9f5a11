//! What is measured: one list, for the results and for the page.

use std::collections::BTreeMap;

use super::Round;
use super::contestant::Contestant;
use super::process::Usage;

/// One thing that is measured.
pub(super) struct Measure {
    /// Its name in the results. Measures of the same samples share it.
    pub(super) key: &'static str,
    /// What it is, on the page.
    pub(super) title: &'static str,
    /// The quantile that stands for all samples.
    pub(super) at: f64,
    /// The unit of the page, and how many of it a sample's unit is.
    pub(super) unit: (&'static str, f64),
    /// Whether less is better, as with times, or more, as with rates.
    pub(super) better: Better,
    /// The measure to compare with if the other driver has no figure of its own for this one.
    pub(super) instead: Option<&'static str>,
    of: fn(&Round) -> Vec<f64>,
}

/// Which way a driver wants a figure to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Less,
    More,
}

const MS: (&str, f64) = ("ms", 1e3);
const S: (&str, f64) = ("s", 1.0);
const RATE: (&str, f64) = ("MiB/s", 1.0);

/// A time, in seconds, of which the median counts.
const fn time(
    key: &'static str,
    title: &'static str,
    unit: (&'static str, f64),
    of: fn(&Round) -> Vec<f64>,
) -> Measure {
    Measure { key, title, at: 0.5, unit, better: Better::Less, instead: None, of }
}

const fn rate(key: &'static str, title: &'static str, of: fn(&Round) -> Vec<f64>) -> Measure {
    Measure { key, title, at: 0.5, unit: RATE, better: Better::More, instead: None, of }
}

/// The same samples, of which the 99th hundredth counts.
const fn p99(of: Measure, title: &'static str) -> Measure {
    Measure { title, at: 0.99, ..of }
}

const ROUND_TRIP: Measure =
    time("round_trip", "`succeed(\"true\")`, back to back", MS, |round| round.findings.round_trips.clone());
const PAUSED: Measure = time("paused_round_trip", "`succeed(\"true\")`, 50 ms apart", MS, |round| {
    round.findings.paused_round_trips.clone()
});

/// Everything, in the page's order.
pub(super) const ALL: &[Measure] = &[
    ROUND_TRIP,
    p99(ROUND_TRIP, "the same, 99th percentile"),
    PAUSED,
    p99(PAUSED, "the same, 99th percentile"),
    time("program_round_trip", "`succeed(\"uname -s\")`, back to back", MS, |round| {
        round.findings.program_round_trips.clone()
    }),
    time("shell_round_trip", "`succeed(\"true && true\")`, back to back", MS, |round| {
        round.findings.shell_round_trips.clone()
    }),
    time("paused_shell_round_trip", "`succeed(\"true && true\")`, 50 ms apart", MS, |round| {
        round.findings.paused_shell_round_trips.clone()
    }),
    time("at_once", "8 × `true` at once", MS, |round| round.findings.at_once.clone()),
    time("at_once_sleeping", "8 × `sleep 0.25` at once", MS, |round| {
        round.findings.at_once_sleeping.clone()
    }),
    time("late_unit", "late: `wait_for_unit`", MS, |round| late(round, "unit")),
    time("late_unit_process", "… since its process was told to end", MS, |round| {
        late(round, "unit_process")
    }),
    time("late_file", "late: `wait_for_file`", MS, |round| late(round, "file")),
    time("late_port", "late: `wait_for_open_port`", MS, |round| late(round, "port")),
    time("late_socket", "late: `wait_for_open_unix_socket`", MS, |round| late(round, "socket")),
    time("late_console", "late: `wait_for_console_text`", MS, |round| late(round, "console")),
    time("late_console_timeout", "late: the same, with a timeout", MS, |round| {
        late(round, "console_timeout")
    }),
    time("late_tty", "late: `wait_until_tty_matches`", MS, |round| late(round, "tty")),
    time("late_until_succeeds", "late: `wait_until_succeeds`", MS, |round| late(round, "until_succeeds")),
    rate("copy_small_via_shell", "`copy_from_host_via_shell`, 64 KiB", |round| {
        copy(round, "small_via_shell")
    }),
    Measure {
        // The NixOS driver cannot copy so much this way; its rate with small files is what it comes to.
        instead: Some("copy_small_via_shell"),
        ..rate("copy_via_shell", "`copy_from_host_via_shell`, 100 MiB", |round| copy(round, "via_shell"))
    },
    rate("copy_from_host", "`copy_from_host`, 100 MiB", |round| copy(round, "from_host")),
    rate("copy_from_machine", "`copy_from_machine`, 100 MiB", |round| copy(round, "from_machine")),
    time("first_line", "start to the script's first line", MS, |round| vec![round.findings.first_line]),
    time("first_command", "start to the end of the first command", S, |round| {
        vec![round.findings.first_command]
    }),
    time("restore", "a snapshot's machine: start to the end of the first command", S, |round| {
        snapshot(round, "restore")
    }),
    time("save", "taking that snapshot", S, |round| snapshot(round, "save")),
    time("guestbook", "the guestbook test as a whole", S, |round| guestbook(round, |usage| usage.seconds)),
    time("guestbook_cpu", "processor time in it", S, |round| guestbook(round, |usage| usage.cpu_seconds)),
    time("script_cpu", "processor time in the benchmark script", S, |round| vec![round.script.cpu_seconds]),
    Measure {
        key: "memory",
        title: "peak memory in the benchmark script",
        at: 0.5,
        unit: ("MiB", 1.0 / 1024.0),
        better: Better::Less,
        instead: None,
        of: |round| vec![round.script.memory_kib],
    },
    Measure {
        key: "guestbook_memory",
        title: "peak memory in the guestbook test",
        at: 0.5,
        unit: ("MiB", 1.0 / 1024.0),
        better: Better::Less,
        instead: None,
        of: |round| guestbook(round, |usage| usage.memory_kib),
    },
];

fn guestbook(round: &Round, figure: fn(&Usage) -> f64) -> Vec<f64> {
    round.guestbook.iter().map(figure).collect()
}

fn late(round: &Round, kind: &str) -> Vec<f64> {
    round.findings.late.get(kind).cloned().unwrap_or_default()
}

fn copy(round: &Round, way: &str) -> Vec<f64> {
    round.findings.copies.get(way).cloned().unwrap_or_default()
}

fn snapshot(round: &Round, what: &str) -> Vec<f64> {
    round.findings.snapshots.get(what).cloned().unwrap_or_default()
}

/// All samples: by key and driver, one list for each run.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<(&'static str, Contestant), Vec<Vec<f64>>>);

impl Samples {
    /// Adds those of one run.
    pub(super) fn add(&mut self, driver: Contestant, round: &Round) {
        let mut seen = Vec::new();
        for measure in ALL {
            if !seen.contains(&measure.key) {
                seen.push(measure.key);
                self.put(measure.key, driver, (measure.of)(round));
            }
        }
    }

    /// Adds samples of one measure.
    pub(super) fn put(&mut self, key: &'static str, driver: Contestant, samples: Vec<f64>) {
        self.0.entry((key, driver)).or_default().push(samples);
    }

    /// Those of a measure, by run.
    pub(super) fn of(&self, key: &'static str, driver: Contestant) -> &[Vec<f64>] {
        self.0.get(&(key, driver)).map_or(&[], Vec::as_slice)
    }
}
