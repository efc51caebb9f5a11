//! Ports: where frames come into a segment and where they go out, whatever lies behind.
//!
//! Whoever speaks a port's protocol (the engine's sockets, a vhost-user worker) holds a [`PortHandle`], says by
//! [`PortHandle::connect`] that somebody has plugged in, and brings in frames by [`Link::enter`]. Frames that go
//! out are handed to its [`Outlet`].

use std::fmt;
use std::io;
use std::sync::{Arc, MutexGuard};

use driver_core::vlan::PortStats;

use crate::engine::{After, writable_token};
use crate::outlet::Doorbell;
use crate::segment::{Route, Segment};
use crate::shared::Shared;

/// The shortest frame: two addresses and a type.
pub(crate) const SHORTEST: usize = 14;

/// The longest frame that passes.
pub(crate) const LONGEST: usize = 65_535;

/// How somebody is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// QEMU's `-netdev stream`.
    Stream,
    /// QEMU's `-netdev dgram`.
    Dgram,
    /// VDE 2.
    Vde,
    /// Memory that is shared with the guest.
    VhostUser,
    /// A network device of the host.
    Tap,
}

impl Kind {
    /// As [`PortStats::kind`] has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Dgram => "dgram",
            Self::Vde => "vde",
            Self::VhostUser => "vhost-user",
            Self::Tap => "tap",
        }
    }
}

/// The other side has gone: there is nobody to deliver to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Where frames to a port go out.
///
/// All of it is called while the segment is locked, by the thread that brought the frame, be it the engine's or
/// a vhost-user worker's. So it must never wait, and must not take a lock that somebody holds who calls
/// [`Link::enter`].
pub(crate) trait Outlet: Send {
    /// Takes a frame, to be sent by the next [`Outlet::flush`] at the latest; `false` when there is no room for
    /// it: the switch counts it as lost.
    fn deliver(&mut self, frame: &[u8]) -> bool;

    /// Sends what it holds, as far as the other side takes it, and wakes the other side. Called once after each
    /// batch of frames.
    ///
    /// # Errors
    /// [`Gone`] unplugs the port.
    fn flush(&mut self) -> Result<(), Gone>;

    /// The engine tells that the outlet's socket has room again. Only for those who have asked it to.
    ///
    /// # Errors
    /// [`Gone`] unplugs the port.
    fn writable(&mut self) -> Result<(), Gone> {
        self.flush()
    }
}

/// What can be wrong with what comes from a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A frame with too few bytes for a header.
    Short,
    /// A frame with more bytes than any may have.
    Long,
    /// A request, or a framing, that breaks the port's protocol.
    Protocol,
    /// A frame that is not in the memory that the guest shares.
    Unreadable,
    /// A ring in shared memory that says what no driver says.
    Ring,
    /// Memory that was shared and is no longer there.
    Lost,
}

impl Malformed {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn tell(self) -> String {
        match self {
            Self::Short => format!("sends frames of less than {SHORTEST} bytes (dropped and counted)"),
            Self::Long => format!("sends frames of more than {LONGEST} bytes (dropped and counted)"),
            Self::Protocol => "breaks the protocol of its socket (the connection is ended)".to_owned(),
            Self::Unreadable => "sends what is not in its memory (dropped and counted)".to_owned(),
            Self::Ring => {
                "writes nonsense into its card's rings (at rest until the card is reset)".to_owned()
            }
            Self::Lost => {
                "shares memory that was cut, or that the host has no room for (its card is at rest)"
                    .to_owned()
            }
        }
    }
}

/// A port as the segment keeps it.
pub(crate) struct Port {
    /// What stats and captures call it.
    pub(crate) name: String,
    /// The machine that it belongs to.
    pub(crate) machine: Option<String>,
    pub(crate) plugged: Option<Plugged>,
    /// Whether frames have been delivered that are not flushed yet.
    pub(crate) touched: bool,
    pub(crate) counts: Counts,
    warned: u8,
}

/// Who is plugged in.
pub(crate) struct Plugged {
    /// Tells this connection from all others of the switch.
    pub(crate) generation: u64,
    pub(crate) kind: Kind,
    pub(crate) outlet: Box<dyn Outlet>,
}

/// What has passed a port; the fields of [`PortStats`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) sent_frames: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_frames: u64,
    pub(crate) received_bytes: u64,
    pub(crate) dropped_full: u64,
    pub(crate) dropped_by_fault: u64,
    pub(crate) malformed: u64,
}

impl Port {
    pub(crate) fn new(name: String, machine: Option<String>) -> Self {
        Self { name, machine, plugged: None, touched: false, counts: Counts::default(), warned: 0 }
    }

    pub(crate) fn stats(&self) -> PortStats {
        PortStats {
            port: self.name.clone(),
            machine: self.machine.clone(),
            kind: self.plugged.as_ref().map(|plugged| plugged.kind.name().to_owned()),
            sent_frames: self.counts.sent_frames,
            sent_bytes: self.counts.sent_bytes,
            received_frames: self.counts.received_frames,
            received_bytes: self.counts.received_bytes,
            dropped_full: self.counts.dropped_full,
            dropped_by_fault: self.counts.dropped_by_fault,
            malformed: self.counts.malformed,
        }
    }

    /// Counts it, and returns what to warn of when it is the first of its kind.
    pub(crate) fn malformed(&mut self, what: Malformed) -> Option<String> {
        self.counts.malformed += 1;
        let first = self.warned & what.bit() == 0;
        self.warned |= what.bit();
        first.then(|| format!("`{}` {}", self.name, what.tell()))
    }
}

/// A port, for those who speak its protocol.
#[derive(Clone)]
pub(crate) struct PortHandle {
    shared: Arc<Shared>,
    number: usize,
}

impl fmt::Debug for PortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.number)
    }
}

impl PortHandle {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number }
    }

    /// Says that somebody has plugged in, in the place of whoever was before.
    pub(crate) fn connect(&self, kind: Kind, outlet: Box<dyn Outlet>) -> Link {
        let generation = self.shared.lock().connect(self.number, kind, outlet);
        Link { port: self.clone(), generation }
    }

    /// By what the port's outlet asks the engine to be told.
    pub(crate) fn doorbell(&self) -> Doorbell {
        Doorbell::new(Arc::clone(self.shared.epoll()), writable_token(self.number))
    }

    /// What becomes of the port's listening socket that has failed to accept a connection.
    pub(crate) fn not_accepted(&self, error: &io::Error) -> After {
        self.shared.not_accepted(error)
    }

    /// Says something odd.
    pub(crate) fn warn(&self, text: &str) {
        self.shared.warn(text);
    }

    /// Counts something that came to the port's sockets and was no frame, and warns of the first of its kind.
    pub(crate) fn malformed(&self, what: Malformed) {
        self.shared.lock().malformed(self.number, what);
    }
}

/// Somebody who is plugged into a port. Pulls the plug when dropped.
#[derive(Debug)]
pub(crate) struct Link {
    port: PortHandle,
    generation: u64,
}

impl Link {
    /// Locks the segment, to bring in frames; `None` when the plug has been pulled: somebody else has the port.
    pub(crate) fn enter(&self) -> Option<Batch<'_>> {
        let segment = self.port.shared.lock();
        let plugged = segment.port(self.port.number).plugged.as_ref()?;
        if plugged.generation != self.generation {
            return None;
        }
        Some(Batch { segment, port: self.port.number, last: None })
    }

    /// Pulls the plug, unless somebody else has the port by now.
    pub(crate) fn pull(&self) {
        self.port.shared.lock().disconnect(self.port.number, self.generation);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.pull();
    }
}

/// Frames on their way through the locked segment. They are flushed when the batch is dropped.
pub(crate) struct Batch<'a> {
    segment: MutexGuard<'a, Segment>,
    port: usize,
    /// Where the frame before went: runs of frames between the same two addresses are the rule.
    last: Option<([u8; 12], Route)>,
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch from port {}", self.port)
    }
}

impl Batch<'_> {
    /// A frame comes in. Lengths that no frame has are counted as malformed.
    pub(crate) fn frame(&mut self, frame: &[u8]) {
        let addresses = match frame.first_chunk::<12>() {
            Some(addresses) if frame.len() >= SHORTEST && frame.len() <= LONGEST => addresses,
            _ => {
                let what = if frame.len() < SHORTEST { Malformed::Short } else { Malformed::Long };
                return self.segment.malformed(self.port, what);
            }
        };
        let route = match &self.last {
            Some((last, route)) if last == addresses => *route,
            _ => {
                let route = self.segment.route(self.port, addresses);
                self.last = Some((*addresses, route));
                route
            }
        };
        self.segment.forward(self.port, route, frame);
    }

    /// Something came that was no frame.
    pub(crate) fn malformed(&mut self, what: Malformed) {
        self.segment.malformed(self.port, what);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.segment.flush();
    }
}
