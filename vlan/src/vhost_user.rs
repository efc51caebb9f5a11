//! Ports that share memory with the guest: the vhost-user protocol as a network device.
//!
//! Each port has a thread that listens, answers the hypervisor's messages and brings in what the guest sends.
//! What goes to the guest is written straight into its memory by whoever brings it.

mod card;
mod early;
mod guard;
mod lane;
mod memory;
mod ring;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, epoll, eventfd};
use vhost::vhost_user::{BackendReqHandler, Error};

use self::card::{Card, FROM_GUEST, TO_GUEST};
use self::lane::{Lane, lock};
use self::ring::Sent;
use crate::engine::After;
use crate::port::{Batch, Gone, Kind, LONGEST, Link, Malformed, Outlet, PortHandle};

/// What the port's thread is woken by, beside the lanes' own numbers.
const WOKEN: u64 = 2;
const CALLER: u64 = 3;
const MESSAGE: u64 = 4;

/// Frames, and bytes, that are brought in at a time: enough to make the segment's lock cheap, few enough to stay in
/// the cache and to let others in between.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 128 * 1024;

/// A socket that hypervisors connect to. Its thread ends with it.
#[derive(Debug)]
pub(crate) struct VhostUser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and others need.
#[derive(Debug)]
struct Shared {
    /// Wakes the thread.
    wake: OwnedFd,
    ending: AtomicBool,
    /// The connection, so that the thread can be torn from a message that does not go on.
    caller: Mutex<Option<UnixStream>>,
}

impl Shared {
    fn wake(&self) {
        // It is full only when it has been woken for ages.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn woken(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }
}

impl VhostUser {
    /// Serves whoever connects to `listener`, a socket that does not block, and plugs them into `port`.
    ///
    /// # Errors
    /// The host has no files or threads left.
    pub(crate) fn serve(listener: UnixListener, port: PortHandle) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { wake, ending: AtomicBool::new(false), caller: Mutex::new(None) });
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        watch(&epoll, &shared.wake, WOKEN)?;
        watch(&epoll, &listener, CALLER)?;
        let worker = Worker { shared: shared.clone(), epoll, listener, port, call: None };
        let thread = std::thread::Builder::new().name("vhost-user".to_owned()).spawn(move || worker.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for VhostUser {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(caller) = &*self.shared.caller.lock().unwrap_or_else(PoisonError::into_inner) {
            drop(caller.shutdown(std::net::Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn watch(epoll: &OwnedFd, file: impl std::os::fd::AsFd, token: u64) -> rustix::io::Result<()> {
    epoll::add(epoll, file, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
}

/// The port's thread.
struct Worker {
    shared: Arc<Shared>,
    epoll: Arc<OwnedFd>,
    listener: UnixListener,
    port: PortHandle,
    call: Option<Call>,
}

/// A hypervisor that is connected.
struct Call {
    messages: BackendReqHandler<Mutex<Card>>,
    socket: UnixStream,
    card: Arc<Mutex<Card>>,
    from_guest: Arc<Mutex<Lane>>,
    to_guest: Arc<Mutex<Lane>>,
    link: Link,
    frames: Frames,
    /// What was told of each lane, so that it is told once.
    told: [Option<Malformed>; 2],
}

/// Frames on their way from the guest to the segment.
struct Frames {
    bytes: Vec<u8>,
    /// Where they end in `bytes`, and what was no frame.
    ends: Vec<Result<usize, Malformed>>,
}

impl Worker {
    fn run(mut self) {
        let mut events = Vec::with_capacity(8);
        let mut more = false;
        while !self.shared.ending.load(Ordering::Acquire) {
            events.clear();
            let patience = more.then(rustix::event::Timespec::default);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            for event in &events {
                match event.data.u64() {
                    WOKEN => self.shared.woken(),
                    CALLER => self.answer(),
                    MESSAGE => self.message(),
                    lane if lane == TO_GUEST as u64 => self.serve_waiting(),
                    // Frames are looked for below.
                    _ => {}
                }
            }
            more = self.bring_in();
            self.tell_trouble();
        }
    }

    /// A hypervisor calls. It takes the place of the one before: a machine that was started anew.
    fn answer(&mut self) {
        let caller = match self.listener.accept() {
            Ok((caller, _)) => caller,
            Err(error) => {
                if self.port.not_accepted(&error) == After::Remove {
                    let _ = epoll::delete(&self.epoll, &self.listener);
                }
                return;
            }
        };
        self.hang_up();
        let (Ok(same), Ok(socket)) = (caller.try_clone(), caller.try_clone()) else { return };
        if caller.set_nonblocking(false).is_err() || watch(&self.epoll, &caller, MESSAGE).is_err() {
            return;
        }
        let card = Card::new(self.epoll.clone());
        let (from_guest, to_guest) = (card.lane(FROM_GUEST), card.lane(TO_GUEST));
        let card = Arc::new(Mutex::new(card));
        let outlet = ToGuest { lane: to_guest.clone(), shared: self.shared.clone(), troubled: false };
        self.call = Some(Call {
            link: self.port.connect(Kind::VhostUser, Box::new(outlet)),
            messages: BackendReqHandler::from_stream(caller, card.clone()),
            socket,
            card,
            from_guest,
            to_guest,
            frames: Frames { bytes: Vec::new(), ends: Vec::with_capacity(BATCH) },
            told: [None; 2],
        });
        *self.shared.caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(same);
    }

    fn hang_up(&mut self) {
        // Once all that is open of it is closed, the epoll forgets it.
        *self.shared.caller.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.call = None;
    }

    fn message(&mut self) {
        let Some(call) = &mut self.call else { return };
        if early::answer(&call.socket, &call.card) {
            return;
        }
        match call.messages.handle_request() {
            Ok(()) => {}
            Err(Error::Disconnected | Error::SocketBroken(_) | Error::PartialMessage) => self.hang_up(),
            Err(_) => {
                self.port.malformed(Malformed::Protocol);
                self.hang_up();
            }
        }
    }

    /// The guest has buffers again.
    fn serve_waiting(&mut self) {
        if let Some(call) = &self.call {
            let mut lane = lock(&call.to_guest);
            lane.deliver_waiting();
            lane.wake();
        }
    }

    /// Brings in a batch of frames; `true` when there may be more.
    fn bring_in(&mut self) -> bool {
        let Some(call) = &mut self.call else { return false };
        let more = call.frames.collect(&mut lock(&call.from_guest));
        if call.frames.ends.is_empty() {
            return false;
        }
        if let Some(mut batch) = call.link.enter() {
            call.frames.hand_over(&mut batch);
            return more;
        }
        // Somebody plugged in by other means.
        self.hang_up();
        false
    }

    fn tell_trouble(&mut self) {
        let Some(call) = &mut self.call else { return };
        for (lane, told) in [&call.from_guest, &call.to_guest].into_iter().zip(&mut call.told) {
            let trouble = lock(lane).trouble();
            if let Some(trouble) = trouble.filter(|_| trouble != *told) {
                self.port.malformed(trouble);
            }
            *told = trouble;
        }
    }
}

impl Frames {
    /// Copies frames out of the guest's memory, where they could change while somebody looks at them; `true` when
    /// there may be more.
    fn collect(&mut self, lane: &mut Lane) -> bool {
        self.ends.clear();
        let mut end = 0;
        while self.ends.len() < BATCH && end < BATCH_BYTES {
            if self.bytes.len() < end + LONGEST {
                self.bytes.resize(end + LONGEST, 0);
            }
            match lane.take(&mut self.bytes[end..end + LONGEST]) {
                Sent::Nothing => {
                    lane.wake();
                    return false;
                }
                Sent::Frame(length) => {
                    end += length;
                    self.ends.push(Ok(end));
                }
                Sent::TooLong => self.ends.push(Err(Malformed::Long)),
                Sent::Unreadable => self.ends.push(Err(Malformed::Unreadable)),
            }
        }
        lane.wake();
        true
    }

    fn hand_over(&self, batch: &mut Batch<'_>) {
        let mut start = 0;
        for end in &self.ends {
            match *end {
                Ok(end) => {
                    batch.frame(&self.bytes[start..end]);
                    start = end;
                }
                Err(malformed) => batch.malformed(malformed),
            }
        }
    }
}

/// The way to the guest, as the segment knows it.
struct ToGuest {
    lane: Arc<Mutex<Lane>>,
    shared: Arc<Shared>,
    /// Whether the port's thread knows that the lane is at rest.
    troubled: bool,
}

impl Outlet for ToGuest {
    fn deliver(&mut self, frame: &[u8]) -> bool {
        lock(&self.lane).deliver(frame)
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let mut lane = lock(&self.lane);
        lane.wake();
        let troubled = lane.trouble().is_some();
        if troubled && !self.troubled {
            self.shared.wake();
        }
        self.troubled = troubled;
        Ok(())
    }
}
