//! A hypervisor and a guest's driver in one: makes memory, connects to the socket and works the rings by hand.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use vhost::vhost_user::message::VhostUserVirtioFeatures;
use vhost::vhost_user::{Frontend, VhostUserFrontend as _};
use vhost::{VhostBackend as _, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes as _, FileOffset, GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Entries of each ring.
pub(crate) const ENTRIES: u16 = 256;
/// The memory of a guest in bytes, in two regions with a gap between.
pub(crate) const MEMORY: u64 = 0x80_0000;
/// Where the second region begins, which has all buffers.
pub(crate) const UPPER: u64 = 0x1_0000_0000;
/// The space for one frame that is sent.
const TO_SEND: u64 = 0x1_0000;

pub(crate) const MERGEABLE: u64 = 1 << 15;
pub(crate) const EVENT_INDEX: u64 = 1 << 29;
pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const PROTOCOL: u64 = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();

/// The rings: what comes in, and what goes out.
pub(crate) const RX: usize = 0;
pub(crate) const TX: usize = 1;

/// One half of a guest's card.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) kick: EventFd,
    pub(crate) call: EventFd,
    /// Where the driver is in its rings.
    pub(crate) available: u16,
    pub(crate) used: u16,
}

/// A guest that is plugged in.
pub(crate) struct Guest {
    pub(crate) frontend: Frontend,
    pub(crate) socket: UnixStream,
    pub(crate) memory: GuestMemoryMmap,
    pub(crate) file: File,
    pub(crate) halves: [Half; 2],
    pub(crate) features: u64,
    pub(crate) buffer: u64,
}

/// Where a ring's table, available part and used part lie in the guest.
pub(crate) fn parts(ring: usize) -> [u64; 3] {
    let start = 0x1_0000 * ring as u64;
    [start, start + 0x4000, start + 0x8000]
}

impl Guest {
    /// A guest with buffers of `buffer` bytes for what it gets.
    pub(crate) fn new(path: &Path, features: u64, buffer: u64) -> Self {
        let mut guest = Self::connect(path, features, buffer);
        guest.start([0, 0]);
        (0..ENTRIES).for_each(|slot| guest.offer(slot));
        guest
    }

    /// A hypervisor that has connected, and said nothing yet.
    pub(crate) fn connect(path: &Path, features: u64, buffer: u64) -> Self {
        let file = File::from(
            rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap(),
        );
        file.set_len(MEMORY).unwrap();
        let half = |start| Some(FileOffset::new(file.try_clone().unwrap(), start));
        let size = usize::try_from(MEMORY / 2).unwrap();
        let memory = GuestMemoryMmap::from_ranges_with_files([
            (GuestAddress(0), size, half(0)),
            (GuestAddress(UPPER), size, half(MEMORY / 2)),
        ])
        .unwrap();
        let event = || EventFd::new(EFD_NONBLOCK).unwrap();
        let new = || Half { kick: event(), call: event(), available: 0, used: 0 };
        let socket = UnixStream::connect(path).unwrap();
        let frontend = Frontend::from_stream(socket.try_clone().unwrap(), 2);
        Self { socket, frontend, memory, file, halves: [new(), new()], features, buffer }
    }

    /// Sends a message as words, and gives the answer, for which it waits five seconds.
    pub(crate) fn ask(&self, words: [u32; 5]) -> [u32; 5] {
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (&self.socket).write_all(words.map(u32::to_ne_bytes).as_flattened()).unwrap();
        let mut answer = [0; 20];
        (&self.socket).read_exact(&mut answer).unwrap();
        self.socket.set_read_timeout(None).unwrap();
        std::array::from_fn(|word| u32::from_ne_bytes(answer.as_chunks().0[word]))
    }

    /// Sends the first bytes of a message.
    pub(crate) fn half_a_message(&self) {
        assert_eq!((&self.socket).write(&[1, 0, 0, 0]).unwrap(), 4);
    }

    /// What the kernel and the hypervisor do until the card works. `from` says where the rings stand.
    pub(crate) fn start(&mut self, from: [u16; 2]) {
        self.prepare(from);
        self.resume(from);
    }

    /// Writes empty rings.
    pub(crate) fn prepare(&mut self, from: [u16; 2]) {
        for (ring, from) in from.into_iter().enumerate() {
            (self.halves[ring].available, self.halves[ring].used) = (from, from);
            for part in &parts(ring)[1..] {
                self.memory.write_obj(from, GuestAddress(part + 2)).unwrap();
            }
        }
    }

    /// Has the other side go on with the rings that are there.
    pub(crate) fn resume(&mut self, from: [u16; 2]) {
        self.frontend.set_owner().unwrap();
        let offered = self.frontend.get_features().unwrap();
        assert_eq!(offered & self.features, self.features, "not offered");
        let protocol = self.frontend.get_protocol_features().unwrap();
        self.frontend.set_protocol_features(protocol).unwrap();
        self.frontend.set_features(self.features | PROTOCOL).unwrap();
        self.share_memory();
        for (ring, from) in from.into_iter().enumerate() {
            self.start_ring(ring, from);
        }
        // Once this is answered, all before is done.
        self.frontend.get_features().unwrap();
    }

    pub(crate) fn share_memory(&mut self) {
        let regions: Vec<_> = self
            .memory
            .iter()
            .map(|region| VhostUserMemoryRegionInfo::from_guest_region(region).unwrap())
            .collect();
        self.frontend.set_mem_table(&regions).unwrap();
    }

    pub(crate) fn start_ring(&mut self, ring: usize, from: u16) {
        let at = |address| self.memory.get_host_address(GuestAddress(address)).unwrap() as u64;
        let [table, available, used] = parts(ring);
        let (half, frontend) = (&self.halves[ring], &self.frontend);
        frontend.set_vring_num(ring, ENTRIES).unwrap();
        frontend.set_vring_base(ring, from).unwrap();
        let config = VringConfigData {
            queue_max_size: ENTRIES,
            queue_size: ENTRIES,
            flags: 0,
            desc_table_addr: at(table),
            used_ring_addr: at(used),
            avail_ring_addr: at(available),
            log_addr: None,
        };
        frontend.set_vring_addr(ring, &config).unwrap();
        frontend.set_vring_call(ring, &half.call).unwrap();
        frontend.set_vring_kick(ring, &half.kick).unwrap();
        self.frontend.set_vring_enable(ring, true).unwrap();
    }

    pub(crate) fn write(&self, bytes: &[u8], address: u64) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(crate) fn descriptor(
        &self,
        ring: usize,
        index: u16,
        address: u64,
        length: u32,
        flags: u16,
        next: u16,
    ) {
        self.write_descriptor(parts(ring)[0] + 16 * u64::from(index), address, length, flags, next);
    }

    pub(crate) fn write_descriptor(&self, at: u64, address: u64, length: u32, flags: u16, next: u16) {
        self.memory.write_obj(address, GuestAddress(at)).unwrap();
        self.memory.write_obj(length, GuestAddress(at + 8)).unwrap();
        self.memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
        self.memory.write_obj(next, GuestAddress(at + 14)).unwrap();
    }

    /// Makes a chain available, without knocking.
    pub(crate) fn push(&mut self, ring: usize, head: u16) {
        let half = &mut self.halves[ring];
        let entry = parts(ring)[1] + 4 + 2 * u64::from(half.available % ENTRIES);
        self.memory.write_obj(head, GuestAddress(entry)).unwrap();
        half.available = half.available.wrapping_add(1);
        self.memory.store(half.available, GuestAddress(parts(ring)[1] + 2), Ordering::SeqCst).unwrap();
    }

    pub(crate) fn knock(&self, ring: usize) {
        self.halves[ring].kick.write(1).unwrap();
    }

    /// Bytes before each frame.
    fn header(&self) -> usize {
        if self.features & (VERSION_1 | MERGEABLE) == 0 { 10 } else { 12 }
    }

    /// Offers an empty buffer, without knocking.
    pub(crate) fn offer(&mut self, slot: u16) {
        let address = UPPER + u64::from(slot) * self.buffer;
        self.descriptor(RX, slot, address, u32::try_from(self.buffer).unwrap(), 2, 0);
        self.push(RX, slot);
    }

    /// Sends a frame, without waiting.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.send_quietly(frame);
        self.knock(TX);
    }

    /// Makes a frame available, without knocking.
    pub(crate) fn send_quietly(&mut self, frame: &[u8]) {
        let slot = self.halves[TX].available % 16;
        let address = UPPER + MEMORY / 2 - (1 + u64::from(slot)) * 2 * TO_SEND;
        self.write(&vec![0; self.header()], address);
        self.write(frame, address + self.header() as u64);
        let length = u32::try_from(frame.len() + self.header()).unwrap();
        self.descriptor(TX, slot, address, length, 0, 0);
        self.push(TX, slot);
    }

    /// Waits until `ring` has more used entries than were seen; `false` when that takes more than five seconds.
    pub(crate) fn wait_used(&mut self, ring: usize) -> bool {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let used: u16 = self.memory.load(GuestAddress(parts(ring)[2] + 2), Ordering::SeqCst).unwrap();
            if used != self.halves[ring].used {
                return true;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            let call = &self.halves[ring].call;
            // Asks to be told of the next one.
            let event = GuestAddress(parts(ring)[1] + 4 + 2 * u64::from(ENTRIES));
            self.memory.store(self.halves[ring].used, event, Ordering::SeqCst).unwrap();
            if self.memory.load::<u16>(GuestAddress(parts(ring)[2] + 2), Ordering::SeqCst).unwrap() != used {
                continue;
            }
            let epoll = Epoll::new().unwrap();
            let event = EpollEvent::new(EventSet::IN, 0);
            epoll.ctl(ControlOperation::Add, call.as_raw_fd(), event).unwrap();
            let milliseconds = i32::try_from(left.as_millis()).unwrap() + 1;
            epoll.wait(milliseconds, &mut [EpollEvent::default()]).unwrap();
            drop(call.read());
        }
    }

    /// The next used entry: head and length.
    pub(crate) fn take_used(&mut self, ring: usize) -> Option<(u16, u32)> {
        if !self.wait_used(ring) {
            return None;
        }
        let half = &mut self.halves[ring];
        let at = parts(ring)[2] + 4 + 8 * u64::from(half.used % ENTRIES);
        half.used = half.used.wrapping_add(1);
        let head: u32 = self.memory.read_obj(GuestAddress(at)).unwrap();
        let length = self.memory.read_obj(GuestAddress(at + 4)).unwrap();
        Some((u16::try_from(head).unwrap(), length))
    }

    /// The next frame for the guest; `None` when none comes within five seconds. Its buffers are offered anew.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let (mut all, mut left) = (Vec::new(), 1_u16);
        while left > 0 {
            let (head, length) = self.take_used(RX)?;
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            self.memory.read_slice(&mut bytes, GuestAddress(UPPER + u64::from(head) * self.buffer)).unwrap();
            if all.is_empty() {
                assert!(bytes[..10].iter().all(|byte| *byte == 0), "a header says something");
                if self.header() == 12 {
                    left = u16::from_le_bytes([bytes[10], bytes[11]]);
                }
            }
            all.extend(bytes);
            left -= 1;
            self.offer(head);
        }
        self.knock(RX);
        Some(all.split_off(self.header()))
    }

    /// Gives up the rings, and says where the other side stood.
    pub(crate) fn stop(&mut self) -> [u32; 2] {
        [RX, TX].map(|ring| self.frontend.get_vring_base(ring).unwrap())
    }
}

/// A frame to everybody from machine `from`.
pub(crate) fn frame(from: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![from; length];
    frame[..14].copy_from_slice(&[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, from, 0x88, 0xb5]);
    frame
}
