//! The journal: puts all events of a run in one order, writes them to `events.jsonl` at once, and hands
//! them to the reporters. What `emit` has returned from is on disk for every later reader, also after a
//! kill -9 of the driver.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::error::DriverError;
use crate::event::{Event, Level, Record, ScopeId, ScopeKind};

tokio::task_local! {
    /// The innermost open scope of the task: where its events belong.
    static SCOPE: ScopeId;
    /// What the task's next step is called, if not as the verb would have it.
    static HEADING: Cell<Option<String>>;
    /// Whom the task asks in each step that it takes in the scope of that number.
    static GATE: (ScopeId, Arc<dyn Gate>);
}

/// Bytes of console text that one machine may add to the journal; what comes after is dropped, and the
/// journal says so once. A guest must not be able to fill the host's disk.
const CONSOLE_LIMIT: usize = 256 << 20;

/// What the reporters may take for the rest of the stream, when the run is over. One may wait for somebody else: for a
/// plugin, for a reader that has stopped reading.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// Is asked at the beginning of steps whether their work may be done.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Returns when it may. `step` is the step's scope: what is done about it belongs there.
    ///
    /// # Errors
    /// Why it may not; the step fails with it.
    async fn pass(&self, step: ScopeId) -> Result<(), DriverError>;
}

/// Makes something of the event stream. Called from one thread, in order.
pub trait Reporter: Send {
    /// Takes one record.
    ///
    /// # Errors
    /// A report that could not be written; it is told to the user, and the reporter is asked no more.
    fn record(&mut self, record: &Record) -> Result<(), DriverError>;

    /// The stream has ended; nothing comes after.
    ///
    /// # Errors
    /// As for [`Reporter::record`].
    fn finish(&mut self) -> Result<(), DriverError> {
        Ok(())
    }
}

/// The one place that all events of a run go through. Cloning gives another handle.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    next_seq: u64,
    next_scope: ScopeId,
    file: Option<File>,
    reporters: Option<Reporters>,
    console_bytes: HashMap<String, usize>,
    write_error: Option<std::io::Error>,
}

/// The thread of the reporters.
struct Reporters {
    notes: mpsc::Sender<Note>,
    /// What could not be written, when all is done.
    errors: mpsc::Receiver<Vec<DriverError>>,
}

impl Journal {
    /// Opens a journal that writes to `file` and feeds `reporters` from a thread of its own.
    ///
    /// # Errors
    /// [`DriverError::File`] when the file cannot be made.
    pub fn create(file: &Path, reporters: Vec<Box<dyn Reporter>>) -> Result<Self, DriverError> {
        let handle = File::create(file).map_err(|source| DriverError::File {
            operation: "create",
            path: file.display().to_string(),
            source,
        })?;
        Ok(Self::with(Some(handle), reporters))
    }

    /// A journal that keeps nothing on disk; for tests.
    #[must_use]
    pub fn in_memory(reporters: Vec<Box<dyn Reporter>>) -> Self {
        Self::with(None, reporters)
    }

    fn with(file: Option<File>, reporters: Vec<Box<dyn Reporter>>) -> Self {
        let (notes, receiver) = mpsc::channel();
        let (done, errors) = mpsc::channel();
        // Nobody waits for them any more when they are too late.
        std::thread::spawn(move || drop(done.send(feed(&receiver, reporters))));
        let state = State {
            next_seq: 0,
            next_scope: 1,
            file,
            reporters: Some(Reporters { notes, errors }),
            console_bytes: HashMap::new(),
            write_error: None,
        };
        Self { shared: Arc::new(Shared { started: Instant::now(), state: Mutex::new(state) }) }
    }

    /// Adds an event in the task's current scope.
    pub fn emit(&self, machine: Option<&str>, event: Event) {
        self.emit_in(current_scope(), machine, event);
    }

    /// Adds an event in a scope of the caller's choice.
    pub fn emit_in(&self, scope: ScopeId, machine: Option<&str>, event: Event) {
        let mut state = self.lock();
        let event = match event {
            Event::Console { line } => match state.admit_console(machine, line) {
                Some(event) => event,
                None => return,
            },
            other => other,
        };
        state.write(self.shared.started, scope, machine, event);
    }

    /// Adds a line to the log.
    pub fn log(&self, level: Level, machine: Option<&str>, text: impl Into<String>) {
        self.emit(machine, Event::Log { level, text: text.into() });
    }

    /// Opens a scope inside `parent` and returns its number. Whoever opens it closes it.
    pub fn open_scope(
        &self,
        parent: ScopeId,
        machine: Option<&str>,
        kind: ScopeKind,
        text: impl Into<String>,
        file: Option<String>,
    ) -> Scope {
        let mut state = self.lock();
        let id = state.next_scope;
        state.next_scope += 1;
        let event = Event::ScopeStarted { id, kind, text: text.into(), file };
        state.write(self.shared.started, parent, machine, event);
        Scope { id, parent, machine: machine.map(str::to_owned), opened: Instant::now() }
    }

    /// Closes a scope.
    pub fn close_scope(&self, scope: &Scope, error: Option<String>) {
        let duration_us = u64::try_from(scope.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        let event = Event::ScopeEnded { id: scope.id, duration_us, error };
        self.emit_in(scope.parent, scope.machine.as_deref(), event);
    }

    /// Runs `work` inside a new scope, which ends when it does. What is dropped in the middle leaves a
    /// scope without an end, and readers take that for cut off.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub async fn step<T>(
        &self,
        machine: Option<&str>,
        text: impl Into<String>,
        file: Option<String>,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let heading = HEADING.try_with(Cell::take).ok().flatten().unwrap_or_else(|| text.into());
        let outer = current_scope();
        let scope = self.open_scope(outer, machine, ScopeKind::Step, heading, file);
        let gate =
            GATE.try_with(|(within, gate)| (*within == outer).then(|| Arc::clone(gate))).ok().flatten();
        let admitted = async {
            match gate {
                Some(gate) => gate.pass(scope.id).await,
                None => Ok(()),
            }
        };
        let result = in_scope(scope.id, async {
            admitted.await?;
            work.await
        })
        .await;
        self.close_scope(&scope, result.as_ref().err().map(DriverError::chain));
        result
    }

    /// Runs `work` as a step that waits for `limit` at most.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub async fn wait_step<T>(
        &self,
        machine: Option<&str>,
        text: impl Into<String>,
        limit: Duration,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        self.step(machine, text, None, async {
            let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
            self.emit(machine, Event::WaitLimit { limit_us });
            work.await
        })
        .await
    }

    /// Time since the run began, in microseconds.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.shared.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Waits until the reporters have taken all that has been emitted before, for `limit` at most; a
    /// reporter may wait for a reader that has stopped reading.
    pub fn settle(&self, limit: Duration) {
        let (taken, wait) = mpsc::channel();
        if let Some(reporters) = &self.lock().reporters {
            let _ = reporters.notes.send(Note::Settle(taken));
        }
        // Without an answer the caller goes on with what the reporters know.
        let _ = wait.recv_timeout(limit);
    }

    /// Ends the stream: waits until the reporters have taken everything and finished, for a minute at most. Later
    /// events are dropped.
    ///
    /// # Errors
    /// What could not be written, journal first.
    pub fn close(&self) -> Result<(), Vec<DriverError>> {
        self.close_within(REST_LIMIT)
    }

    fn close_within(&self, limit: Duration) -> Result<(), Vec<DriverError>> {
        let (reporters, write_error) = {
            let mut state = self.lock();
            state.file = None;
            (state.reporters.take(), state.write_error.take())
        };
        let mut errors: Vec<DriverError> = write_error
            .map(|source| DriverError::File { operation: "write", path: "events.jsonl".to_owned(), source })
            .into_iter()
            .collect();
        if let Some(Reporters { notes, errors: late }) = reporters {
            drop(notes);
            match late.recv_timeout(limit) {
                Ok(more) => errors.extend(more),
                Err(mpsc::RecvTimeoutError::Timeout) => errors.push(unfinished(limit)),
                // A panic has said so itself.
                Err(mpsc::RecvTimeoutError::Disconnected) => {}
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl State {
    fn write(&mut self, started: Instant, scope: ScopeId, machine: Option<&str>, event: Event) {
        let Some(reporters) = &self.reporters else { return };
        let record = Record {
            seq: self.next_seq,
            t_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            scope,
            machine: machine.map(str::to_owned),
            event,
        };
        self.next_seq += 1;
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&record).unwrap_or_default();
            line.push(b'\n');
            // The first failure is told at the end; the reporters still show the run.
            if let Err(error) = file.write_all(&line) {
                self.file = None;
                self.write_error = Some(error);
            }
        }
        // A reporter thread that has gone away has panicked, and told why.
        let _ = reporters.notes.send(Note::Record(Box::new(record)));
    }

    /// Counts a console line against its machine's limit; the first one over it becomes a warning.
    fn admit_console(&mut self, machine: Option<&str>, line: String) -> Option<Event> {
        let used = self.console_bytes.entry(machine.unwrap_or_default().to_owned()).or_default();
        let before = *used;
        *used = used.saturating_add(line.len() + 1);
        if *used <= CONSOLE_LIMIT {
            return Some(Event::Console { line });
        }
        (before <= CONSOLE_LIMIT).then(|| Event::Log {
            level: Level::Warning,
            text: format!("console output beyond {} MiB is not kept", CONSOLE_LIMIT >> 20),
        })
    }
}

/// What the thread of the reporters is told.
enum Note {
    Record(Box<Record>),
    /// Answer when you come to this.
    Settle(mpsc::Sender<()>),
}

/// The error for reporters that were not done in time.
fn unfinished(limit: Duration) -> DriverError {
    DriverError::File {
        operation: "finish",
        path: "the reports".to_owned(),
        source: std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!(
                "a reporter has not taken all events {limit:?} after the end of the run (events.jsonl is whole: \
                 `innkeeper report DIR` makes the reports again)"
            ),
        ),
    }
}

fn feed(notes: &mpsc::Receiver<Note>, reporters: Vec<Box<dyn Reporter>>) -> Vec<DriverError> {
    let mut errors = Vec::new();
    let mut reporters: Vec<Option<Box<dyn Reporter>>> = reporters.into_iter().map(Some).collect();
    for note in notes {
        let record = match note {
            Note::Record(record) => *record,
            Note::Settle(taken) => {
                let _ = taken.send(());
                continue;
            }
        };
        for slot in &mut reporters {
            if let Some(Err(error)) = slot.as_mut().map(|reporter| reporter.record(&record)) {
                errors.push(error);
                *slot = None;
            }
        }
    }
    errors.extend(reporters.iter_mut().flatten().filter_map(|reporter| reporter.finish().err()));
    errors
}

/// An open scope.
#[derive(Debug)]
pub struct Scope {
    id: ScopeId,
    parent: ScopeId,
    machine: Option<String>,
    opened: Instant,
}

impl Scope {
    /// The scope's number.
    #[must_use]
    pub fn id(&self) -> ScopeId {
        self.id
    }
}

/// The innermost open scope of the current task; zero outside of all.
#[must_use]
pub fn current_scope() -> ScopeId {
    SCOPE.try_with(|scope| *scope).unwrap_or_default()
}

/// Runs `work` with `scope` as the place that its events belong to.
pub fn in_scope<F: Future>(scope: ScopeId, work: F) -> impl Future<Output = F::Output> {
    SCOPE.scope(scope, work)
}

/// Runs `work` with `heading` instead of the text of the first step that it takes; with none, as it is.
pub fn under_heading<F: Future>(heading: Option<String>, work: F) -> impl Future<Output = F::Output> {
    HEADING.scope(Cell::new(heading), work)
}

/// Runs `work`, and asks `gate` in each step that it takes in the scope `within`; not in steps inside of those.
pub fn behind_gate<F: Future>(
    gate: Arc<dyn Gate>,
    within: ScopeId,
    work: F,
) -> impl Future<Output = F::Output> {
    GATE.scope((within, gate), work)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Journal, Reporter};
    use crate::error::DriverError;
    use crate::event::{Level, Record};

    /// Hangs until the sender of its channel is dropped.
    struct Stuck(mpsc::Receiver<()>);

    impl Reporter for Stuck {
        fn record(&mut self, _record: &Record) -> Result<(), DriverError> {
            let _ = self.0.recv();
            Ok(())
        }
    }

    #[test]
    fn a_reporter_that_does_not_come_to_an_end_is_not_waited_for_without_limit() {
        let (release, stuck) = mpsc::channel();
        let journal = Journal::in_memory(vec![Box::new(Stuck(stuck))]);
        journal.log(Level::Info, None, "text");
        let errors = journal.close_within(Duration::from_millis(20)).unwrap_err();
        let told = errors[0].chain();
        assert!(told.contains("events.jsonl is whole") && told.contains("`innkeeper report DIR`"), "{told}");
        drop(release);
    }
}
