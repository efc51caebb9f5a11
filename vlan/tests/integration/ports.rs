//! Frames between ports of all kinds that are sockets.

use std::time::Duration;

use crate::support::{ALL, Bed, Dgram, Machine, Stream, Vde, frame, mac};

#[test]
fn frames_go_between_stream_dgram_and_vde() {
    let bed = Bed::new();
    let mut a = bed.stream("a");
    let mut b = Dgram::connect(&bed.switch.plug("b").unwrap());
    let mut c = Vde::connect(&bed.switch.plug("c").unwrap().vde, ".client");
    let mut host = Vde::connect(bed.switch.vde_dir(), ".anybody");
    bed.until("b", |port| port.kind.is_some());

    a.send(&frame(ALL, mac(1), "to all"));
    assert_eq!([b.text(), c.text(), host.text()], ["to all", "to all", "to all"]);
    b.send(&frame(mac(1), mac(2), "to a"));
    c.send(&frame(mac(1), mac(3), "also to a"));
    let mut texts = [a.text(), a.text()];
    texts.sort();
    assert_eq!(texts, ["also to a", "to a"]);
    host.send(&frame(mac(2), mac(9), "to b"));
    assert_eq!(b.text(), "to b");
    a.send(&frame(mac(3), mac(1), "to c"));
    assert_eq!(c.text(), "to c");

    let kinds: Vec<_> = bed.switch.stats().into_iter().map(|port| (port.port, port.kind.unwrap())).collect();
    let expected = [("a", "stream"), ("b", "dgram"), ("c", "vde"), ("host", "vde")];
    assert_eq!(kinds, expected.map(|(port, kind)| (port.to_owned(), kind.to_owned())));
    let stats = bed.stats("a");
    assert_eq!((stats.sent_frames, stats.received_frames, stats.received_bytes), (2, 2, 18 + 23));
}

#[test]
fn a_known_address_gets_its_frames_alone() {
    let bed = Bed::new();
    let (mut a, mut b, mut c) = (bed.stream("a"), bed.stream("b"), bed.stream("c"));
    a.send(&frame(ALL, mac(1), "hello"));
    assert_eq!([b.text(), c.text()], ["hello", "hello"]);
    b.send(&frame(mac(1), mac(2), "private"));
    b.send(&frame(mac(7), mac(2), "to nobody known"));
    assert_eq!([a.text(), a.text()], ["private", "to nobody known"]);
    assert_eq!(c.text(), "to nobody known");
}

#[test]
fn an_address_is_looked_for_everywhere_once_its_machine_has_gone() {
    let bed = Bed::new();
    let (a, b, mut c) = (bed.stream("a"), bed.stream("b"), bed.stream("c"));
    b.send(&frame(ALL, mac(2), "b is here"));
    assert_eq!(c.text(), "b is here");
    drop(b);
    bed.until("b", |port| port.kind.is_none());
    a.send(&frame(mac(2), mac(1), "where are you?"));
    assert_eq!(c.text(), "where are you?");
}

#[test]
fn a_machine_that_comes_again_takes_its_port() {
    let bed = Bed::new();
    let plug = bed.switch.plug("a").unwrap();
    let mut b = bed.stream("b");
    let mut former = Stream::connect(&plug, &bed);
    former.send(&frame(ALL, mac(1), "first life"));
    assert_eq!(b.text(), "first life");
    let again = std::os::unix::net::UnixStream::connect(&plug.stream).unwrap();
    assert!(former.is_hung_up());
    drop(again);
    bed.until("a", |port| port.kind.is_none());

    let mut vde = Vde::connect(&plug.vde, ".client");
    b.send(&frame(mac(1), mac(2), "to your second life"));
    assert_eq!(vde.text(), "to your second life");
    assert_eq!(bed.stats("a").kind.as_deref(), Some("vde"));
}

#[test]
fn a_machine_on_datagrams_comes_again_and_hears_before_it_speaks() {
    let bed = Bed::new();
    let a = bed.stream("a");
    let plug = bed.switch.plug("b").unwrap();
    for (number, life) in ["first", "second", "third"].into_iter().enumerate() {
        let mut b = Dgram::connect(&plug);
        // Of a former life nobody knows that it is over until a frame does not arrive.
        while b.next_within(Duration::from_millis(20)).is_none() {
            a.send(&frame(ALL, mac(1), life));
        }
        b.send(&frame(mac(1), mac(2), life));
        bed.until("b", |port| port.sent_frames == number as u64 + 1);
        drop(b);
        std::fs::remove_file(&plug.dgram_peer).unwrap();
    }
}
