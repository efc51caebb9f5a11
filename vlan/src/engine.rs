//! The thread of a switch: waits for its sockets, and lets each bring one batch of frames at a time.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use crate::shared::Shared;
use crate::sys::Datagrams;

/// How much is read from a stream at once: what its kernel buffer holds, as a rule.
pub(crate) const READ: usize = 128 << 10;

/// How many sockets are served between two calls to the kernel.
const EVENTS: usize = 64;

/// How long it waits at most, to bring captures up to date.
const TEND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The token of the eventfd that wakes the thread.
const WAKE: u64 = 0;
/// The token of the timer that tells when a frame is due that was held back.
const TIMER: u64 = 1;
const FIRST_SOURCE: u64 = 2;
/// Tokens with this bit name a port whose outlet waits for room.
const WRITABLE: u64 = 1 << 63;

/// The token of a port's outlet.
pub(crate) fn writable_token(port: usize) -> u64 {
    WRITABLE | port as u64
}

/// Something that the engine waits for.
pub(crate) trait Source: Send {
    fn fd(&self) -> BorrowedFd<'_>;

    /// There is something to read. Takes a bounded part of it, so that the others have their turn.
    fn ready(&mut self, bench: &mut Bench) -> After;
}

/// What becomes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Stay,
    Remove,
}

/// What the engine lends to sources while they work.
pub(crate) struct Bench {
    /// At least [`READ`] bytes behind the rest of a frame.
    pub(crate) buffer: Vec<u8>,
    pub(crate) datagrams: Datagrams,
    new: Vec<Box<dyn Source>>,
}

impl Bench {
    /// Has the engine wait for one more source.
    pub(crate) fn add(&mut self, source: impl Source + 'static) {
        self.new.push(Box::new(source));
    }
}

/// What the thread is told from outside.
#[derive(Default)]
struct Inbox {
    new: Vec<Box<dyn Source>>,
    stop: bool,
}

/// The engine, as the switch holds it. Ends when dropped.
pub(crate) struct Engine {
    inbox: Arc<Mutex<Inbox>>,
    bell: Arc<OwnedFd>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    pub(crate) fn start(vlan: u32, shared: &Arc<Shared>) -> io::Result<Self> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(shared.epoll(), &bell, EventData::new_u64(WAKE), EventFlags::IN)?;
        epoll::add(shared.epoll(), shared.timer(), EventData::new_u64(TIMER), EventFlags::IN)?;
        let inbox = Arc::<Mutex<Inbox>>::default();
        let mut room = Room {
            shared: Arc::clone(shared),
            inbox: Arc::clone(&inbox),
            bell: Arc::clone(&bell),
            sources: HashMap::new(),
            next: FIRST_SOURCE,
        };
        let run = move || {
            if panic::catch_unwind(AssertUnwindSafe(|| room.run())).is_err() {
                room.shared.warn("the switch has stopped by a bug of innkeeper's: no frame passes any more");
            }
        };
        let thread = thread::Builder::new().name(format!("vlan-{vlan}")).spawn(run)?;
        Ok(Self { inbox, bell, thread: Mutex::new(Some(thread)) })
    }

    /// Has the engine wait for one more source.
    pub(crate) fn add(&self, source: impl Source + 'static) {
        self.tell(|inbox| inbox.new.push(Box::new(source)));
    }

    /// Ends the thread; all its sources are closed when this returns.
    pub(crate) fn stop(&self) {
        self.tell(|inbox| inbox.stop = true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic has been told by the thread itself.
            let _ = thread.join();
        }
    }

    fn tell(&self, what: impl FnOnce(&mut Inbox)) {
        what(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        // Full after 2^64 - 2 rings: it is ringing then.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread has.
struct Room {
    shared: Arc<Shared>,
    inbox: Arc<Mutex<Inbox>>,
    bell: Arc<OwnedFd>,
    sources: HashMap<u64, Box<dyn Source>>,
    next: u64,
}

impl Room {
    fn run(&mut self) {
        let mut bench = Bench {
            buffer: vec![0; READ + 4 + crate::port::LONGEST],
            datagrams: Datagrams::new(),
            new: Vec::new(),
        };
        let mut events = Vec::<Event>::with_capacity(EVENTS);
        let mut tended = Instant::now();
        loop {
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(self.shared.epoll(), room, Some(&TEND)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return self.shared.warn(&format!("the switch has failed: {error}")),
            }
            if tended.elapsed() >= Duration::from_secs(1) {
                tended = Instant::now();
                self.shared.lock().tend();
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => {
                        if !self.open_inbox(&mut bench) {
                            return;
                        }
                    }
                    TIMER => self.shared.deliver_due(),
                    token if token & WRITABLE != 0 => {
                        self.shared.lock().writable((token & !WRITABLE) as usize)
                    }
                    token => self.serve(token, &mut bench),
                }
                for source in mem::take(&mut bench.new) {
                    self.add(source);
                }
            }
        }
    }

    fn open_inbox(&self, bench: &mut Bench) -> bool {
        // Empty when it was read before: a bell that rings twice is one bell.
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        bench.new.append(&mut inbox.new);
        !inbox.stop
    }

    fn serve(&mut self, token: u64, bench: &mut Bench) {
        // One that an earlier event of the same round has removed is not there.
        let Some(source) = self.sources.get_mut(&token) else { return };
        if source.ready(bench) == After::Remove
            && let Some(source) = self.sources.remove(&token)
        {
            // Before it is closed: an outlet may have the same connection open.
            let _ = epoll::delete(self.shared.epoll(), source.fd());
        }
    }

    fn add(&mut self, source: Box<dyn Source>) {
        let token = self.next;
        self.next += 1;
        match epoll::add(self.shared.epoll(), source.fd(), EventData::new_u64(token), EventFlags::IN) {
            Ok(()) => drop(self.sources.insert(token, source)),
            Err(error) => self.shared.warn(&format!("a socket cannot be waited for: {error}")),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("bell", &self.bell.as_fd()).finish_non_exhaustive()
    }
}
