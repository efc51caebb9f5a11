//! Recording what passes, as pcapng: each port an interface with its name, faults and lost frames as comments.
//!
//! Writes whole blocks only, so that what is in the file can be read whatever becomes of us.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use driver_core::vlan::CaptureEnd;

mod pcapng;

/// How much waits to be written at most; [`Capture::flush`] writes what is less.
const BUFFER: usize = 64 << 10;
/// How many notes wait for a frame: a script that switches faults without end is no reason to grow without end.
const NOTES: usize = 100;

/// A note that is older than this tells its age.
const SOON: Duration = Duration::from_millis(1);

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Capture {
    file: File,
    limit: u64,
    /// Which interface a port is, and the names of those that are not in the file yet.
    ports: HashMap<usize, Port>,
    interfaces: u32,
    /// Whole blocks that are not in the file yet.
    buffer: Vec<u8>,
    /// Frames in the buffer.
    buffered: u64,
    /// What is in the file.
    end: CaptureEnd,
    /// What happened since the last frame, and when: said with the next one.
    notes: Vec<(SystemTime, String)>,
    state: State,
}

#[derive(Debug)]
enum Port {
    Named(String),
    Interface(u32),
}

#[derive(Debug)]
enum State {
    Writing,
    Full,
    Failed(Option<io::Error>),
}

impl Capture {
    /// Begins a file; one of that name is overwritten.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(crate) fn create(file: &Path, limit: u64, ports: &[(usize, String)]) -> io::Result<Self> {
        let mut capture = Self {
            file: File::create(file)?,
            limit,
            ports: ports.iter().map(|(port, name)| (*port, Port::Named(name.clone()))).collect(),
            interfaces: 0,
            buffer: Vec::with_capacity(BUFFER),
            buffered: 0,
            end: CaptureEnd { frames: 0, left_out: 0, bytes: 0 },
            notes: Vec::new(),
            state: State::Writing,
        };
        pcapng::section(&mut capture.buffer);
        // All ports that there are, in their order, even those that stay silent.
        for (port, _) in ports {
            capture.interface(*port);
        }
        capture.flush();
        match capture.take_error() {
            Some(error) => Err(error),
            None => Ok(capture),
        }
    }

    /// Says the name of a port that came later.
    pub(crate) fn add_port(&mut self, port: usize, name: &str) {
        self.ports.entry(port).or_insert_with(|| Port::Named(name.to_owned()));
    }

    /// Writes a frame that came from a port, and perhaps what became of it.
    pub(crate) fn frame(&mut self, port: usize, time: SystemTime, frame: &[u8], comment: Option<&str>) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        let interface = self.interface(port);
        let start = self.buffer.len();
        if let Some(interface) = interface {
            let notes = self.notes.iter().map(|(noted, text)| match time.duration_since(*noted) {
                Ok(since) if since >= SOON => format!("{:.3} s before: {text}", since.as_secs_f64()),
                _ => text.clone(),
            });
            let comments = notes.chain(comment.map(str::to_owned));
            pcapng::packet(&mut self.buffer, interface, time, frame, comments);
        }
        if interface.is_none() || !self.fits() {
            // What has been left out once is never gone on with: the file is the beginning of what passed.
            self.buffer.truncate(start);
            self.state = State::Full;
            self.end.left_out += 1;
            return;
        }
        self.notes.clear();
        self.buffered += 1;
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// Says something that happened just now, between two frames.
    pub(crate) fn note(&mut self, text: &str) {
        if matches!(self.state, State::Writing) && self.notes.len() < NOTES {
            self.notes.push((SystemTime::now(), text.to_owned()));
        }
    }

    /// Writes what waits to be written. To be called about once a second.
    pub(crate) fn flush(&mut self) {
        if matches!(self.state, State::Failed(_)) || self.buffer.is_empty() {
            return;
        }
        match self.file.write_all(&self.buffer) {
            Ok(()) => {
                self.end.bytes += self.buffer.len() as u64;
                self.end.frames += self.buffered;
            }
            Err(error) => {
                // Half a block at the end would make the file look broken. Where this fails too, it is.
                let _ = self.file.set_len(self.end.bytes);
                self.state = State::Failed(Some(error));
            }
        }
        self.buffer.clear();
        self.buffered = 0;
    }

    /// Why the file could not be written any more: told once.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        match &mut self.state {
            State::Failed(error) => error.take(),
            State::Writing | State::Full => None,
        }
    }

    /// Writes the rest, and says what it has come to.
    pub(crate) fn end(&mut self) -> CaptureEnd {
        let start = self.buffer.len();
        if self.interfaces > 0 && !self.notes.is_empty() {
            let notes = self.notes.drain(..).map(|(_, text)| text);
            pcapng::statistics(&mut self.buffer, 0, SystemTime::now(), notes);
            if !self.fits() {
                self.buffer.truncate(start);
            }
        }
        self.flush();
        self.end
    }

    fn fits(&self) -> bool {
        matches!(self.state, State::Writing) && self.end.bytes + self.buffer.len() as u64 <= self.limit
    }

    /// The interface that a port is; `None` when there is no room to say so.
    fn interface(&mut self, port: usize) -> Option<u32> {
        let name = match self.ports.get(&port) {
            Some(Port::Interface(interface)) => return Some(*interface),
            Some(Port::Named(name)) => name.clone(),
            None => format!("port {port}"),
        };
        let start = self.buffer.len();
        pcapng::interface(&mut self.buffer, &name);
        if !self.fits() {
            self.buffer.truncate(start);
            return None;
        }
        let interface = self.interfaces;
        self.interfaces += 1;
        self.ports.insert(port, Port::Interface(interface));
        Some(interface)
    }
}

#[cfg(test)]
mod tests;
