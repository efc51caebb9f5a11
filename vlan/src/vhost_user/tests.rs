//! Guests on a segment, played by the other side of the protocol.

mod fuzz;
mod guest;
mod lies;

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driver_core::vlan::{Plug, PortStats, Switch, SwitchLog, SwitchMaker as _, SwitchSetup};
use tempfile::TempDir;

use self::guest::{ENTRIES, EVENT_INDEX, Guest, MEMORY, MERGEABLE, RX, TX, UPPER, VERSION_1, frame};
use crate::Switches;

const MODERN: u64 = VERSION_1 | MERGEABLE | EVENT_INDEX;

/// A segment with a socket for each machine.
struct Stage {
    switch: Arc<dyn Switch>,
    plugs: HashMap<String, Plug>,
    _folder: TempDir,
}

#[derive(Debug)]
struct Silent;

impl SwitchLog for Silent {
    fn info(&self, _: &str) {}
    fn warning(&self, _: &str) {}
}

impl Stage {
    fn new(machines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let setup =
            SwitchSetup { vlan: 1, dir, stations: Vec::new(), seed: 1, dhcp: None, log: Arc::new(Silent) };
        let switch = Switches.make(setup).unwrap();
        let plug = |name: &&str| ((*name).to_owned(), switch.plug(name).unwrap());
        let plugs = machines.iter().map(plug).collect();
        Self { switch, plugs, _folder: folder }
    }

    fn socket(&self, name: &str) -> &Path {
        &self.plugs[name].vhost_user
    }

    fn guest(&self, name: &str, features: u64, buffer: u64) -> Guest {
        Guest::new(self.socket(name), features, buffer)
    }

    fn stats(&self, name: &str) -> PortStats {
        self.switch.stats().into_iter().find(|port| port.port == name).unwrap()
    }
}

/// Waits until something is so, for five seconds at most.
fn until(so: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while !so() {
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn a_frame_goes_from_ring_to_ring() {
    for features in [0, VERSION_1, VERSION_1 | EVENT_INDEX, MODERN] {
        let stage = Stage::new(&["server", "client"]);
        let [mut server, mut client] = ["server", "client"].map(|name| stage.guest(name, features, 2048));
        // More than once around the rings.
        for count in 0..600 {
            let frame = frame(1, 60 + count);
            server.send(&frame);
            assert_eq!(client.receive(), Some(frame));
        }
        assert_eq!(stage.stats("client").received_frames, 600);
        assert_eq!(stage.stats("server").kind.as_deref(), Some("vhost-user"));
    }
}

#[test]
fn a_long_frame_fills_as_many_buffers_as_it_takes() {
    let stage = Stage::new(&["server", "client", "old"]);
    let (mut server, mut client) = (stage.guest("server", MODERN, 2048), stage.guest("client", MODERN, 1536));
    let mut old = stage.guest("old", VERSION_1, 2048);
    for length in [9014, 65_535] {
        server.send(&frame(1, length));
        assert_eq!(client.receive(), Some(frame(1, length)));
    }
    // Who cannot put buffers together does without, and hears what follows.
    server.send(&frame(1, 60));
    assert_eq!(old.receive(), Some(frame(1, 60)));
    assert_eq!(stage.stats("old").dropped_full, 2);
    assert_eq!(old.stop()[RX], 1, "a frame that does not fit takes no buffers");
    // One byte more than any frame has.
    server.send(&frame(1, 65_536));
    assert!(until(|| stage.stats("server").malformed == 1));
}

#[test]
fn what_a_guest_sends_may_be_in_pieces() {
    let stage = Stage::new(&["server", "client"]);
    let (mut server, mut client) = (stage.guest("server", MODERN, 2048), stage.guest("client", MODERN, 2048));
    let bytes: Vec<u8> = [vec![0; 12], frame(1, 500)].concat();
    // The header over two pieces, an empty one, and the rest over two; then the same through a table elsewhere.
    let cuts = [(0, 5), (5, 0), (5, 20), (25, 400), (425, 87)];
    let table = UPPER + MEMORY / 4;
    for (index, (start, length)) in cuts.into_iter().enumerate() {
        let address = UPPER + MEMORY / 3 + 1000 * index as u64;
        server.write(&bytes[start..start + length], address);
        let (next, flags) = (index as u16 + 1, u16::from(index + 1 < cuts.len()));
        server.descriptor(TX, index as u16, address, length as u32, flags, next);
        server.write_descriptor(table + 16 * index as u64, address, length as u32, flags, next);
    }
    server.descriptor(TX, 9, table, 16 * cuts.len() as u32, 4, 0);
    for head in [0, 9] {
        server.push(TX, head);
        server.knock(TX);
        assert_eq!(client.receive(), Some(frame(1, 500)));
        assert_eq!(server.take_used(TX), Some((head, 0)));
    }
}

#[test]
fn frames_wait_for_a_guest_without_buffers_and_are_counted_when_there_are_too_many() {
    for features in [VERSION_1, MODERN] {
        let stage = Stage::new(&["server", "client"]);
        let mut server = stage.guest("server", MODERN, 2048);
        let mut client = Guest::connect(stage.socket("client"), features, 2048);
        client.start([0, 0]);
        for count in 0..1000 {
            server.send(&frame(1, 1000 + count % 3));
            assert!(server.take_used(TX).is_some());
        }
        assert!(until(|| stage.stats("server").sent_frames == 1000));
        let lost = usize::try_from(stage.stats("client").dropped_full).unwrap();
        assert_eq!(1000 - lost, 512 * 1024 / 1001, "what waits is bounded");
        (0..ENTRIES).for_each(|slot| client.offer(slot));
        client.knock(RX);
        for count in 0..1000 - lost {
            assert_eq!(client.receive(), Some(frame(1, 1000 + count % 3)), "frame {count}");
        }
    }
}

#[test]
fn a_frame_that_waits_for_buffers_leaves_those_alone_that_do_not_suffice() {
    let stage = Stage::new(&["server", "client"]);
    let mut server = stage.guest("server", MODERN, 2048);
    let mut client = Guest::connect(stage.socket("client"), MODERN, 1536);
    client.start([0, 0]);
    (0..3).for_each(|slot| client.offer(slot));
    server.send(&frame(1, 9000));
    assert!(until(|| stage.stats("server").sent_frames == 1));
    (3..6).for_each(|slot| client.offer(slot));
    client.knock(RX);
    assert_eq!(client.receive(), Some(frame(1, 9000)));
    assert_eq!(client.stop()[RX], 6);
}

#[test]
fn rings_that_go_on_in_the_middle_need_no_knock() {
    let stage = Stage::new(&["server", "client"]);
    let mut server = stage.guest("server", MODERN, 2048);
    // As after a snapshot: buffers and a frame are there before anybody listens, and nobody knocks.
    let mut client = Guest::connect(stage.socket("client"), MODERN, 2048);
    client.prepare([65_500, 300]);
    (0..ENTRIES).for_each(|slot| client.offer(slot));
    client.send_quietly(&frame(2, 100));
    // Cloud Hypervisor says that all of that is done already.
    client.resume([RX, TX].map(|ring| client.halves[ring].available));
    assert_eq!(server.receive(), Some(frame(2, 100)));
    for count in 0..300 {
        server.send(&frame(1, 60 + count));
        assert_eq!(client.receive(), Some(frame(1, 60 + count)));
    }
    assert_eq!(client.stop(), [(65_500 + 300) % 65_536, 301]);
}

#[test]
fn rings_may_be_enabled_before_anything_is_agreed_on_as_qemu_does() {
    let stage = Stage::new(&["server", "client"]);
    let mut client = stage.guest("client", MODERN, 2048);
    let mut server = Guest::connect(stage.socket("server"), MODERN, 2048);
    for ring in 0..2 {
        assert_eq!(server.ask([18, 1 | 8, 8, ring, 1]), [18, 1 | 4, 8, 0, 0]);
    }
    // Who does not listen yet loses nothing.
    client.send(&frame(2, 60));
    assert!(until(|| stage.stats("client").sent_frames == 1));
    assert_eq!(stage.stats("server").dropped_full, 0);
    server.start([0, 0]);
    server.send(&frame(1, 60));
    assert_eq!(client.receive(), Some(frame(1, 60)));
}

#[test]
fn a_machine_that_is_started_again_takes_the_place_of_its_former_self() {
    let stage = Stage::new(&["server", "client"]);
    let mut client = stage.guest("client", MODERN, 2048);
    let mut server = stage.guest("server", MODERN, 2048);
    for _ in 0..3 {
        drop(server);
        assert!(until(|| stage.stats("server").kind.is_none()));
        server = stage.guest("server", MODERN, 2048);
        server.send(&frame(1, 60));
        assert_eq!(client.receive(), Some(frame(1, 60)));
        // The former self is still there, and says nothing more.
        let mut again = stage.guest("server", MODERN, 2048);
        client.send(&frame(2, 60));
        assert_eq!(again.receive(), Some(frame(2, 60)));
        server = again;
    }
    // A driver that is loaded anew.
    server.stop();
    server.start([0, 0]);
    (0..ENTRIES).for_each(|slot| server.offer(slot));
    client.send(&frame(2, 61));
    assert_eq!(server.receive(), Some(frame(2, 61)));
}

#[tokio::test]
async fn threads_and_memory_go_with_the_switch_even_in_the_middle_of_a_message() {
    let stage = Stage::new(&["server"]);
    let mut guest = Guest::connect(stage.socket("server"), MODERN, 2048);
    let inode = std::os::unix::fs::MetadataExt::ino(&guest.file.metadata().unwrap());
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains(&format!(" {inode} "))).count()
    };
    let before = mapped();
    guest.start([0, 0]);
    assert!(mapped() > before);
    guest.half_a_message();
    stage.switch.close().await;
    assert_eq!(mapped(), before, "the thread that has the memory is there still");
    assert_eq!(stage.stats("server").kind, None);
    assert!(UnixStream::connect(stage.socket("server")).is_err());
}
