//! One direction of a network card: its ring, what the hypervisor has said of it, and what waits for it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::GuestMemoryMmap;

use super::memory::SharedMemory;
use super::ring::{BadRing, Delivered, Ring, Sent};
use crate::port::Malformed;

/// What waits for a guest that has no buffers left, in bytes.
const MOST_WAITING: usize = 512 * 1024;

/// What both sides have agreed on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Agreed {
    /// Bytes before each frame.
    pub(super) header: usize,
    /// Whether a frame may fill several buffers.
    pub(super) mergeable: bool,
    /// Whether each side says at which entry it wants to be woken.
    pub(super) event_index: bool,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) ring: Ring,
    pub(super) agreed: Agreed,
    /// Wakes the guest.
    pub(super) call: Option<File>,
    memory: Option<Arc<SharedMemory>>,
    started: bool,
    enabled: bool,
    trouble: Option<Malformed>,
    waiting: Waiting,
}

/// Locks a lane. Nobody waits for anything while it has one locked.
pub(super) fn lock(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            ring: Ring::new(),
            agreed: Agreed::default(),
            call: None,
            memory: None,
            started: false,
            enabled: false,
            trouble: None,
            waiting: Waiting::default(),
        }
    }

    /// Begins to use the ring.
    pub(super) fn start(&mut self) {
        self.started = true;
        self.waiting = Waiting::default();
        self.trouble = None;
        let event_index = self.agreed.event_index;
        self.with_memory(|lane, memory| {
            lane.ring.start(memory, event_index)?;
            lane.ring.spare_knocks(memory)
        });
    }

    /// Stops using the ring and forgets what waits.
    pub(super) fn stop(&mut self) {
        self.started = false;
        self.ring.stop();
        self.waiting = Waiting::default();
    }

    pub(super) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// The memory is another from now on.
    pub(super) fn set_memory(&mut self, memory: Option<Arc<SharedMemory>>) {
        self.memory = memory;
        self.check();
    }

    /// Makes sure that the ring in use lies in memory.
    pub(super) fn check(&mut self) {
        if self.started {
            self.with_memory(|lane, memory| lane.ring.check(memory));
        }
    }

    /// Why it rests although it should not.
    pub(super) fn trouble(&self) -> Option<Malformed> {
        self.trouble
    }

    /// The next frame that the guest sends; it asks to be woken when there is none.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> Sent {
        let header = self.agreed.header;
        self.when_live(|lane, memory| match lane.ring.take(memory, header, buffer)? {
            Sent::Nothing if lane.ring.ask_for_knocks(memory)? => lane.ring.take(memory, header, buffer),
            sent => Ok(sent),
        })
        .unwrap_or(Sent::Nothing)
    }

    /// Gives the guest a frame, or keeps it until it has buffers; `false` when it is lost. A guest that does not
    /// use its card loses nothing.
    pub(super) fn deliver(&mut self, frame: &[u8]) -> bool {
        if !self.started || !self.enabled {
            return true;
        }
        if self.waiting.is_empty() {
            match self.put(frame) {
                Some(Delivered::Full) => {}
                Some(Delivered::Yes) => return true,
                Some(Delivered::TooLong) | None => return false,
            }
        }
        self.waiting.push(frame)
    }

    /// Gives the guest what waits for it, as far as it has buffers.
    pub(super) fn deliver_waiting(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        while let Some(frame) = waiting.first() {
            match self.put(frame) {
                Some(Delivered::Yes | Delivered::TooLong) => waiting.remove_first(),
                Some(Delivered::Full) | None => break,
            }
        }
        self.waiting = waiting;
    }

    /// Wakes the guest if it wants to be.
    pub(super) fn wake(&mut self) {
        let wants = self.when_live(|lane, memory| lane.ring.wants_interrupt(memory)).unwrap_or(false);
        if let Some(mut call) = self.call.as_ref().filter(|_| wants) {
            // It does not block; full means that the guest has not yet heard of the times before.
            drop(call.write(&1_u64.to_ne_bytes()));
        }
    }

    fn put(&mut self, frame: &[u8]) -> Option<Delivered> {
        let Agreed { header, mergeable, .. } = self.agreed;
        self.when_live(|lane, memory| match lane.ring.deliver(memory, header, mergeable, frame)? {
            Delivered::Full if lane.ring.ask_for_knocks(memory)? => {
                lane.ring.deliver(memory, header, mergeable, frame)
            }
            done => Ok(done),
        })
    }

    /// Works on the ring if it may be worked on. Trouble ends that.
    fn when_live<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &GuestMemoryMmap) -> Result<T, BadRing>,
    ) -> Option<T> {
        if self.started && self.enabled && self.trouble.is_none() { self.with_memory(work) } else { None }
    }

    fn with_memory<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &GuestMemoryMmap) -> Result<T, BadRing>,
    ) -> Option<T> {
        let memory = self.memory.take();
        let done = match &memory {
            Some(memory) => work(self, memory.guest()),
            None => Err(BadRing),
        };
        let lost = memory.as_ref().is_some_and(|memory| memory.is_lost());
        self.memory = memory;
        match done {
            Ok(done) if !lost => return Some(done),
            _ => self.trouble = Some(if lost { Malformed::Lost } else { Malformed::Ring }),
        }
        None
    }
}

/// Frames that wait, in order.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Where the first begins.
    start: usize,
    lengths: VecDeque<usize>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Keeps a frame; `false` when there is no room.
    fn push(&mut self, frame: &[u8]) -> bool {
        if self.bytes.len() - self.start + frame.len() > MOST_WAITING {
            return false;
        }
        if self.bytes.len() + frame.len() > MOST_WAITING {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(frame);
        self.lengths.push_back(frame.len());
        true
    }

    fn first(&self) -> Option<&[u8]> {
        self.lengths.front().map(|length| &self.bytes[self.start..self.start + length])
    }

    fn remove_first(&mut self) {
        self.start += self.lengths.pop_front().unwrap_or(0);
        if self.lengths.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }
}
