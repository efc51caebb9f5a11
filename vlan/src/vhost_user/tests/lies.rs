//! Guests and hypervisors that mean harm, or that die: only their own port suffers.

use vhost::{VhostBackend as _, VhostUserMemoryRegionInfo};
use vm_memory::GuestMemoryBackend as _;

use super::guest::{ENTRIES, Guest, MEMORY, RX, TX, UPPER, frame, parts};
use super::{MODERN, Stage, until};

/// What a liar does once its card works.
type Lie = fn(&mut Guest);

/// Lies that end a ring until the guest starts it anew.
const FATAL: [(&str, Lie); 9] = [
    ("more entries than there are", |guest| {
        guest.write(&600_u16.to_le_bytes(), parts(TX)[1] + 2);
        guest.knock(TX);
    }),
    ("a head beyond the table", |guest| {
        guest.push(TX, ENTRIES);
        guest.knock(TX);
    }),
    ("buffers that are not to be written", |guest| guest.descriptor(RX, 0, UPPER, 2048, 0, 0)),
    ("buffers outside of memory", |guest| guest.descriptor(RX, 0, 1 << 60, 2048, 2, 0)),
    ("buffers at the end of everything", |guest| guest.descriptor(RX, 0, u64::MAX, u32::MAX, 2, 0)),
    ("buffers without space", |guest| guest.descriptor(RX, 0, UPPER, 0, 2, 0)),
    ("buffers in a loop", |guest| guest.descriptor(RX, 0, UPPER, 0, 3, 0)),
    ("no memory", |guest| {
        let one = guest.memory.iter().nth(1).unwrap();
        let one = VhostUserMemoryRegionInfo::from_guest_region(one).unwrap();
        guest.frontend.set_mem_table(&[one]).unwrap();
    }),
    ("memory that is cut off", |guest| guest.file.set_len(0).unwrap()),
];

/// Lies that only cost the frame that they are told of.
const HARMLESS: [(&str, Lie); 6] = [
    ("a frame outside of memory", |guest| guest.descriptor(TX, 0, 1 << 60, 100, 0, 0)),
    ("a frame over the end of memory", |guest| guest.descriptor(TX, 0, MEMORY / 2 - 50, 100, 0, 0)),
    ("a frame without end", |guest| guest.descriptor(TX, 0, UPPER, u32::MAX, 0, 0)),
    ("a frame in a loop", |guest| guest.descriptor(TX, 0, UPPER, 1, 1, 0)),
    ("a frame that is to be written", |guest| guest.descriptor(TX, 0, UPPER, 100, 2, 0)),
    ("a table in a table", |guest| {
        guest.descriptor(TX, 0, UPPER, 16, 4, 0);
        guest.write_descriptor(UPPER, UPPER, 16, 4, 0);
    }),
];

struct Trio {
    stage: Stage,
    liar: Guest,
    others: [Guest; 2],
}

impl Trio {
    fn new() -> Self {
        let stage = Stage::new(&["liar", "server", "client"]);
        let others = ["server", "client"].map(|name| stage.guest(name, MODERN, 2048));
        let liar = stage.guest("liar", MODERN, 2048);
        Self { stage, liar, others }
    }

    /// The others still hear each other.
    fn others_talk(&mut self, lie: &str) {
        let [server, client] = &mut self.others;
        server.send(&frame(1, 60));
        assert_eq!(client.receive(), Some(frame(1, 60)), "{lie}");
    }

    /// The liar works again, and everybody hears it.
    fn liar_talks(&mut self, lie: &str) {
        self.liar.send(&frame(3, 60));
        for other in &mut self.others {
            while other.receive().expect(lie) != frame(3, 60) {}
        }
        self.others_talk(lie);
        while self.liar.receive().expect(lie) != frame(1, 60) {}
    }
}

#[test]
fn lies_in_rings_end_the_ring_until_it_is_started_anew() {
    for (lie, tell) in FATAL {
        let mut trio = Trio::new();
        tell(&mut trio.liar);
        trio.others_talk(lie);
        trio.others_talk(lie);
        assert!(until(|| trio.stage.stats("liar").malformed > 0), "{lie}");
        trio.liar.file.set_len(MEMORY).unwrap();
        trio.liar.stop();
        trio.liar.start([0, 0]);
        (0..ENTRIES).for_each(|slot| trio.liar.offer(slot));
        trio.liar_talks(lie);
    }
}

#[test]
fn frames_that_are_none_are_counted_and_the_next_one_passes() {
    for (lie, tell) in HARMLESS {
        let mut trio = Trio::new();
        tell(&mut trio.liar);
        trio.liar.push(TX, 0);
        trio.liar.knock(TX);
        assert_eq!(trio.liar.take_used(TX), Some((0, 0)), "{lie}");
        assert!(until(|| trio.stage.stats("liar").malformed == 1), "{lie}");
        trio.liar_talks(lie);
        assert_eq!(trio.stage.stats("liar").malformed, 1, "{lie}");
    }
}

#[test]
fn memory_that_vanishes_while_a_guest_is_flooded_takes_nobody_along() {
    let mut trio = Trio::new();
    for round in 0..20 {
        for count in 0..50_u64 {
            if count == round {
                trio.liar.file.set_len(count * 4096 % MEMORY).unwrap();
            }
            trio.others_talk("cut");
        }
        trio.liar.file.set_len(MEMORY).unwrap();
        trio.liar = trio.stage.guest("liar", MODERN, 2048);
    }
    trio.liar_talks("cut");
}

#[test]
fn messages_that_ask_for_the_impossible_end_the_connection() {
    let wrong: [(&str, Lie); 5] = [
        ("features that were not offered", |guest| drop(guest.frontend.set_features(1 << 63))),
        ("regions over each other", |guest| {
            let mut regions: Vec<_> = guest
                .memory
                .iter()
                .map(|region| VhostUserMemoryRegionInfo::from_guest_region(region).unwrap())
                .collect();
            regions[1].guest_phys_addr = 4096;
            drop(guest.frontend.set_mem_table(&regions));
        }),
        ("regions beyond their file", |guest| {
            let region = guest.memory.iter().next().unwrap();
            let mut region = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
            region.memory_size = 2 * MEMORY;
            drop(guest.frontend.set_mem_table(&[region]));
        }),
        ("a ring of three entries", |guest| {
            guest.stop();
            drop(guest.frontend.set_vring_num(RX, 3));
        }),
        ("a ring of no entries while it is in use", |guest| drop(guest.frontend.set_vring_num(RX, 0))),
    ];
    for (lie, tell) in wrong {
        let mut trio = Trio::new();
        tell(&mut trio.liar);
        assert!(trio.liar.frontend.get_features().is_err(), "{lie}");
        assert!(until(|| trio.stage.stats("liar").kind.is_none()), "{lie}");
        trio.others_talk(lie);
        trio.liar = trio.stage.guest("liar", MODERN, 2048);
        trio.liar_talks(lie);
    }
}
