//! The serial console of a guest, read whether anybody listens or not, and what the hypervisor says on standard error.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driver_core::{GuestStream, MachineLog};
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio_util::task::TaskTracker;

use crate::last_words::{LastWords, Source};
use crate::lines::Lines;

/// Bytes that are kept until somebody opens the console, and then until they are read.
const BUFFER: usize = 1 << 20;

/// The longest line that is shown or remembered, in bytes.
const LINE_LIMIT: usize = 4096;

/// Lines of standard error that are shown; a hypervisor that says more has lost its way.
const SHOWN: usize = 1000;

/// The serial console, until somebody opens it.
pub struct Console {
    output: DuplexStream,
    input: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    opened: Arc<AtomicBool>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Console")
    }
}

impl Console {
    /// A console of which `output` gives what the guest prints, and `input` takes what is typed. Its lines are
    /// among the last words while the guest does not speak yet.
    pub fn new(
        output: impl AsyncRead + Send + Unpin + 'static,
        input: impl AsyncWrite + Send + Sync + 'static,
        words: &Arc<LastWords>,
        readers: &TaskTracker,
    ) -> Self {
        let (near, far) = tokio::io::duplex(BUFFER);
        let opened = Arc::new(AtomicBool::new(false));
        readers.spawn(relay_output(output, far, Arc::clone(&opened), Arc::clone(words)));
        Self { output: near, input: Box::pin(input), opened }
    }

    /// The console as a stream: reading gives what the guest prints, writing types.
    #[must_use]
    pub fn open(self) -> Box<dyn GuestStream> {
        self.opened.store(true, Ordering::Relaxed);
        Box::new(tokio::io::join(self.output, self.input))
    }
}

/// Reads the output whether anybody listens or not: a guest must not stall because its console is of no interest.
async fn relay_output(
    mut output: impl AsyncRead + Unpin,
    mut sink: DuplexStream,
    opened: Arc<AtomicBool>,
    words: Arc<LastWords>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut lines = Lines::of_at_most(LINE_LIMIT);
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
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

/// Shows and remembers what a hypervisor says on standard error.
pub async fn relay_errors(
    mut stderr: impl AsyncRead + Unpin,
    hypervisor: &'static str,
    log: Arc<dyn MachineLog>,
    words: Arc<LastWords>,
) {
    let mut buffer = vec![0; 4096];
    let mut lines = Lines::of_at_most(LINE_LIMIT);
    let mut shown = 0;
    let mut take = |line: String| {
        shown += 1;
        match shown {
            ..=SHOWN => log.info(&line),
            n if n == SHOWN + 1 => log.warning(&format!("{hypervisor} says more than is shown here")),
            _ => {}
        }
        words.add(Source::Errors, line);
    };
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        lines.push(&buffer[..length]).into_iter().for_each(&mut take);
    }
    lines.finish().into_iter().for_each(take);
}
