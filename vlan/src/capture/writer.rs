//! Writes a file by a thread of its own: a disk that stands still must not hold up a switch.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How many chunks wait for the disk: 16 MiB, as a rule.
const CHUNKS: usize = 256;

/// Whole blocks, and how many frames are in them.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) blocks: Vec<u8>,
    pub(super) frames: u64,
}

/// What is in the file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) frames: u64,
    /// Why there is no more.
    pub(super) error: Option<io::Error>,
}

/// Why a chunk was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// Too much waits for the disk. The chunk is given back.
    Full(Chunk),
    /// The file cannot be written any more.
    Failed,
}

/// The writer of a file. The file is whole when this has been dropped.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` once it is finished.
    chunks: Option<SyncSender<Chunk>>,
    thread: Option<JoinHandle<()>>,
    written: Arc<Mutex<Written>>,
}

impl Writer {
    /// Begins with what comes first, which is written when this returns.
    pub(super) fn start(mut file: File, first: &[u8]) -> io::Result<Self> {
        file.write_all(first)?;
        let written = Arc::new(Mutex::new(Written { bytes: first.len() as u64, ..Written::default() }));
        let (chunks, waiting) = sync_channel(CHUNKS);
        let thread = thread::Builder::new().name("capture".to_owned()).spawn({
            let written = Arc::clone(&written);
            move || {
                write(&mut file, &waiting, &written);
                // A process that is just being started may have it open a moment longer than we do. Where locks
                // fail, there was none.
                let _ = file.unlock();
            }
        })?;
        Ok(Self { chunks: Some(chunks), thread: Some(thread), written })
    }

    /// Hands over a chunk, and never waits.
    pub(super) fn try_write(&self, chunk: Chunk) -> Result<(), NotTaken> {
        let chunks = self.chunks.as_ref().ok_or(NotTaken::Failed)?;
        chunks.try_send(chunk).map_err(|error| match error {
            TrySendError::Full(chunk) => NotTaken::Full(chunk),
            TrySendError::Disconnected(_) => NotTaken::Failed,
        })
    }

    /// Writes the last chunk. Waits for the disk.
    pub(super) fn finish(&mut self, last: Chunk) {
        if let Some(chunks) = self.chunks.take() {
            // Fails only when writing has failed, which is told by the error.
            let _ = chunks.send(last);
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told on the standard error.
            let _ = thread.join();
        }
    }

    pub(super) fn written(&self) -> MutexGuard<'_, Written> {
        lock(&self.written)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish(Chunk::default());
    }
}

fn write(file: &mut File, chunks: &Receiver<Chunk>, written: &Mutex<Written>) {
    for chunk in chunks {
        let done = file.write_all(&chunk.blocks);
        let mut written = lock(written);
        match done {
            Ok(()) => {
                written.bytes += chunk.blocks.len() as u64;
                written.frames += chunk.frames;
            }
            Err(error) => {
                // Half a block at the end would make the file look broken. Where this fails too, it is.
                let _ = file.set_len(written.bytes);
                written.error = Some(error);
                return;
            }
        }
    }
}

fn lock(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}
