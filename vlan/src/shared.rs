//! A segment that several threads bring frames to, and what wakes the engine's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use driver_core::vlan::SwitchLog;
use rustix::event::epoll::{self, CreateFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::dhcp::Dhcp;
use crate::engine::After;
use crate::port::PortHandle;
use crate::segment::Segment;

/// A segment that several threads bring frames to.
pub(crate) struct Shared {
    segment: Mutex<Segment>,
    epoll: Arc<OwnedFd>,
    timer: Arc<OwnedFd>,
}

impl Shared {
    pub(crate) fn new(seed: u64, dhcp: Option<Dhcp>, log: Arc<dyn SwitchLog>) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = Arc::new(timerfd_create(TimerfdClockId::Monotonic, flags)?);
        let segment = Segment::new(seed, dhcp, log, Alarm { timer: Arc::clone(&timer), armed: None });
        let epoll = Arc::new(epoll::create(CreateFlags::CLOEXEC)?);
        Ok(Self { segment: Mutex::new(segment), epoll, timer })
    }

    /// Locks the segment. Whoever brings frames calls [`Segment::flush`] before it is unlocked.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Segment> {
        // Somebody's panic leaves counters that may be off by one frame: no reason to stop the others.
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine waits at.
    pub(crate) fn epoll(&self) -> &Arc<OwnedFd> {
        &self.epoll
    }

    /// What can be read when [`Shared::deliver_due`] is to be called.
    pub(crate) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Delivers what has been held back long enough.
    pub(crate) fn deliver_due(&self) {
        // How often it went off does not matter.
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
        let mut segment = self.lock();
        segment.alarm.armed = None;
        segment.deliver_due(Instant::now());
        segment.flush();
    }

    /// What becomes of a listening socket that has failed to accept a connection.
    pub(crate) fn not_accepted(&self, error: &io::Error) -> After {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};

        if matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock) {
            return After::Stay;
        }
        // The connection waits still, and would be tried again and again.
        self.warn(&format!("a socket takes no more connections: {error}"));
        After::Remove
    }

    /// Says something odd.
    pub(crate) fn warn(&self, text: &str) {
        self.lock().log.warning(text);
    }

    /// A port that belongs to no machine and is free; `None` when there are too many.
    pub(crate) fn host_port(self: &Arc<Self>) -> Option<PortHandle> {
        let number = self.lock().host_port()?;
        Some(PortHandle::new(Arc::clone(self), number))
    }
}

/// Tells when the next frame is due.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Arc<OwnedFd>,
    armed: Option<Instant>,
}

impl Alarm {
    /// Sees to it that the timer goes off at `due`.
    pub(crate) fn set(&mut self, due: Option<Instant>) {
        let Some(due) = due.filter(|due| self.armed.is_none_or(|armed| *due < armed)) else { return };
        // A timer of no time would never go off.
        let nanoseconds = due.saturating_duration_since(Instant::now()).as_nanos().max(1);
        let second = 1_000_000_000;
        let value = Timespec {
            tv_sec: i64::try_from(nanoseconds / second).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanoseconds % second).unwrap_or(0),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // Fails only for times that make no sense.
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok() {
            self.armed = Some(due);
        }
    }
}
