//! Recording what passes, as pcapng: each port an interface with its name, faults and lost frames as comments.
//!
//! Writes whole blocks only, so that what is in the file can be read whatever becomes of us.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use driver_core::vlan::CaptureEnd;

use self::writer::{Chunk, NotTaken, Writer};

mod pcapng;
mod writer;

/// How much is handed to the disk at once; [`Capture::flush`] hands over what is less.
const BUFFER: usize = 64 << 10;
/// How many notes wait for a frame: a script that switches faults without end is no reason to grow without end.
const NOTES: usize = 100;
/// A note that is older than this tells its age.
const SOON: Duration = Duration::from_millis(1);

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Capture {
    writer: Writer,
    limit: u64,
    /// Which interface a port is, and the names of those that are not in the file yet.
    ports: HashMap<usize, Port>,
    interfaces: u32,
    /// What is not handed over yet.
    buffer: Chunk,
    /// How many bytes are handed over.
    handed_over: u64,
    /// Frames that came.
    seen: u64,
    /// Frames that the disk was too slow for, since the last one that it was not.
    skipped: u64,
    /// What happened since the last frame, and when: said with the next one.
    notes: Vec<(SystemTime, String)>,
    /// Whether nothing more is taken: the file is full, or cannot be written.
    closed: bool,
}

#[derive(Debug)]
enum Port {
    Named(String),
    Interface(u32),
}

impl Capture {
    /// Begins a file; one of that name is overwritten, unless another capture writes to it.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(crate) fn create(file: &Path, limit: u64, ports: &[(usize, String)]) -> io::Result<Self> {
        Self::begin(open(file)?, limit, ports)
    }

    fn begin(file: File, limit: u64, ports: &[(usize, String)]) -> io::Result<Self> {
        let mut first = Vec::new();
        pcapng::section(&mut first);
        let mut capture = Self {
            writer: Writer::start(file, &first)?,
            limit,
            ports: ports.iter().map(|(port, name)| (*port, Port::Named(name.clone()))).collect(),
            interfaces: 0,
            buffer: Chunk::default(),
            handed_over: first.len() as u64,
            seen: 0,
            skipped: 0,
            notes: Vec::new(),
            closed: false,
        };
        // All ports that there are, in their order, even those that stay silent.
        for (port, _) in ports {
            capture.interface(*port);
        }
        capture.flush();
        Ok(capture)
    }

    /// Says the name of a port that came later.
    pub(crate) fn add_port(&mut self, port: usize, name: &str) {
        self.ports.entry(port).or_insert_with(|| Port::Named(name.to_owned()));
    }

    /// Writes a frame that came from a port, and perhaps what became of it.
    pub(crate) fn frame(&mut self, port: usize, time: SystemTime, frame: &[u8], comment: Option<&str>) {
        self.seen += 1;
        if self.closed {
            return;
        }
        if self.buffer.blocks.len() >= BUFFER {
            self.flush();
            if self.buffer.blocks.len() >= BUFFER {
                self.skipped += 1;
                return;
            }
        }
        let Some(interface) = self.interface(port) else { return };
        let start = self.buffer.blocks.len();
        let notes = self.notes.iter().map(|(noted, text)| match time.duration_since(*noted) {
            Ok(since) if since >= SOON => format!("{:.3} s before: {text}", since.as_secs_f64()),
            _ => text.clone(),
        });
        let skipped = (self.skipped > 0)
            .then(|| format!("{} frames before this are left out: the disk is too slow", self.skipped));
        let comments = notes.chain(skipped).chain(comment.map(str::to_owned));
        pcapng::packet(&mut self.buffer.blocks, interface, time, frame, comments);
        if self.fits(start) {
            self.notes.clear();
            self.skipped = 0;
            self.buffer.frames += 1;
        }
    }

    /// Says something that happened just now, between two frames.
    pub(crate) fn note(&mut self, text: &str) {
        if self.notes.len() < NOTES {
            self.notes.push((SystemTime::now(), text.to_owned()));
        }
    }

    /// Hands over what waits to be written, unless the disk is too slow. To be called about once a second.
    pub(crate) fn flush(&mut self) {
        if self.buffer.blocks.is_empty() {
            return;
        }
        let bytes = self.buffer.blocks.len() as u64;
        match self.writer.try_write(std::mem::take(&mut self.buffer)) {
            Ok(()) => self.handed_over += bytes,
            Err(NotTaken::Full(buffer)) => self.buffer = buffer,
            Err(NotTaken::Failed) => self.closed = true,
        }
    }

    /// Why the file could not be written any more: told once.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.writer.written().error.take()
    }

    /// Writes the rest, and says what it has come to. Waits for the disk.
    pub(crate) fn end(&mut self) -> CaptureEnd {
        if self.interfaces > 0 && !self.notes.is_empty() && !self.closed {
            let start = self.buffer.blocks.len();
            let notes = self.notes.drain(..).map(|(_, text)| text);
            pcapng::statistics(&mut self.buffer.blocks, 0, SystemTime::now(), notes);
            self.fits(start);
        }
        self.closed = true;
        self.writer.finish(std::mem::take(&mut self.buffer));
        let written = self.writer.written();
        CaptureEnd { frames: written.frames, left_out: self.seen - written.frames, bytes: written.bytes }
    }

    /// Whether the file has room for the block that begins at `start` of the buffer; takes it back otherwise, and
    /// takes no more: the file is the beginning of what passed.
    fn fits(&mut self, start: usize) -> bool {
        let fits = self.handed_over + self.buffer.blocks.len() as u64 <= self.limit;
        if !fits {
            self.buffer.blocks.truncate(start);
            self.closed = true;
        }
        fits
    }

    /// The interface that a port is; `None` when there is no room to say so.
    fn interface(&mut self, port: usize) -> Option<u32> {
        let name = match self.ports.get(&port) {
            Some(Port::Interface(interface)) => return Some(*interface),
            Some(Port::Named(name)) => name.clone(),
            None => format!("port {port}"),
        };
        let start = self.buffer.blocks.len();
        pcapng::interface(&mut self.buffer.blocks, &name);
        if !self.fits(start) {
            return None;
        }
        let interface = self.interfaces;
        self.interfaces += 1;
        self.ports.insert(port, Port::Interface(interface));
        Some(interface)
    }
}

/// Opens a file for one capture alone, and empties it.
fn open(file: &Path) -> io::Result<File> {
    let irregular = || io::Error::other("it is no regular file (pipes are not written to)");
    // Whoever opens a pipe waits for its other end otherwise.
    let opened =
        OpenOptions::new().write(true).create(true).truncate(false).custom_flags(libc::O_NONBLOCK).open(file);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // A pipe that nobody reads, or a socket.
        Some(libc::ENXIO) => irregular(),
        _ => error,
    })?;
    if !file.metadata()?.is_file() {
        return Err(irregular());
    }
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::other("another capture writes to it (give it another name)"));
        }
        // There are file systems without locks.
        Err(TryLockError::Error(_)) | Ok(()) => {}
    }
    file.set_len(0)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
