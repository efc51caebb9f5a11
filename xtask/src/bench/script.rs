//! What bench.py is told to do, and what it finds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::moments::Moments;

/// How much of everything to measure.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    round_trips: u32,
    paused_round_trips: u32,
    at_once: u32,
    /// Of each kind.
    waits: u32,
    small_copies: u32,
    copy_mib: u32,
    /// What a copy may take, in seconds, by the rate of the small ones; one that would take longer is left out.
    copy_limit: u32,
    snapshots: u32,
    /// Sections that are left out.
    skip: &'static [&'static str],
    /// Kinds of waits; none are all.
    kinds: &'static [&'static str],
    seed: u32,
}

impl Plan {
    /// One run with this many waits of each kind, and as many more round trips as they are shorter.
    pub(super) fn full(samples: u32) -> Self {
        Self {
            round_trips: 10 * samples,
            paused_round_trips: 4 * samples,
            at_once: 5,
            waits: samples,
            small_copies: 10,
            copy_mib: 100,
            copy_limit: 300,
            snapshots: 5,
            skip: &[],
            kinds: &[],
            seed: 0,
        }
    }

    /// Commands, and waits for units.
    pub(super) fn commands(samples: u32) -> Self {
        let skip = &["copy_small_via_shell", "copy_via_shell", "copy", "snapshots"];
        Self { skip, kinds: &["unit"], ..Self::full(samples) }
    }

    /// As little of it as shows that everything works.
    pub(super) fn in_small(&self) -> Self {
        Self { skip: self.skip, kinds: self.kinds, ..Self::trial() }
    }

    /// The same, with less of what has no number of samples.
    pub(super) fn quick(samples: u32) -> Self {
        Self { at_once: 3, small_copies: 5, snapshots: 3, ..Self::full(samples) }
    }

    fn trial() -> Self {
        Self {
            round_trips: 1,
            paused_round_trips: 1,
            at_once: 1,
            waits: 1,
            small_copies: 1,
            copy_mib: 1,
            snapshots: 1,
            ..Self::full(1)
        }
    }

    /// The same with pauses of its own. Within a run they are the same for each driver.
    pub(super) fn with_seed(&self, seed: u32) -> Self {
        Self { seed, ..self.clone() }
    }
}

/// How much earlier than its event a wait may be over, in seconds: clocks are set to each other by what takes a while.
const NOISE: f64 = 0.05;

/// What the script found. Times are in seconds, rates in MiB/s; a section that failed is empty.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// From the driver's start to the script's first line.
    pub(super) first_line: f64,
    /// From the driver's start to the end of the first command.
    pub(super) first_command: f64,
    pub(super) round_trips: Vec<f64>,
    /// Of a command that is a program, not one of the shell's own.
    pub(super) program_round_trips: Vec<f64>,
    /// Of one that needs a shell.
    pub(super) shell_round_trips: Vec<f64>,
    pub(super) paused_round_trips: Vec<f64>,
    pub(super) paused_shell_round_trips: Vec<f64>,
    pub(super) at_once: Vec<f64>,
    pub(super) at_once_sleeping: Vec<f64>,
    /// By kind, how long after its event each wait was over. Those for units are there twice: since systemd had the unit
    /// active, and since its process was told to end.
    pub(super) late: BTreeMap<String, Vec<f64>>,
    pub(super) copies: BTreeMap<String, Vec<f64>>,
    /// Times to save one, and from there to the end of a first command.
    pub(super) snapshots: BTreeMap<String, Vec<f64>>,
    pub(super) guest_kernel: String,
    /// What went wrong, by section.
    pub(super) errors: BTreeMap<String, String>,
}

/// The file that the script writes.
#[derive(Debug, Deserialize)]
struct File {
    began: f64,
    first_command: f64,
    #[serde(default)]
    round_trips: Vec<f64>,
    #[serde(default)]
    program_round_trips: Vec<f64>,
    #[serde(default)]
    shell_round_trips: Vec<f64>,
    #[serde(default)]
    paused_round_trips: Vec<f64>,
    #[serde(default)]
    paused_shell_round_trips: Vec<f64>,
    #[serde(default)]
    at_once: Vec<f64>,
    #[serde(default)]
    at_once_sleeping: Vec<f64>,
    #[serde(default)]
    waits: Vec<Wait>,
    copies: BTreeMap<String, Vec<f64>>,
    #[serde(default)]
    snapshots: BTreeMap<String, Vec<f64>>,
    guest_kernel: String,
    errors: BTreeMap<String, String>,
}

/// A wait that is over.
#[derive(Debug, Deserialize)]
struct Wait {
    kind: String,
    name: String,
    at: f64,
    /// When its event was, by the guest's clock, if the guest's word on that came after it.
    #[serde(default)]
    became: Option<f64>,
}

impl Findings {
    /// Reads what the script has written of a driver that was started at `began`.
    pub(super) fn read(file: &Path, began: f64, moments: &Moments) -> Result<Self> {
        let text = fs::read_to_string(file).context("the benchmark script has left no findings")?;
        Self::parse(&text, began, moments)
    }

    fn parse(text: &str, began: f64, moments: &Moments) -> Result<Self> {
        let mut file: File = serde_json::from_str(text)
            .context("the benchmark script has left findings that make no sense")?;
        let mut late = BTreeMap::<String, Vec<f64>>::new();
        for Wait { kind, name, at, became } in file.waits {
            let mut events = vec![(kind.clone(), moments.of(&name))];
            if let Some(became) = became {
                events = vec![(format!("{kind}_process"), moments.of(&name)), (kind, moments.at(became))];
            }
            for (kind, event) in events {
                match event.map(|happened| at - happened) {
                    Some(by) if by > -NOISE => late.entry(kind).or_default().push(by),
                    // Wrong is not fast.
                    _ => {
                        let before = format!("`{name}` was over before its event");
                        file.errors.insert(format!("wait {kind}"), before);
                    }
                }
            }
        }
        Ok(Self {
            first_line: file.began - began,
            first_command: file.first_command - began,
            round_trips: file.round_trips,
            program_round_trips: file.program_round_trips,
            shell_round_trips: file.shell_round_trips,
            paused_round_trips: file.paused_round_trips,
            paused_shell_round_trips: file.paused_shell_round_trips,
            at_once: file.at_once,
            at_once_sleeping: file.at_once_sleeping,
            late,
            copies: file.copies,
            snapshots: file.snapshots,
            guest_kernel: file.guest_kernel,
            errors: file.errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::Moment;
    use super::{Findings, Moments};

    const WRITTEN: &str = r#"{"began": 10.5, "first_command": 22.0, "copies": {}, "errors": {"copy": "no"},
        "guest_kernel": "6.12", "waits": [{"kind": "file", "name": "file-000", "at": 30.25},
        {"kind": "unit", "name": "unit-000", "at": 32.5, "became": 12.25}]}"#;

    fn moment(name: &str, host: f64, guest: f64) -> (String, Moment) {
        (name.to_owned(), Moment { event: guest, guest, host })
    }

    #[test]
    fn a_wait_is_late_by_the_time_since_its_event() {
        let moments = Moments::from_iter([moment("file-000", 30.0, 10.0), moment("unit-000", 32.0, 12.0)]);
        let findings = Findings::parse(WRITTEN, 10.0, &moments).unwrap();
        assert_eq!(findings.late["file"], [0.25]);
        assert_eq!(
            (&findings.late["unit"][..], &findings.late["unit_process"][..]),
            (&[0.25][..], &[0.5][..])
        );
        assert_eq!((findings.first_line, findings.first_command), (0.5, 12.0));
        assert!(findings.round_trips.is_empty());
    }

    #[test]
    fn a_wait_that_is_over_before_its_event_is_a_failure_and_no_figure() {
        let late = ["file-000", "unit-000"].map(|name| moment(name, 33.0, 12.25));
        for moments in [Moments::default(), Moments::from_iter(late)] {
            let findings = Findings::parse(WRITTEN, 10.0, &moments).unwrap();
            assert!(findings.late.is_empty());
            assert_eq!(findings.errors["wait file"], "`file-000` was over before its event");
            assert_eq!(findings.errors["wait unit"], "`unit-000` was over before its event");
        }
    }
}
