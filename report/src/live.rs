//! The live area: a few lines below the log that say what each machine is doing, redrawn by a timer.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use driver_core::event::Record;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::board::Board;
use crate::unfilled::Unfilled;

/// How often the times in the live area move on.
const TICK: Duration = Duration::from_millis(100);

/// The most often that it is drawn, however much happens; what scrolls above it comes on top.
const DRAWS_PER_SECOND: u8 = 20;

/// The columns of a terminal that does not say how many it has.
const USUAL_WIDTH: u16 = 80;

/// The area on the screen. Dropping it clears it.
pub(crate) struct Live {
    area: Arc<Area>,
    stop: Option<mpsc::Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

struct Area {
    bar: ProgressBar,
    board: Mutex<(Board, Option<RunClock>)>,
    width: Option<u16>,
    colours: bool,
}

/// Tells the time of the run between two records.
struct RunClock {
    at: Instant,
    t_us: u64,
}

impl Live {
    /// The area at the bottom of the terminal on standard error.
    pub(crate) fn stderr(colours: bool) -> Self {
        Self::on(Self::target(Term::buffered_stderr()), None, colours)
    }

    fn target(terminal: impl TermLike + 'static) -> ProgressDrawTarget {
        ProgressDrawTarget::term_like_with_hz(Box::new(Unfilled::new(terminal)), DRAWS_PER_SECOND)
    }

    /// An area on any terminal, of a fixed width or the width of standard error.
    pub(crate) fn on(target: ProgressDrawTarget, width: Option<u16>, colours: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        // The template is a constant that parses; the other branch is never taken.
        bar.set_style(
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        let area = Arc::new(Area { bar, board: Mutex::default(), width, colours });
        let (stop, stopped) = mpsc::channel::<()>();
        let ticking = Arc::clone(&area);
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                ticking.redraw();
            }
        });
        Self { area, stop: Some(stop), ticker: Some(ticker) }
    }

    /// Takes the next record.
    pub(crate) fn observe(&self, record: &Record) {
        let mut state = self.area.board.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.observe(record);
        state.1 = Some(RunClock { at: Instant::now(), t_us: record.t_us });
    }

    /// Writes something above the area, which is out of the way meanwhile.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.area.bar.suspend(write)
    }
}

impl Area {
    fn redraw(&self) {
        let width = self.width.or_else(|| Term::stderr().size_checked().map(|(_, columns)| columns));
        let width = usize::from(width.unwrap_or(USUAL_WIDTH));
        let lines = {
            let state = self.board.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(clock) = &state.1 else { return };
            let now_us = clock.t_us + u64::try_from(clock.at.elapsed().as_micros()).unwrap_or_default();
            state.0.lines(now_us, width, self.colours)
        };
        self.bar.set_message(lines.join("\n"));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(ticker) = self.ticker.take() {
            // A ticker that panicked has nothing left to stop.
            let _ = ticker.join();
        }
        self.area.bar.finish_and_clear();
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Live;
    use driver_core::event::{ConsoleRules, Event, MachineState, Record, RunStarted};
    use indicatif::{InMemoryTerm, TermLike as _};

    fn record(t_us: u64, machine: Option<&str>, event: Event) -> Record {
        Record { seq: 0, t_us, scope: 0, machine: machine.map(str::to_owned), event }
    }

    fn live_on(screen: &InMemoryTerm) -> Live {
        let live = Live::on(Live::target(screen.clone()), Some(40), false);
        let run = RunStarted {
            format: 1,
            version: "0.1.0".to_owned(),
            test: "example".to_owned(),
            machines: vec!["server".to_owned()],
            script: "test.py".to_owned(),
            timeout_s: 60.0,
            started_unix_ms: 0,
            console: ConsoleRules::default(),
        };
        live.observe(&record(0, None, Event::RunStarted(run)));
        // The times of the area move on while the test runs, so they begin large enough not to be seen to.
        let connected = Event::MachineState { state: MachineState::Connected };
        live.observe(&record(3_600_000_000, Some("server"), connected));
        live.area.redraw();
        live
    }

    #[test]
    fn what_is_typed_goes_with_the_area() {
        let screen = InMemoryTerm::new(6, 40);
        let live = live_on(&screen);
        screen.write_str("^C").expect("the terminal's echo");
        live.above(|| screen.write_line("ended")).expect("the screen");
        drop(live);
        assert_eq!(screen.contents(), "ended");
    }

    #[test]
    fn the_log_scrolls_above_the_area_and_nothing_of_the_area_stays() {
        let screen = InMemoryTerm::new(6, 40);
        let live = live_on(&screen);
        for number in 1..=9 {
            live.above(|| screen.write_line(&format!("line {number} {}", "x".repeat(20))))
                .expect("the screen");
        }
        let shown = screen.contents();
        let lines: Vec<_> = shown.lines().collect();
        let (log, area) = lines.split_at(lines.len() - 2);
        assert!(area[0].starts_with("server  idle  ") && area[1] == "example  1h 00m / 1m", "{shown}");
        assert!(log.last().is_some_and(|line| line.starts_with("line 9")) && log.len() >= 3, "{shown}");
        assert!(log.iter().all(|line| line.starts_with("line ")), "{shown}");
        drop(live);
        let shown = screen.contents();
        assert!(shown.lines().all(|line| line.starts_with("line ")) && shown.contains("line 9"), "{shown}");
    }
}
