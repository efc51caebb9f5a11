//! The serial console, which is QEMU's standard input and output, and what QEMU says on standard error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driver_core::{GuestStream, MachineLog};
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio_util::task::TaskTracker;

use crate::last_words::{LastWords, Source};
use crate::lines::Lines;

/// Bytes that are kept until somebody opens the console, and then until they are read.
const BUFFER: usize = 1 << 20;

/// The longest line that is shown or remembered, in bytes.
const LINE_LIMIT: usize = 4096;

/// Lines of standard error that are shown; a QEMU that says more has lost its way.
const SHOWN: usize = 1000;

/// The serial console, until somebody opens it.
#[derive(Debug)]
pub(crate) struct Console {
    output: DuplexStream,
    input: ChildStdin,
    opened: Arc<AtomicBool>,
}

impl Console {
    /// The console as a stream: reading gives what the guest prints, writing types.
    pub(crate) fn open(self) -> Box<dyn GuestStream> {
        self.opened.store(true, Ordering::Relaxed);
        Box::new(tokio::io::join(self.output, self.input))
    }
}

/// Takes the streams of a process that has just been started.
pub(crate) fn attach(
    child: &mut Child,
    words: &Arc<LastWords>,
    log: &Arc<dyn MachineLog>,
    readers: &TaskTracker,
) -> io::Result<Console> {
    let missing = || io::Error::other("the process has no pipes");
    let input = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let (output, sink) = tokio::io::duplex(BUFFER);
    let opened = Arc::new(AtomicBool::new(false));
    readers.spawn(relay_output(stdout, sink, Arc::clone(&opened), Arc::clone(words)));
    readers.spawn(relay_errors(stderr, Arc::clone(log), Arc::clone(words)));
    Ok(Console { output, input, opened })
}

/// Reads standard output whether anybody listens or not: a guest must not stall because its console is of
/// no interest.
async fn relay_output(
    mut stdout: ChildStdout,
    mut sink: DuplexStream,
    opened: Arc<AtomicBool>,
    words: Arc<LastWords>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut lines = Lines::of_at_most(LINE_LIMIT);
    while let Ok(length @ 1..) = stdout.read(&mut buffer).await {
        let chunk = &buffer[..length];
        for line in lines.push(chunk) {
            words.add(Source::Output, line);
        }
        if opened.load(Ordering::Relaxed) {
            // Fails when the reader has gone away; that is its right.
            let _ = sink.write_all(chunk).await;
        } else {
            let _ = sink.write(chunk).now_or_never();
        }
    }
    if let Some(line) = lines.finish() {
        words.add(Source::Output, line);
    }
}

async fn relay_errors(mut stderr: ChildStderr, log: Arc<dyn MachineLog>, words: Arc<LastWords>) {
    let mut buffer = vec![0; 4096];
    let mut lines = Lines::of_at_most(LINE_LIMIT);
    let mut shown = 0;
    let mut take = |line: String| {
        shown += 1;
        match shown {
            ..=SHOWN => log.info(&line),
            n if n == SHOWN + 1 => log.warning("QEMU says more than is shown here"),
            _ => {}
        }
        words.add(Source::Errors, line);
    };
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        lines.push(&buffer[..length]).into_iter().for_each(&mut take);
    }
    lines.finish().into_iter().for_each(take);
}
