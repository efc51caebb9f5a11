//! One line on what a frame is, much as `tcpdump` says it.

use std::fmt::{self, Write};
use std::net::IpAddr;

use driver_core::vlan::MacAddress;
use etherparse::{ArpPacketSlice, IpNumber, TcpSlice, TransportSlice};

use super::frame::Frame;

/// What a frame of that length is, in one line; `head` is how it begins, at least as far as headers go. All of the
/// line is ours but for numbers: there are no control characters.
pub(crate) fn summary(head: &[u8], length: usize) -> String {
    // What is not there is not looked at, but lengths have to add up.
    let mut frame = head.to_vec();
    frame.resize(length, 0);
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = match Frame::parse(&frame) {
        Some(frame) => whole(&mut out, &frame),
        None => write!(out, "malformed, length {length}"),
    };
    out
}

fn whole(out: &mut String, frame: &Frame<'_>) -> fmt::Result {
    for tag in frame.tags() {
        write!(out, "vlan {tag}, ")?;
    }
    if let Some(arp) = frame.arp() {
        return address_resolution(out, arp, frame);
    }
    let (Some((source, destination)), Some(protocol)) = (frame.addresses(), frame.protocol()) else {
        let (source, destination) = (frame.source(), frame.destination());
        let (kind, len) = (frame.ether_type(), frame.bytes.len());
        return write!(out, "{source} > {destination}: ethertype {kind:#06x}, length {len}");
    };
    write!(out, "{} ", if frame.is_ipv4() { "IP" } else { "IP6" })?;
    match frame.ports() {
        Some((from, to)) => write!(out, "{source}.{from} > {destination}.{to}: ")?,
        None => write!(out, "{source} > {destination}: ")?,
    }
    let len = frame.payload().len();
    match frame.transport() {
        Some(TransportSlice::Tcp(tcp)) => write!(out, "TCP{}, length {len}", flags(tcp)),
        Some(TransportSlice::Udp(_)) => write!(out, "UDP, length {len}"),
        Some(TransportSlice::Icmpv4(icmp)) => {
            let echo = match icmp.type_u8() {
                8 => Some("request"),
                0 => Some("reply"),
                _ => None,
            };
            control(out, "ICMP", echo, (icmp.type_u8(), icmp.code_u8()), icmp.bytes5to8())?;
            write!(out, ", length {}", icmp.slice().len())
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let echo = match icmp.type_u8() {
                128 => Some("request"),
                129 => Some("reply"),
                _ => None,
            };
            control(out, "ICMP6", echo, (icmp.type_u8(), icmp.code_u8()), icmp.bytes5to8())?;
            write!(out, ", length {}", icmp.slice().len())
        }
        Some(TransportSlice::Igmp(_)) => write!(out, "IGMP, length {len}"),
        None if frame.is_fragment() => write!(out, "fragment of {}, length {len}", Name(protocol)),
        None => write!(out, "{}, length {len}", Name(protocol)),
    }
}

fn address_resolution(out: &mut String, arp: &ArpPacketSlice<'_>, frame: &Frame<'_>) -> fmt::Result {
    let operation = arp.operation().0;
    let Some((IpAddr::V4(sender), IpAddr::V4(target))) = frame.addresses() else {
        return write!(out, "ARP operation {operation}, not of IPv4");
    };
    match (operation, <[u8; 6]>::try_from(arp.sender_hw_addr())) {
        (1, _) => write!(out, "ARP who has {target}, tell {sender}"),
        (2, Ok(card)) => write!(out, "ARP {sender} is at {}", MacAddress(card)),
        _ => write!(out, "ARP operation {operation}, {sender} > {target}"),
    }
}

fn flags(tcp: &TcpSlice<'_>) -> String {
    let flags = [(tcp.syn(), " SYN"), (tcp.fin(), " FIN"), (tcp.rst(), " RST"), (tcp.ack(), " ACK")];
    flags.into_iter().filter_map(|(set, name)| set.then_some(name)).collect()
}

/// ICMP of either version: an echo with its number, or what tcpdump has names for in the commonest cases.
fn control(
    out: &mut String,
    version: &str,
    echo: Option<&str>,
    (kind, code): (u8, u8),
    [a, b, c, d]: [u8; 4],
) -> fmt::Result {
    if let Some(echo) = echo {
        let (id, number) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        return write!(out, "{version} echo {echo}, id {id}, seq {number}");
    }
    let name = match (version, kind) {
        ("ICMP", 3) | ("ICMP6", 1) => "unreachable",
        ("ICMP", 5) | ("ICMP6", 137) => "redirect",
        ("ICMP", 11) | ("ICMP6", 3) => "time exceeded",
        ("ICMP6", 2) => "packet too big",
        ("ICMP6", 133) => "router solicitation",
        ("ICMP6", 134) => "router advertisement",
        ("ICMP6", 135) => "neighbor solicitation",
        ("ICMP6", 136) => "neighbor advertisement",
        _ => return write!(out, "{version} type {kind}, code {code}"),
    };
    write!(out, "{version} {name}, code {code}")
}

/// The name of what an IP packet carries, or its number.
struct Name(IpNumber);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNumber::TCP => f.write_str("TCP"),
            IpNumber::UDP => f.write_str("UDP"),
            IpNumber::ICMP => f.write_str("ICMP"),
            IpNumber::IPV6_ICMP => f.write_str("ICMP6"),
            IpNumber::IPV6_NO_NEXT_HEADER => f.write_str("nothing"),
            IpNumber(number) => write!(f, "protocol {number}"),
        }
    }
}
