//! What a switch does with frames: slow and hostile ports, faults, captures, watches, and its own end.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use driver_core::Deadline;
use driver_core::vlan::{Between, Fault, FaultKind};
use test_skip::skip_or_fail;

use crate::support::{ALL, Bed, Dgram, Machine, Stream, Vde, frame, mac, vde_request};

/// A fault between everybody.
fn fault(kind: FaultKind) -> Fault {
    Fault { kind, between: Between::All, seed: None }
}

#[test]
fn the_longest_frame_and_one_with_a_vlan_tag_pass_unchanged() {
    let bed = Bed::new();
    let (a, mut b) = (bed.stream("a"), bed.stream("b"));
    let mut c = Vde::connect(&bed.switch.plug("c").unwrap().vde, ".client");
    let longest = frame(ALL, mac(1), &"x".repeat(65_535 - 14));
    let tagged = [&ALL[..], &mac(1), &[0x81, 0, 0x20, 5, 8, 0, 1, 2, 3]].concat();
    for frame in [&longest, &tagged] {
        a.send(frame);
        for machine in [&mut b as &mut dyn Machine, &mut c] {
            assert_eq!(machine.next_within(Duration::from_secs(20)).as_ref(), Some(frame));
        }
    }
}

#[test]
fn lengths_that_no_frame_has_are_counted_and_told_once() {
    let bed = Bed::new();
    let (mut a, mut b) = (bed.stream("a"), bed.stream("b"));
    for length in [0, 1, 13, 0] {
        a.send(&vec![0; length]);
    }
    a.send(&frame(ALL, mac(1), "sound"));
    assert_eq!(b.text(), "sound");
    assert_eq!(bed.stats("a").malformed, 4);
    assert_eq!(bed.log.lines(), ["warning: `a` sends frames of less than 14 bytes (dropped and counted)"]);

    // Where the next frame begins cannot be known.
    a.raw(&65_536_u32.to_be_bytes());
    assert!(a.is_hung_up());
    bed.until("a", |port| port.kind.is_none() && port.malformed == 5);
}

#[test]
fn a_frame_that_never_ends_holds_nobody_up() {
    let bed = Bed::new();
    let (a, mut b, c) = (bed.stream("a"), bed.stream("b"), bed.stream("c"));
    a.raw(&[0, 0, 0xff, 0xff, 1, 2, 3]);
    c.send(&frame(ALL, mac(3), "meanwhile"));
    assert_eq!(b.text(), "meanwhile");
}

#[test]
fn a_slow_receiver_loses_its_own_frames_only() {
    let bed = Bed::new();
    let (a, mut b) = (bed.stream("a"), bed.stream("b"));
    let mut slow = bed.stream("slow");
    let long = "x".repeat(1000);
    // Read by b, never by the slow one: more than the host and the switch hold for it.
    for _ in 0..4000 {
        a.send(&frame(ALL, mac(1), &long));
        assert_eq!(b.text(), long);
    }
    let stats = bed.stats("slow");
    assert!(stats.dropped_full > 0, "{stats:?}");
    assert_eq!(stats.received_frames + stats.dropped_full, 4000);
    assert_eq!(bed.stats("b").dropped_full, 0);
    // What was kept is whole and comes as soon as it reads.
    for _ in 0..stats.received_frames {
        assert_eq!(slow.text(), long);
    }
    a.send(&frame(ALL, mac(1), "at last"));
    assert_eq!(slow.text(), "at last");
}

#[test]
fn a_flood_of_addresses_does_not_push_out_others() {
    let bed = Bed::new();
    let (a, mut b, mut flood) = (bed.stream("a"), bed.stream("b"), bed.stream("flood"));
    b.send(&frame(ALL, mac(2), "b is here"));
    assert_eq!(flood.text(), "b is here");
    for number in 0..100_000_u32 {
        let [_, x, y, z] = number.to_be_bytes();
        flood.send(&frame(mac(2), [2, 0, 0, x, y, z], ""));
        b.text();
    }
    a.send(&frame(mac(2), mac(1), "private"));
    assert_eq!(b.text(), "private");
    a.send(&frame(ALL, mac(1), "the next for all"));
    assert_eq!(flood.text(), "the next for all", "what is for b alone did not come here");
}

#[test]
fn requests_that_are_none_end_their_connection() {
    let bed = Bed::new();
    let dir = bed.switch.vde_dir();
    let path = dir.join(".client");
    let _socket = UnixDatagram::bind(&path).unwrap();
    let path = path.as_os_str().as_encoded_bytes();
    for request in [
        vde_request(0xfeed_face, 2, 0, path),
        vde_request(0xfeed_face, 3, 2, path),
        vde_request(0xbad, 3, 0, path),
        vde_request(0xfeed_face, 3, 0, b"relative"),
        vde_request(0xfeed_face, 3, 0, b"/nowhere"),
        vde_request(0xfeed_face, 3, 0, &[b'x'; 108]),
    ] {
        let mut client = Stream::from(UnixStream::connect(dir.join("ctl")).unwrap());
        client.raw(&request);
        assert!(client.is_hung_up(), "{request:?}");
    }
    assert_eq!(bed.log.lines().len(), 1, "{:?}", bed.log.lines());
    assert!(bed.switch.stats().is_empty(), "no port is left behind");
}

#[test]
fn strangers_that_come_and_go_use_the_same_port() {
    let bed = Bed::new();
    for number in 0..200 {
        let client = Vde::connect(bed.switch.vde_dir(), &format!(".client{number}"));
        bed.until("host", |port| port.kind.is_some());
        drop(client);
        bed.until("host", |port| port.kind.is_none());
    }
    assert_eq!(bed.switch.stats().len(), 1);
}

#[test]
fn too_many_strangers_are_turned_away() {
    let bed = Bed::new();
    let ctl = bed.switch.vde_dir().join("ctl");
    let silent: Vec<_> = (0..64).map(|_| UnixStream::connect(&ctl).unwrap()).collect();
    let mut one_more = Stream::from(UnixStream::connect(&ctl).unwrap());
    assert!(one_more.is_hung_up());
    assert_eq!(bed.log.lines().len(), 1, "{:?}", bed.log.lines());
    drop(silent);
    let path = bed.switch.vde_dir().join(".client");
    let _socket = UnixDatagram::bind(&path).unwrap();
    let request = vde_request(0xfeed_face, 3, 0, path.as_os_str().as_encoded_bytes());
    // Their places are free when the switch has seen that they are gone.
    let is_served = || {
        let mut client = UnixStream::connect(&ctl).unwrap();
        client.write_all(&request).and_then(|()| client.read_exact(&mut [0; 110])).is_ok()
    };
    while !is_served() {}
}

#[test]
fn a_partition_cuts_until_it_is_lifted() {
    let bed = Bed::new();
    let (a, mut b, mut c) = (bed.stream("a"), bed.stream("b"), bed.stream("c"));
    let cut = bed.switch.impose(&Fault::partition(&[&["a"], &["b"]])).unwrap();
    a.send(&frame(ALL, mac(1), "cut"));
    assert_eq!(c.text(), "cut", "who is in no group hears everybody");
    assert_eq!(bed.stats("b").dropped_by_fault, 1);
    assert!(bed.switch.lift(cut));
    assert!(!bed.switch.lift(cut));
    a.send(&frame(ALL, mac(1), "healed"));
    assert_eq!(b.text(), "healed");
}

#[test]
fn a_delay_is_as_long_as_it_says() {
    let bed = Bed::new();
    let (a, mut b) = (bed.stream("a"), bed.stream("b"));
    let by = Duration::from_millis(30);
    bed.switch.impose(&fault(FaultKind::Delay { by, jitter: Duration::ZERO })).unwrap();
    let mut took: Vec<Duration> = (0..15)
        .map(|number| {
            let start = Instant::now();
            a.send(&frame(ALL, mac(1), &number.to_string()));
            assert_eq!(b.text(), number.to_string());
            start.elapsed()
        })
        .collect();
    took.sort();
    // The fastest: a busy host makes others late.
    assert!(took[0] >= by && took[0] < by + Duration::from_millis(5), "{took:?}");

    // What is held back comes at once, in order, when the fault is lifted.
    bed.switch.heal();
    let hour = Duration::from_secs(60);
    let long = bed.switch.impose(&fault(FaultKind::Delay { by: hour, jitter: Duration::ZERO })).unwrap();
    for number in 0..50 {
        a.send(&frame(ALL, mac(1), &number.to_string()));
    }
    bed.until("a", |port| port.sent_frames == 65);
    assert!(bed.switch.lift(long));
    for number in 0..50 {
        assert_eq!(b.text(), number.to_string());
    }
}

#[test]
fn a_capture_has_what_passed_and_what_became_of_it() {
    let bed = Bed::new();
    let (a, mut b) = (bed.stream("a"), bed.stream("b"));
    let file = bed.dir.path().join("x.pcapng");
    let capture = bed.switch.capture(&file, 1 << 20).unwrap();
    a.send(&frame(ALL, mac(1), "before"));
    assert_eq!(b.text(), "before");
    bed.switch.impose(&Fault::partition(&[&["a"], &["b"]])).unwrap();
    a.send(&frame(ALL, mac(1), "meanwhile"));
    bed.until("b", |port| port.dropped_by_fault == 1);
    let end = bed.switch.end_capture(capture).unwrap();
    assert_eq!(bed.switch.end_capture(capture), None);
    let bytes = fs::read(&file).unwrap();
    assert_eq!((end.frames, end.bytes), (2, bytes.len() as u64));
    let text = String::from_utf8_lossy(&bytes);
    for part in ["before", "meanwhile", "fault 1 is on: partition: a | b", "lost by fault 1 on the way to b"]
    {
        assert!(text.contains(part), "{part} is not in the capture");
    }
}

#[tokio::test]
async fn a_watch_sees_the_first_frame_that_fits() {
    let bed = Bed::new();
    let (a, mut b) = (bed.stream("a"), bed.stream("b"));
    let mut watch = bed.switch.watch("greater 100").unwrap();
    a.send(&frame(ALL, mac(1), "short"));
    assert_eq!(b.text(), "short");
    assert_eq!(watch.missed().unwrap().length, 19);
    a.send(&frame(ALL, mac(1), &"x".repeat(300)));
    let packet = watch.seen(Deadline::after(Duration::from_secs(20))).await.unwrap();
    assert_eq!((packet.port.as_str(), packet.length, packet.head.len()), ("a", 314, 256));

    let mut other = bed.switch.watch("greater 100").unwrap();
    bed.switch.close().await;
    let end = Deadline::after(Duration::from_secs(20));
    assert_eq!(other.seen(end).await, None);
    assert!(!end.is_over(), "nothing comes any more, which is known at once");
    assert!(bed.switch.watch("greater").is_err());
}

#[tokio::test]
async fn nothing_is_left_of_a_switch_that_is_closed() {
    let bed = Bed::new();
    let mut a = bed.stream("a");
    let client = Vde::connect(&bed.switch.plug("b").unwrap().vde, ".client");
    let _c = Dgram::connect(&bed.switch.plug("c").unwrap());
    let capture = bed.dir.path().join("x.pcapng");
    bed.switch.capture(&capture, 1 << 20).unwrap();
    bed.switch.close().await;
    assert!(a.is_hung_up());
    let left: Vec<_> =
        fs::read_dir(bed.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x.pcapng"]);
    drop(client);
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    // Other tests run beside this one, with switches of other numbers.
    assert!(!names.into_iter().any(|name| name.trim() == format!("vlan-{}", bed.switch.vlan())));
}

#[test]
fn a_directory_that_is_too_deep_is_told() {
    let deep = tempfile::tempdir().unwrap();
    let dir = deep.path().join("x".repeat(80));
    fs::create_dir(&dir).unwrap();
    let error = Bed::try_in(&dir).unwrap_err().chain();
    assert!(error.contains("too long for sockets"), "{error}");
}

#[test]
fn a_tap_is_a_port() {
    let bed = Bed::new();
    let mut a = bed.stream("a");
    let name = format!("ik{}", std::process::id() % 1_000_000);
    if let Err(error) = bed.switch.tap(&name) {
        assert!(error.chain().contains(&name), "{}", error.chain());
        return skip_or_fail("REQUIRE_VM", error.chain()).unwrap_or(());
    }
    let up = std::process::Command::new("ip").args(["link", "set", &name, "up"]).status();
    if !up.is_ok_and(|status| status.success()) {
        return skip_or_fail("REQUIRE_VM", "`ip` cannot bring the tap device up").unwrap_or(());
    }
    // The host speaks by itself: it looks for others of its kind by IPv6.
    let frame_of_the_host = a.next_within(Duration::from_secs(20)).unwrap();
    assert_eq!(frame_of_the_host[12..14], [0x86, 0xdd]);
    a.send(&frame(ALL, mac(1), "to the host"));
    bed.until(&name, |port| port.received_frames > 0 && port.kind.as_deref() == Some("tap"));
    drop(bed.switch);
    let error = fs::metadata(format!("/sys/class/net/{name}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
