//! What goes wrong on a segment: which frames are lost, late, doubled or out of order.
//!
//! Knows neither clocks nor bytes: it is told when a frame of what length goes from where to where, and says what
//! becomes of it. Ports that belong to no machine count as one machine without a name.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use driver_core::vlan::{Fault, FaultId, FaultKind};

use self::course::Course;

mod check;
mod course;
mod scope;

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on at once.
    Pass,
    /// It is lost, by this fault.
    Lost(FaultId),
    /// It goes on at that time, and a second time at the other. Both can be in the past.
    At(Instant, Option<Instant>),
}

/// Two machines, by their numbers in [`Faults::machines`]: who sends, who receives.
type Machines = (usize, usize);

/// The faults of a segment.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    imposed: u64,
    active: Vec<Active>,
    /// All machines that ever had a port; the first is the one without a name.
    machines: Vec<Option<String>>,
    /// Which machine a port belongs to.
    ports: HashMap<usize, usize>,
    /// When the last frame between two machines goes on that was held back.
    last_due: HashMap<Machines, Instant>,
}

#[derive(Debug)]
struct Active {
    id: FaultId,
    fault: Fault,
    seed: u64,
    /// How it goes between two machines; `None` where it does not apply.
    courses: HashMap<Machines, Option<Course>>,
}

impl Faults {
    /// No faults. `seed` is where the seeds come from of those that bring none.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            imposed: 0,
            active: Vec::new(),
            machines: vec![None],
            ports: HashMap::new(),
            last_due: HashMap::new(),
        }
    }

    /// Says whom a port belongs to; a port that nothing was said about belongs to no machine.
    pub(crate) fn set_port(&mut self, port: usize, machine: Option<&str>) {
        let known = self.machines.iter().position(|known| known.as_deref() == machine);
        let number = known.unwrap_or_else(|| {
            self.machines.push(machine.map(str::to_owned));
            self.machines.len() - 1
        });
        self.ports.insert(port, number);
    }

    /// Puts a fault on the segment, and says where its randomness starts.
    ///
    /// # Errors
    /// What makes no sense about it.
    pub(crate) fn impose(&mut self, fault: &Fault) -> Result<(FaultId, u64), String> {
        let known: Vec<&str> = self.machines.iter().flatten().map(String::as_str).collect();
        check::check(fault, &known)?;
        self.imposed += 1;
        let id = FaultId(self.imposed);
        let seed = fault.seed.unwrap_or_else(|| course::seed(self.seed, self.imposed));
        self.active.push(Active { id, fault: fault.clone(), seed, courses: HashMap::new() });
        Ok((id, seed))
    }

    /// Takes a fault away. What it holds back ([`Faults::frees`]) is to be released.
    pub(crate) fn lift(&mut self, id: FaultId) -> Option<Fault> {
        let index = self.active.iter().position(|active| active.id == id)?;
        let fault = self.active.remove(index).fault;
        let machines = &self.machines;
        self.last_due
            .retain(|pair, _| !(holds_back(&fault.kind) && scope::concerns(&fault, names(machines, *pair))));
        Some(fault)
    }

    /// Takes all faults away. All that they hold back is to be released.
    pub(crate) fn heal(&mut self) -> Vec<FaultId> {
        self.last_due.clear();
        self.active.drain(..).map(|active| active.id).collect()
    }

    /// Whether there is no fault: all frames pass.
    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether frames from one port to another no longer wait now that `lifted` is gone.
    pub(crate) fn frees(&self, lifted: &Fault, from: usize, to: usize) -> bool {
        holds_back(&lifted.kind) && scope::concerns(lifted, names(&self.machines, self.pair(from, to)))
    }

    /// What becomes of a frame of `len` bytes that goes from one port to another now. To be asked once for each.
    pub(crate) fn judge(&mut self, from: usize, to: usize, len: usize, now: Instant) -> Fate {
        let pair = self.pair(from, to);
        let mut lost = None;
        let mut twice = false;
        let mut held_back = Duration::ZERO;
        let mut late: Option<Duration> = None;
        let mut slowest: Option<(u64, &mut Course, FaultId)> = None;
        // All faults are asked even about a frame that is lost already: what the one does to the n-th frame must
        // not hang on what another did to the frames before.
        for Active { id, fault, seed, courses } in &mut self.active {
            let machines = &self.machines;
            let course = courses.entry(pair).or_insert_with(|| {
                let names = names(machines, pair);
                scope::concerns(fault, names).then(|| Course::new(*seed, &fault.kind, names))
            });
            let Some(course) = course else { continue };
            match fault.kind {
                FaultKind::Partition { .. } => lost = lost.or(Some(*id)),
                FaultKind::Loss { percent } => {
                    if course.happens(percent) {
                        lost = lost.or(Some(*id));
                    }
                }
                FaultKind::Duplicate { percent } => twice |= course.happens(percent),
                FaultKind::Reorder { percent, by } => {
                    if course.happens(percent) {
                        held_back += by;
                    }
                }
                FaultKind::Delay { by, jitter } => {
                    *late.get_or_insert_default() += course.spread(by, jitter);
                }
                FaultKind::Rate { bits_per_second } => {
                    if slowest.as_ref().is_none_or(|(rate, ..)| bits_per_second < *rate) {
                        slowest = Some((bits_per_second, course, *id));
                    }
                }
            }
        }
        if let Some(id) = lost {
            return Fate::Lost(id);
        }
        if late.is_none() && slowest.is_none() && held_back.is_zero() && !twice {
            return Fate::Pass;
        }
        let (first, second) = match slowest {
            Some((rate, course, id)) => match course.send(rate, len, now) {
                None => return Fate::Lost(id),
                Some(first) => (first, if twice { course.send(rate, len, now) } else { None }),
            },
            None => (now, twice.then_some(now)),
        };
        let last_due = self.last_due.entry(pair).or_insert(now);
        let mut due = |sent: Instant| {
            *last_due = (*last_due).max(sent + late.unwrap_or_default());
            *last_due + held_back
        };
        Fate::At(due(first), second.map(due))
    }

    fn pair(&self, from: usize, to: usize) -> Machines {
        let machine = |port| self.ports.get(&port).copied().unwrap_or_default();
        (machine(from), machine(to))
    }
}

fn names(machines: &[Option<String>], (from, to): Machines) -> (Option<&str>, Option<&str>) {
    (machines[from].as_deref(), machines[to].as_deref())
}

fn holds_back(kind: &FaultKind) -> bool {
    matches!(kind, FaultKind::Delay { .. } | FaultKind::Rate { .. } | FaultKind::Reorder { .. })
}

#[cfg(test)]
mod tests;
