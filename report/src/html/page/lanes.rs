//! The time line as numbers for the template: lanes, bars, marks and an axis, and the tables beside it.

use crate::escape::visible;
use crate::html::clock::{moment, span, tick};
use crate::html::timeline::{Bar, BarResult, Lane, Mark, Phase, Timeline, phase_word};
use crate::paint::limit;
use crate::tally::micros;

/// The width that places are given in: that of the drawing, which the browser stretches.
const WIDTH: f64 = 100.0;
/// Of which so much is used: what happens at the end has room to be seen.
const USED: f64 = 99.4;
/// The width that the text of a mark on the axis may need.
const LABEL: f64 = 7.0;
/// Faults of networks that the table has.
const FAULTS: usize = 50;
/// The least width of a bar, so that it can be seen.
const LEAST: f64 = 0.12;
/// Rows of bars that a lane shows: steps in steps, and steps of several threads.
const ROWS: usize = 5;
/// The phases that the legend explains, as the style and as the page name them.
pub(super) const LEGEND: &[(&str, &str)] = &[
    ("firmware", "firmware"),
    ("kernel", "kernel"),
    ("initrd", "initial RAM disk"),
    ("init", "init system"),
    ("up", "up"),
];
/// Heights in the drawing, in pixels.
const BAND: usize = 10;
const ROW: usize = 17;

pub(super) struct Tick {
    pub(super) at: String,
    pub(super) text: String,
    /// Whether the text stands before the mark, since there is no room behind it.
    pub(super) before: bool,
}

/// A fault of a network.
pub(super) struct FaultView {
    pub(super) text: String,
    pub(super) at: String,
    pub(super) duration: String,
    pub(super) seq: u64,
}

pub(super) struct LaneView {
    pub(super) name: String,
    pub(super) number: usize,
    pub(super) height: usize,
    pub(super) phases: Vec<PhaseView>,
    pub(super) bars: Vec<BarView>,
    pub(super) marks: Vec<MarkView>,
    pub(super) left_out: usize,
}

pub(super) struct PhaseView {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) title: String,
}

pub(super) struct BarView {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) y: usize,
    pub(super) text: String,
    pub(super) title: String,
    pub(super) seq: u64,
}

pub(super) struct MarkView {
    pub(super) kind: &'static str,
    pub(super) x: String,
    pub(super) title: String,
    pub(super) seq: u64,
}

pub(super) struct Slow {
    pub(super) machine: String,
    pub(super) text: String,
    pub(super) duration: String,
    /// How long it could have taken, if it was a wait.
    pub(super) limit: Option<String>,
    pub(super) at: String,
    pub(super) seq: u64,
    pub(super) failed: bool,
    /// Of the slowest one's time, in percent.
    pub(super) share: String,
}

/// One boot of a machine.
pub(super) struct Boot {
    pub(super) machine: String,
    pub(super) total: String,
    /// Whether it came to its shell.
    pub(super) up: bool,
    pub(super) phases: Vec<BootPart>,
}

pub(super) struct BootPart {
    pub(super) class: &'static str,
    pub(super) word: String,
    pub(super) duration: String,
    pub(super) share: String,
}

/// A length of `total_us`, in the drawing's width.
struct Scale {
    total_us: u64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a place in a drawing needs no more than six digits")]
    fn of(&self, us: u64) -> f64 {
        us.min(self.total_us) as f64 / self.total_us.max(1) as f64 * USED
    }

    fn place(&self, us: u64) -> String {
        percent(self.of(us))
    }

    fn width(&self, start_us: u64, end_us: u64) -> f64 {
        self.of(end_us) - self.of(start_us)
    }
}

fn percent(value: f64) -> String {
    format!("{value:.3}%")
}

/// The marks of the axis.
pub(super) fn ticks(end_us: u64) -> Vec<Tick> {
    let (step, scale) = (tick(end_us), Scale { total_us: end_us });
    let times = (0..).map(|number| number * step).take_while(|us| *us <= end_us);
    times
        .map(|us| Tick { at: scale.place(us), text: moment(us), before: scale.of(us) > WIDTH - LABEL })
        .collect()
}

/// The faults that the test imposed on its networks, in order.
pub(super) fn faults(timeline: &Timeline) -> Vec<FaultView> {
    let mut faults: Vec<&Bar> = timeline.test.bars.iter().filter(|bar| bar.is_fault).collect();
    faults.sort_by_key(|bar| bar.seq);
    faults.truncate(FAULTS);
    let view = |bar: &Bar| FaultView {
        text: bar.text.clone(),
        at: moment(bar.start_us),
        duration: span(bar.duration_us()),
        seq: bar.seq,
    };
    faults.into_iter().map(view).collect()
}

/// The lanes: of the test, if it has parts, and of each machine.
pub(super) fn of(timeline: &Timeline) -> Vec<LaneView> {
    let scale = Scale { total_us: timeline.end_us };
    let test = ("test", 0, &timeline.test);
    let test = (!timeline.test.bars.is_empty() || !timeline.test.marks.is_empty()).then_some(test);
    let machines =
        timeline.machines.iter().zip(1..).map(|((name, lane), number)| (name.as_str(), number, lane));
    test.into_iter()
        .chain(machines)
        .map(|(name, number, lane)| lane_view(name, number, lane, &scale))
        .collect()
}

fn lane_view(name: &str, number: usize, lane: &Lane, scale: &Scale) -> LaneView {
    let mut bars: Vec<&Bar> = lane.bars.iter().collect();
    bars.sort_by_key(|bar| (bar.start_us, std::cmp::Reverse(bar.end_us), bar.seq));
    // Each bar goes to the first row that is free when it begins.
    let mut free_from: Vec<u64> = Vec::new();
    let mut shown = Vec::new();
    let mut left_out = lane.left_out;
    for bar in bars {
        let row = free_from.iter().position(|end| *end <= bar.start_us).unwrap_or(free_from.len());
        if row >= ROWS {
            left_out += 1;
            continue;
        }
        if row == free_from.len() {
            free_from.push(0);
        }
        free_from[row] = bar.end_us;
        shown.push(bar_view(bar, row, scale));
    }
    LaneView {
        name: visible(name).into_owned(),
        number,
        height: BAND + free_from.len().max(1) * ROW + 4,
        phases: lane.phases.iter().map(|phase| phase_view(phase, scale)).collect(),
        bars: shown,
        marks: lane.marks.iter().map(|mark| mark_view(mark, scale)).collect(),
        left_out,
    }
}

fn bar_view(bar: &Bar, row: usize, scale: &Scale) -> BarView {
    let width = scale.width(bar.start_us, bar.end_us).max(LEAST);
    let result = match bar.result {
        BarResult::Done => "",
        BarResult::Failed => ", failed",
        BarResult::CutOff => ", cut off",
    };
    let most =
        bar.limit_us.map(|limit_us| format!(" of {} at most", limit(micros(limit_us)))).unwrap_or_default();
    BarView {
        class: class_of(bar),
        x: percent(scale.of(bar.start_us).min(WIDTH - width)),
        width: percent(width),
        y: BAND + 3 + row * ROW,
        text: bar.text.clone(),
        title: format!(
            "{}\n{}{most}, from {}{result}",
            bar.text,
            span(bar.duration_us()),
            moment(bar.start_us)
        ),
        seq: bar.seq,
    }
}

fn class_of(bar: &Bar) -> &'static str {
    match bar.result {
        _ if bar.is_fault => "fault",
        BarResult::Failed => "failed",
        BarResult::CutOff => "cut",
        BarResult::Done if bar.limit_us.is_some() || bar.text.starts_with("wait") => "wait",
        BarResult::Done => "done",
    }
}

fn phase_view(phase: &Phase, scale: &Scale) -> PhaseView {
    PhaseView {
        class: phase.name,
        x: scale.place(phase.start_us),
        width: percent(scale.width(phase.start_us, phase.end_us)),
        title: format!("{}: {}", phase_word(phase.name), span(phase.end_us.saturating_sub(phase.start_us))),
    }
}

fn mark_view(mark: &Mark, scale: &Scale) -> MarkView {
    let title = format!("{}, at {}", mark.text, moment(mark.t_us));
    MarkView { kind: mark.kind, x: scale.place(mark.t_us), title, seq: mark.seq }
}

/// The steps that took longest.
pub(super) fn slowest(timeline: &Timeline) -> Vec<Slow> {
    let longest = timeline.slowest.first().map_or(0, |(_, bar)| bar.duration_us());
    let scale = Scale { total_us: longest };
    let rows = timeline.slowest.iter().map(|(machine, bar)| Slow {
        machine: visible(machine).into_owned(),
        text: bar.text.clone(),
        duration: span(bar.duration_us()),
        limit: bar.limit_us.map(|limit_us| limit(micros(limit_us))),
        at: moment(bar.start_us),
        seq: bar.seq,
        failed: bar.result != BarResult::Done,
        share: scale.place(bar.duration_us()),
    });
    rows.collect()
}

/// The boots of all machines.
pub(super) fn boots(timeline: &Timeline) -> Vec<Boot> {
    let mut boots = Vec::new();
    for (machine, lane) in &timeline.machines {
        let mut parts: Vec<&Phase> = Vec::new();
        for phase in &lane.phases {
            // A boot begins with a launch, or with a kernel that starts again.
            let again = matches!(phase.name, "launch") || (phase.name == "kernel" && is_far(&parts));
            if again && !parts.is_empty() {
                boots.push(boot(machine, &parts, false));
                parts.clear();
            }
            if phase.name == "up" {
                if !parts.is_empty() {
                    boots.push(boot(machine, &parts, true));
                }
                parts.clear();
            } else {
                parts.push(phase);
            }
        }
        if !parts.is_empty() {
            boots.push(boot(machine, &parts, false));
        }
    }
    boots.truncate(50);
    boots
}

fn is_far(parts: &[&Phase]) -> bool {
    parts.iter().any(|phase| matches!(phase.name, "kernel" | "initrd" | "init" | "shell"))
}

fn boot(machine: &str, parts: &[&Phase], up: bool) -> Boot {
    let length = |phase: &Phase| phase.end_us.saturating_sub(phase.start_us);
    let total_us = parts.iter().map(|phase| length(phase)).sum();
    let scale = Scale { total_us };
    let part = |phase: &&Phase| BootPart {
        class: phase.name,
        word: phase_word(phase.name).to_owned(),
        duration: span(length(phase)),
        share: scale.place(length(phase)),
    };
    Boot {
        machine: visible(machine).into_owned(),
        total: span(total_us),
        up,
        phases: parts.iter().map(part).collect(),
    }
}
