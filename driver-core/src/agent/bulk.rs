//! The host's end of the lane: a second port of the guest, which carries what is large.

use std::io;

use agent_protocol::{Lane, ToGuest, ToHost};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::machine::GuestStream;

/// Bytes that are read at once.
const READ: usize = 128 << 10;

/// The lane over one stream.
pub(super) struct Bulk {
    reader: ReadHalf<Box<dyn GuestStream>>,
    writer: WriteHalf<Box<dyn GuestStream>>,
    lane: Lane,
    unsent: Vec<u8>,
    buffer: Vec<u8>,
    /// The agent has it open, too.
    is_open: bool,
}

/// What happened on the lane.
pub(super) enum Event {
    Read(usize),
    Written(usize),
}

impl Bulk {
    pub(super) fn new(stream: Box<dyn GuestStream>, token: u64) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let lane = Lane::new(token);
        Self { reader, writer, lane, unsent: Vec::new(), buffer: vec![0; READ], is_open: false }
    }

    /// Opens the lane to an agent that has said hello: before that, one that goes on from a snapshot would take the
    /// opening for a message of its earlier session.
    pub(super) fn open(&mut self) {
        self.unsent.extend_from_slice(self.lane.opening());
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn opened(&mut self) {
        self.is_open = true;
    }

    /// Queues a message.
    pub(super) fn send(&mut self, message: &ToGuest) {
        Lane::wrap(&super::actor::encode(message), &mut self.unsent);
    }

    /// Waits for the stream; to be told to [`Bulk::take`]. Nothing is lost when it is dropped.
    pub(super) async fn event(&mut self) -> io::Result<Event> {
        tokio::select! {
            read = self.reader.read(&mut self.buffer) => read.map(Event::Read),
            written = self.writer.write(&self.unsent), if !self.unsent.is_empty() => written.map(Event::Written),
        }
    }

    /// Takes what happened. An error when the lane is of no more use.
    pub(super) fn take(&mut self, event: io::Result<Event>) -> Result<(), String> {
        match event {
            Ok(Event::Read(0)) => return Err("was closed".to_owned()),
            Ok(Event::Read(count)) => self.lane.receive(&self.buffer[..count]),
            Ok(Event::Written(count)) => drop(self.unsent.drain(..count)),
            Err(error) => return Err(format!("was closed ({error})")),
        }
        Ok(())
    }

    /// The next message of the agent.
    pub(super) fn message(&mut self) -> Result<Option<ToHost>, String> {
        let message = self.lane.message().map_err(|error| error.to_string())?;
        let message = message.map(agent_protocol::from_bytes).transpose();
        message.map_err(|error| format!("talks nonsense ({error})"))
    }

    /// The stream, for the next agent.
    pub(super) fn into_stream(self) -> Box<dyn GuestStream> {
        self.reader.unsplit(self.writer)
    }
}
