//! The serial console: every line goes into the journal, tells how far the boot has come, and ends the
//! waits for it. What commands say on their standard error is taken for its lines, too.

pub(super) mod plain;
mod search;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{broadcast, watch};

use super::Node;
use super::life::Running;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::{BootPhase, Event, Level, OutputStream};
use crate::journal::Journal;
use crate::machine::GuestStream;
use crate::wait::within;

/// How many pieces of what is read may wait for who sits at the console.
const LISTENERS_LAG: usize = 256;
/// A line that is longer is cut into several: a guest may print without ever ending a line.
const LINE_LIMIT: usize = 16 << 10;
/// What is kept in memory of the present launch; the oldest lines go first.
const LOG_LIMIT: usize = 64 << 20;
/// The last bytes of the present launch that are kept as they came: many times what a terminal can show.
const TAIL: usize = 64 << 10;
/// How long the last bytes of a console may lag behind the end of its machine.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// The console of one machine over all its launches.
pub(super) struct ConsoleLog {
    machine: String,
    journal: Journal,
    state: Mutex<State>,
    /// Counts what is read and the ends of streams, to wake who waits.
    changes: watch::Sender<u64>,
    /// What is read, as it comes, for those who sit at the console.
    heard: broadcast::Sender<Arc<[u8]>>,
}

#[derive(Default)]
struct State {
    /// The lines of the present launch.
    lines: Vec<Line>,
    bytes: usize,
    /// How many lines at the front of the launch have been dropped from `lines`.
    dropped: usize,
    /// The line that has begun and not ended, such as a prompt.
    begun: String,
    /// Bytes of it that `wait_for_console_text` has consumed.
    begun_consumed: usize,
    /// The last bytes that were printed: some more than [`TAIL`].
    tail: Vec<u8>,
    /// How many lines of the launch `wait_for_console_text` has consumed.
    consumed: usize,
    phase: Option<BootPhase>,
    panic: Option<String>,
    open: bool,
}

/// A line that has ended.
#[derive(Debug)]
struct Line {
    text: String,
    /// Bytes of it that were consumed when it had only begun.
    consumed: usize,
    /// Whether a command has said it: then it is not on the console itself.
    is_of_command: bool,
}

/// Types on a console.
pub(super) struct Typist(tokio::sync::Mutex<WriteHalf<Box<dyn GuestStream>>>);

impl ConsoleLog {
    pub(super) fn new(machine: &str, journal: Journal) -> Self {
        Self {
            machine: machine.to_owned(),
            journal,
            state: Mutex::new(State::default()),
            changes: watch::Sender::new(0),
            heard: broadcast::Sender::new(LISTENERS_LAG),
        }
    }

    /// A new launch begins: the log starts afresh.
    pub(super) fn restarted(&self) {
        *self.lock() = State::default();
    }

    /// Follows a console until it closes, in a task of its own.
    pub(super) fn attach(self: &Arc<Self>, stream: Box<dyn GuestStream>) -> Typist {
        let (reader, writer) = tokio::io::split(stream);
        self.lock().open = true;
        let console = Arc::clone(self);
        tokio::spawn(async move { console.follow(reader).await });
        Typist(tokio::sync::Mutex::new(writer))
    }

    async fn follow(&self, mut reader: ReadHalf<Box<dyn GuestStream>>) {
        let mut line = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            for byte in &buffer[..count] {
                if *byte != b'\n' {
                    line.push(*byte);
                }
                if *byte == b'\n' || line.len() >= LINE_LIMIT {
                    self.add(&line);
                    line.clear();
                }
            }
            let mut state = self.lock();
            state.begun = beginning(&line);
            state.keep(&buffer[..count]);
            // With the lock held: who comes now has this in `begun`, or hears it.
            if self.heard.receiver_count() > 0 {
                let _ = self.heard.send(Arc::from(&buffer[..count]));
            }
            drop(state);
            self.changed();
        }
        if !line.is_empty() {
            self.add(&line);
        }
        let mut state = self.lock();
        state.begun.clear();
        state.open = false;
        drop(state);
        self.changed();
    }

    fn add(&self, bytes: &[u8]) {
        let line = String::from_utf8_lossy(bytes).replace('\r', "").trim_end().to_owned();
        self.journal.emit(Some(&self.machine), Event::Console { line: line.clone() });
        if let Some(phase) = phase_of(&line) {
            self.reached(phase);
        }
        let mut state = self.lock();
        if is_panic(&line) {
            state.panic.get_or_insert_with(|| line.clone());
        }
        state.begun.clear();
        let consumed = std::mem::take(&mut state.begun_consumed);
        state.push(Line { text: line, consumed, is_of_command: false });
    }

    /// Puts a line that a command has said into the log.
    pub(super) fn log_of_command(&self, stream: OutputStream, line: String) {
        self.journal.emit(Some(&self.machine), Event::CommandOutput { stream, line });
    }

    /// Adds a line that a command has said. One of its standard error is a line of the console, for those who wait: the
    /// shell of a NixOS guest says it there.
    pub(super) fn add_of_command(&self, stream: OutputStream, line: String) {
        if stream == OutputStream::Stderr {
            self.lock().push(Line { text: line, consumed: 0, is_of_command: true });
            self.changed();
        }
    }

    /// Warns of something about the machine.
    pub(super) fn warn(&self, text: String) {
        self.journal.log(Level::Warning, Some(&self.machine), text);
    }

    /// The line that the console is at, and what it prints from then on.
    pub(super) fn listen(&self) -> (String, broadcast::Receiver<Arc<[u8]>>) {
        let state = self.lock();
        (state.begun.clone(), self.heard.subscribe())
    }

    /// Notes that the boot has come as far as `phase`. A kernel that starts again begins a new boot.
    pub(super) fn reached(&self, phase: BootPhase) {
        let mut state = self.lock();
        if phase == BootPhase::Kernel {
            state.panic = None;
        }
        let before = state.phase.unwrap_or(BootPhase::Silent);
        let again = phase == BootPhase::Kernel && before > BootPhase::Kernel;
        if phase > before || again {
            state.phase = Some(phase);
            drop(state);
            self.journal.emit(Some(&self.machine), Event::BootPhase { phase });
        }
    }

    /// How far the boot has come, in words, with the last line that was printed.
    pub(super) fn progress(&self) -> String {
        let state = self.lock();
        let phase = match state.phase {
            None | Some(BootPhase::Silent) => return "the console has stayed silent".to_owned(),
            Some(BootPhase::Firmware) => "the boot came as far as the firmware or boot loader",
            Some(BootPhase::Kernel) => "the boot came as far as the kernel",
            Some(BootPhase::Initrd) => "the boot came as far as the initial RAM disk",
            Some(BootPhase::Init) => "the boot came as far as the init system",
            Some(BootPhase::Shell) => "the guest had booted",
        };
        let ended = state.lines.iter().rev().filter(|line| !line.is_of_command).map(|line| &line.text);
        let mut lines = std::iter::once(&state.begun).chain(ended);
        match lines.find(|line| !line.trim().is_empty()) {
            Some(line) => format!("{phase}; last line on the console: `{}`", excerpt(line.trim_end())),
            None => phase.to_owned(),
        }
    }

    /// All of the present launch, joined by newlines, with a last line that has not ended.
    pub(super) fn text(&self) -> String {
        let state = self.lock();
        let begun = Some(state.begun.trim_end()).filter(|begun| !begun.is_empty());
        let lines: Vec<&str> = state.lines.iter().map(|line| line.text.as_str()).chain(begun).collect();
        lines.join("\n")
    }

    /// The last that was printed in the present launch, with all that moves the cursor or colours the text.
    pub(super) fn tail(&self) -> Vec<u8> {
        self.lock().tail.clone()
    }

    /// The line of a kernel panic, if the present boot has ended in one.
    pub(super) fn panic(&self) -> Option<String> {
        self.lock().panic.clone()
    }

    /// Waits for a kernel panic.
    pub(super) async fn panicked(&self) -> String {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(line) = self.panic() {
                return line;
            }
            next(&mut changes).await;
        }
    }

    /// Waits until the console has been read to its end, for as long as that may take.
    pub(super) async fn drained(&self) {
        let mut changes = self.changes.subscribe();
        let closed = async {
            while self.lock().open {
                next(&mut changes).await;
            }
        };
        if within(Deadline::after(DRAIN_LIMIT), closed).await.is_none() {
            tracing::debug!(machine = self.machine, "the console outlives its machine");
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ConsoleLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleLog").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl fmt::Debug for Typist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typist")
    }
}

impl Line {
    /// Bytes of memory.
    fn size(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }

    /// What was not consumed of it before it ended.
    fn rest(&self) -> &str {
        // It has lost the blanks at its end since then.
        self.text.get(self.consumed..).unwrap_or_default()
    }
}

impl State {
    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    fn push(&mut self, line: Line) {
        self.bytes += line.size();
        self.lines.push(line);
        if self.bytes > LOG_LIMIT {
            let half = self.lines.len().div_ceil(2);
            let freed = self.lines.drain(..half).map(|line| line.size());
            self.bytes -= freed.sum::<usize>();
            self.dropped += half;
        }
    }
}

impl Node {
    /// All that the guest has printed on its serial console since the last start, and what its commands have said on
    /// their standard error, joined by newlines, with a last line that has not ended.
    #[must_use]
    pub fn console_log(&self) -> String {
        self.console.text()
    }

    /// Types `text` on the guest's serial console.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the machine is off, [`DriverError::Exited`] when it ends meanwhile.
    pub async fn send_console(&self, text: &str) -> Result<(), DriverError> {
        let running = self.must_run("be typed to")?;
        let typing = self.type_bytes(&running, text.as_bytes());
        self.while_it_runs(&running, || "typing on the serial console".to_owned(), typing).await
    }

    pub(super) async fn type_bytes(&self, running: &Running, bytes: &[u8]) -> Result<(), DriverError> {
        let mut writer = running.typist.0.lock().await;
        let written = async {
            writer.write_all(bytes).await?;
            writer.flush().await
        };
        written.await.map_err(|error| DriverError::Control {
            machine: self.name().to_owned(),
            operation: "type on the serial console".to_owned(),
            source: error.into(),
        })
    }
}

async fn next(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        // The console lives as long as its node, and the node as long as who waits here.
        std::future::pending::<()>().await;
    }
}

/// The text of a line that goes on: without a character that has not come whole.
fn beginning(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chunks = line.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        if chunks.peek().is_some() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text.replace('\r', "")
}

fn excerpt(line: &str) -> String {
    line.chars().take(200).collect()
}

/// Whether the kernel itself says that it panics, and nobody quotes it: a service's lines, and those of an
/// earlier boot in the journal, begin otherwise.
fn is_panic(line: &str) -> bool {
    let text = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((time, text)) if time.trim().parse::<f64>().is_ok() => text,
        _ => line,
    };
    text.trim_start().starts_with("Kernel panic - not syncing")
}

/// The phase that a line is a sign of.
fn phase_of(line: &str) -> Option<BootPhase> {
    const SIGNS: &[(&str, BootPhase)] = &[
        ("Linux version ", BootPhase::Kernel),
        ("Run /init as init process", BootPhase::Initrd),
        ("Run /sbin/init as init process", BootPhase::Init),
        ("systemd[1]: ", BootPhase::Init),
        (" login: ", BootPhase::Shell),
    ];
    SIGNS
        .iter()
        .find_map(|(sign, phase)| line.contains(sign).then_some(*phase))
        .or_else(|| (!line.is_empty()).then_some(BootPhase::Firmware))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt as _;

    use super::{ConsoleLog, Line};
    use crate::journal::Journal;

    async fn console_with(text: &[u8]) -> Arc<ConsoleLog> {
        let console = Arc::new(ConsoleLog::new("server", Journal::in_memory(Vec::new())));
        let (mut guest, host) = tokio::io::duplex(64);
        let _typist = console.attach(Box::new(host));
        guest.write_all(text).await.unwrap();
        drop(guest);
        console.drained().await;
        console
    }

    fn texts(console: &ConsoleLog) -> Vec<String> {
        console.lock().lines.iter().map(|line| line.text.clone()).collect()
    }

    #[tokio::test]
    async fn the_boot_is_told_from_what_the_console_shows() {
        let console = console_with(b"").await;
        assert_eq!(console.progress(), "the console has stayed silent");
        let console = console_with(b"SeaBIOS (version 1.16)\r\n").await;
        assert!(console.progress().starts_with("the boot came as far as the firmware"));
        let console = console_with(b"SeaBIOS\n[    0.0] Linux version 6.12\n[    1.0] VFS: no root").await;
        assert_eq!(
            console.progress(),
            "the boot came as far as the kernel; last line on the console: `[    1.0] VFS: no root`"
        );
        assert_eq!(console.panic(), None);
        let console = console_with(b"[ 2.0] Kernel panic - not syncing: sysrq\n").await;
        assert_eq!(console.panic().as_deref(), Some("[ 2.0] Kernel panic - not syncing: sysrq"));
        let console = console_with(b"[ 3.1] app[7]: once it said: Kernel panic - not syncing: sysrq\n").await;
        assert_eq!(console.panic(), None, "somebody quotes a panic");
    }

    #[tokio::test]
    async fn lines_that_never_end_are_cut_and_bytes_that_are_no_text_replaced() {
        let console = console_with(&[b'x'; 40 << 10]).await;
        assert_eq!(texts(&console).iter().map(String::len).collect::<Vec<_>>(), [16384, 16384, 8192]);
        let console = console_with(b"\xffa\rb\n\nc").await;
        assert_eq!(texts(&console), ["\u{fffd}ab", "", "c"]);
    }

    #[tokio::test]
    async fn the_last_bytes_are_kept_as_they_came() {
        let console = console_with(b"\xff\x1b[1mbold\r\n").await;
        assert_eq!(console.tail(), b"\xff\x1b[1mbold\r\n");
        let flood: Vec<u8> = (0..=u8::MAX).cycle().take(300 << 10).collect();
        let console = console_with(&flood).await;
        let tail = console.tail();
        assert!(flood.ends_with(&tail) && (64 << 10..=128 << 10).contains(&tail.len()), "{}", tail.len());
        console.restarted();
        assert_eq!(console.tail(), b"");
    }

    #[test]
    fn a_flood_of_empty_lines_is_bounded_too() {
        let mut state = super::State::default();
        for _ in 0..3_000_000 {
            state.push(Line { text: String::new(), consumed: 0, is_of_command: false });
        }
        assert!(state.dropped > 0 && state.lines.len() < 3_000_000);
    }
}
