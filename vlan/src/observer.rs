//! What makes a segment look at each frame: faults, captures, and somebody who looks out for one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use driver_core::Deadline;
use driver_core::vlan::{CaptureEnd, CaptureId, Packet, PacketWatch};
use tokio::sync::oneshot;

use crate::capture::Capture;
use crate::filter::{self, Filter};
use crate::port::Port;

/// How much of a frame a [`Packet`] has.
const HEAD: usize = 256;

/// A capture of the segment.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) id: CaptureId,
    /// The file's path, for messages.
    pub(crate) path: String,
    pub(crate) capture: Capture,
}

impl Recorder {
    /// Writes what waits, and says what the file has come to. A write that failed is told by `warn`.
    pub(crate) fn end(&mut self, warn: impl FnOnce(&str)) -> CaptureEnd {
        let end = self.capture.end();
        self.tell_error(warn);
        end
    }

    pub(crate) fn tell_error(&mut self, warn: impl FnOnce(&str)) {
        if let Some(error) = self.capture.take_error() {
            warn(&format!("capture `{}` cannot be written any further: {error}", self.path));
        }
    }
}

/// A frame as it was seen, not yet made readable.
#[derive(Debug, Clone)]
struct Sighting {
    at: Instant,
    port: String,
    length: usize,
    head: Vec<u8>,
}

impl Sighting {
    fn packet(self, began: Instant) -> Packet {
        let Self { at, port, length, head } = self;
        let after = at.saturating_duration_since(began);
        Packet { after, port, length, summary: filter::summary(&head, length), head }
    }
}

/// A frame that somebody looks out for, on the segment's side.
#[derive(Debug)]
pub(crate) struct Lookout {
    filter: Filter,
    found: Option<oneshot::Sender<Sighting>>,
    missed: Arc<Mutex<Option<Sighting>>>,
}

impl Lookout {
    pub(crate) fn new(filter: Filter) -> (Self, Watch) {
        let (found, finding) = oneshot::channel();
        let missed = Arc::<Mutex<Option<Sighting>>>::default();
        let watch = Watch { began: Instant::now(), finding, missed: Arc::clone(&missed) };
        (Self { filter, found: Some(found), missed }, watch)
    }

    /// Looks at a frame; `false` when this need not look at any more.
    pub(crate) fn look(&mut self, port: &Port, frame: &[u8]) -> bool {
        if self.found.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return false;
        }
        let sighting = Sighting {
            at: Instant::now(),
            port: port.name.clone(),
            length: frame.len(),
            head: frame[..frame.len().min(HEAD)].to_vec(),
        };
        if !self.filter.fits(&port.name, port.machine.as_deref(), frame) {
            *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(sighting);
            return true;
        }
        if let Some(found) = self.found.take() {
            // Nobody waits any more: the watch was dropped just now.
            let _ = found.send(sighting);
        }
        false
    }
}

/// A frame that somebody looks out for, on their side.
#[derive(Debug)]
pub(crate) struct Watch {
    began: Instant,
    finding: oneshot::Receiver<Sighting>,
    missed: Arc<Mutex<Option<Sighting>>>,
}

#[async_trait]
impl PacketWatch for Watch {
    async fn seen(&mut self, within: Deadline) -> Option<Packet> {
        // An error of the channel: the switch has been closed, and no frame will come.
        let found = tokio::time::timeout_at(within.instant(), &mut self.finding).await.ok()?.ok()?;
        Some(found.packet(self.began))
    }

    fn missed(&self) -> Option<Packet> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(missed.packet(self.began))
    }
}
