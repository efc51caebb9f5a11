//! One ring of a network card: what the guest's driver and we hand each other through shared memory.
//!
//! The guest may write anything into its rings at any time. Chains of descriptors are walked by `virtio-queue`,
//! which bounds them; frames are copied out before anybody looks at them. What is returned to the guest is written
//! here, as frames that fill several buffers must appear all at once, which that crate cannot do.

use std::num::Wrapping;
use std::sync::atomic::{Ordering, fence};

use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};

/// The longest ring that virtio knows.
const LONGEST: u16 = 32768;

/// Pieces of memory that one frame may be spread over: more than any driver makes of 64 KiB, and few enough that
/// walking them is nothing.
const MOST_PIECES: usize = 256;

/// The guest has written into its ring what no driver writes. The ring rests until the guest starts its card anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadRing;

/// Whatever goes wrong with a ring says that it cannot be trusted.
fn bad<E>(_: E) -> BadRing {
    BadRing
}

/// What the guest's next chain to send is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// A frame of this length is in the buffer.
    Frame(usize),
    /// More than the buffer takes.
    TooLong,
    /// No frame: it cannot be read.
    Unreadable,
    /// There is nothing.
    Nothing,
}

/// What became of a frame for the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It is there.
    Yes,
    /// The guest has no buffers left; it knocks when it has.
    Full,
    /// The guest's buffers are too small for it.
    TooLong,
}

/// The state of one ring.
#[derive(Debug)]
pub(super) struct Ring {
    queue: Queue,
    /// How far the guest was told of what we returned.
    told: Wrapping<u16>,
    /// The buffers of the frame that is being delivered, and their chains; kept for their space.
    pieces: Vec<(GuestAddress, usize)>,
    chains: Vec<(u16, u32)>,
}

impl Ring {
    /// A ring that is not in use.
    pub(super) fn new() -> Self {
        let queue = Queue::new(LONGEST).unwrap_or_default();
        Self { queue, told: Wrapping(0), pieces: Vec::new(), chains: Vec::new() }
    }

    /// Sets its length; `false` for one that no ring has.
    pub(super) fn set_length(&mut self, entries: u32) -> bool {
        u16::try_from(entries).is_ok_and(|entries| self.queue.try_set_size(entries).is_ok())
    }

    /// Sets where its three parts lie in the guest; `false` for addresses that no ring can have.
    pub(super) fn set_addresses(&mut self, table: u64, available: u64, used: u64) -> bool {
        self.queue.try_set_desc_table_address(GuestAddress(table)).is_ok()
            && self.queue.try_set_avail_ring_address(GuestAddress(available)).is_ok()
            && self.queue.try_set_used_ring_address(GuestAddress(used)).is_ok()
    }

    /// Which of the guest's entries is looked at next.
    pub(super) fn position(&self) -> u16 {
        self.queue.next_avail()
    }

    /// Begins to use the ring, behind what was returned to the guest: all that was taken before was returned, and in
    /// order. What the hypervisor believes to be the next entry is not asked for; Cloud Hypervisor names the last that
    /// the guest has made, and would have all buffers forgotten that wait in a ring, after a restore for one.
    pub(super) fn start(&mut self, memory: &GuestMemoryMmap, event_index: bool) -> Result<(), BadRing> {
        self.queue.set_event_idx(event_index);
        self.queue.set_ready(true);
        self.check(memory)?;
        let used = self.queue.used_idx(memory, Ordering::Acquire).map_err(bad)?;
        self.queue.set_next_used(used.0);
        self.queue.set_next_avail(used.0);
        self.told = used;
        Ok(())
    }

    /// Whether it lies in memory, which may have changed since it was started.
    pub(super) fn check(&self, memory: &GuestMemoryMmap) -> Result<(), BadRing> {
        if self.queue.is_valid(memory) { Ok(()) } else { Err(BadRing) }
    }

    /// Stops using the ring, where it stands.
    pub(super) fn stop(&mut self) {
        self.queue.set_ready(false);
    }

    /// Takes the next frame that the guest sends, without the `header` bytes before it.
    pub(super) fn take(
        &mut self,
        memory: &GuestMemoryMmap,
        header: usize,
        buffer: &mut [u8],
    ) -> Result<Sent, BadRing> {
        let Some(chain) = self.next_chain(memory)? else { return Ok(Sent::Nothing) };
        let head = chain.head_index();
        let sent = copy_out(chain, memory, header, buffer);
        self.give_back(memory, 0, head, 0)?;
        self.publish(memory, 1)?;
        Ok(sent)
    }

    /// Asks the guest to knock when there is more; `true` if there is already.
    pub(super) fn ask_for_knocks(&mut self, memory: &GuestMemoryMmap) -> Result<bool, BadRing> {
        self.queue.enable_notification(memory).map_err(bad)
    }

    /// Asks the guest not to knock.
    pub(super) fn spare_knocks(&mut self, memory: &GuestMemoryMmap) -> Result<(), BadRing> {
        self.queue.disable_notification(memory).map_err(bad)
    }

    /// Gives the guest a frame, after a `header` of zeros, in one buffer or, if it can put several together, in as
    /// many as it takes.
    pub(super) fn deliver(
        &mut self,
        memory: &GuestMemoryMmap,
        header: usize,
        mergeable: bool,
        frame: &[u8],
    ) -> Result<Delivered, BadRing> {
        self.pieces.clear();
        self.chains.clear();
        let wanted = header + frame.len();
        let mut room = 0;
        while room < wanted {
            let one_is_not_enough = !self.chains.is_empty() && !mergeable;
            let next = if one_is_not_enough { None } else { self.next_chain(memory)? };
            let Some(chain) = next else {
                // What was looked at stays available.
                let taken = Wrapping(u16::try_from(self.chains.len()).unwrap_or(0));
                self.queue.set_next_avail((Wrapping(self.queue.next_avail()) - taken).0);
                return Ok(if one_is_not_enough { Delivered::TooLong } else { Delivered::Full });
            };
            let (head, before) = (chain.head_index(), room);
            for piece in chain {
                if !piece.is_write_only() || self.pieces.len() == MOST_PIECES {
                    return Err(BadRing);
                }
                let length = (piece.len() as usize).min(wanted - room);
                self.pieces.push((piece.addr(), length));
                room += length;
                if room == wanted {
                    break;
                }
            }
            if room == before {
                return Err(BadRing);
            }
            self.chains.push((head, u32::try_from(room - before).unwrap_or(0)));
        }
        self.fill(memory, header, frame)?;
        for at in 0..self.chains.len() {
            let (head, length) = self.chains[at];
            self.give_back(memory, at, head, length)?;
        }
        self.publish(memory, self.chains.len())?;
        Ok(Delivered::Yes)
    }

    /// Whether the guest wants to be told of what we returned since it was last asked.
    pub(super) fn wants_interrupt(&mut self, memory: &GuestMemoryMmap) -> Result<bool, BadRing> {
        let (used, told) = (Wrapping(self.queue.next_used()), self.told);
        if used == told {
            return Ok(false);
        }
        self.told = used;
        // The guest looks at the ring after it has written when it wants to be told; we do it the other way round.
        fence(Ordering::SeqCst);
        let at = |offset| GuestAddress(self.queue.avail_ring() + offset);
        if self.queue.event_idx_enabled() {
            let after_entries = at(4 + 2 * u64::from(self.queue.size()));
            let event = memory.load::<u16>(after_entries, Ordering::Relaxed).map_err(bad)?;
            return Ok(used - Wrapping(u16::from_le(event)) - Wrapping(1) < used - told);
        }
        let flags = u16::from_le(memory.load(at(0), Ordering::Relaxed).map_err(bad)?);
        Ok(u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }

    fn next_chain<'m>(
        &mut self,
        memory: &'m GuestMemoryMmap,
    ) -> Result<Option<DescriptorChain<&'m GuestMemoryMmap>>, BadRing> {
        let length = self.queue.size();
        match self.queue.iter(memory).map_err(bad)?.next() {
            Some(chain) if chain.head_index() >= length => Err(BadRing),
            chain => Ok(chain),
        }
    }

    /// Writes the header and the frame over the pieces.
    fn fill(&self, memory: &GuestMemoryMmap, header: usize, frame: &[u8]) -> Result<(), BadRing> {
        let mut start = [0; 12];
        let buffers = u16::try_from(self.chains.len()).unwrap_or(0).to_le_bytes();
        start[10..].copy_from_slice(&buffers);
        let (mut start, mut frame) = (&start[..header], frame);
        for (address, length) in &self.pieces {
            let (of_start, rest) = start.split_at(start.len().min(*length));
            let (of_frame, later) = frame.split_at(frame.len().min(length - of_start.len()));
            memory.write_slice(of_start, *address).map_err(bad)?;
            let behind = address.0.checked_add(of_start.len() as u64).ok_or(BadRing)?;
            memory.write_slice(of_frame, GuestAddress(behind)).map_err(bad)?;
            (start, frame) = (rest, later);
        }
        Ok(())
    }

    /// Writes an entry, `ahead` of those that the guest knows, on the chain that it gets back.
    fn give_back(
        &self,
        memory: &GuestMemoryMmap,
        ahead: usize,
        head: u16,
        length: u32,
    ) -> Result<(), BadRing> {
        let at = (usize::from(self.queue.next_used()) + ahead) % usize::from(self.queue.size());
        let address = GuestAddress(self.queue.used_ring() + 4 + 8 * at as u64);
        let entry = u64::from(head) | u64::from(length) << 32;
        memory.write_obj(entry.to_le(), address).map_err(bad)
    }

    /// Lets the guest see the next entries.
    fn publish(&mut self, memory: &GuestMemoryMmap, entries: usize) -> Result<(), BadRing> {
        let used = Wrapping(self.queue.next_used()) + Wrapping(u16::try_from(entries).unwrap_or(0));
        self.queue.set_next_used(used.0);
        let address = GuestAddress(self.queue.used_ring() + 2);
        memory.store(used.0.to_le(), address, Ordering::Release).map_err(bad)
    }
}

fn copy_out(
    chain: DescriptorChain<&GuestMemoryMmap>,
    memory: &GuestMemoryMmap,
    header: usize,
    buffer: &mut [u8],
) -> Sent {
    let (mut skip, mut length, mut unfinished) = (header, 0, false);
    for (count, piece) in chain.enumerate() {
        let skipped = skip.min(piece.len() as usize);
        skip -= skipped;
        let more = piece.len() as usize - skipped;
        let Some(address) = piece.addr().0.checked_add(skipped as u64) else { return Sent::Unreadable };
        let Some(room) = buffer.get_mut(length..length + more) else { return Sent::TooLong };
        if piece.is_write_only()
            || count == MOST_PIECES
            || memory.read_slice(room, GuestAddress(address)).is_err()
        {
            return Sent::Unreadable;
        }
        length += more;
        unfinished = piece.has_next();
    }
    if unfinished { Sent::Unreadable } else { Sent::Frame(length) }
}
