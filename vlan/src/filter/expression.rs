//! What a filter says, once it is understood.

use std::net::IpAddr;

use driver_core::vlan::MacAddress;
use etherparse::{IpNumber, TransportSlice};
use ipnet::IpNet;
use memchr::memmem;

use super::frame::Frame;

/// What a filter says.
#[derive(Debug)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Arp,
    Ipv4,
    Ipv6,
    Protocol(IpNumber),
    Flag(Flag),
    Host(Side, Vec<IpAddr>),
    Net(Side, IpNet),
    Port(Side, u16),
    Card(Side, MacAddress),
    Tagged,
    Tag(u16),
    Contains(Vec<u8>),
    /// At least so long.
    Greater(usize),
    /// At most so long.
    Less(usize),
    From(String),
}

/// Which end of a frame's way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Source,
    Destination,
    Either,
}

/// What a TCP packet is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flag {
    Syn,
    Ack,
    Fin,
    Rst,
}

impl Expression {
    /// Whether a frame fits that came from that port of that machine.
    pub(super) fn fits(&self, port: &str, machine: Option<&str>, frame: &Frame<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.fits(port, machine, frame)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(port, machine, frame)),
            Self::Not(part) => !part.fits(port, machine, frame),
            Self::Arp => frame.arp().is_some(),
            Self::Ipv4 => frame.is_ipv4(),
            Self::Ipv6 => frame.is_ipv6(),
            Self::Protocol(protocol) => frame.protocol() == Some(*protocol),
            Self::Flag(flag) => match frame.transport() {
                Some(TransportSlice::Tcp(tcp)) => match flag {
                    Flag::Syn => tcp.syn(),
                    Flag::Ack => tcp.ack(),
                    Flag::Fin => tcp.fin(),
                    Flag::Rst => tcp.rst(),
                },
                _ => false,
            },
            Self::Host(side, addresses) => side.fits(frame.addresses(), |one| addresses.contains(&one)),
            Self::Net(side, net) => side.fits(frame.addresses(), |one| net.contains(&one)),
            Self::Port(side, number) => side.fits(frame.ports(), |one| one == *number),
            Self::Card(side, mac) => {
                side.fits(Some((frame.source(), frame.destination())), |one| one == *mac)
            }
            Self::Tagged => frame.tags().next().is_some(),
            Self::Tag(number) => frame.tags().any(|tag| tag == *number),
            Self::Contains(bytes) => memmem::find(frame.payload(), bytes).is_some(),
            Self::Greater(len) => frame.bytes.len() >= *len,
            Self::Less(len) => frame.bytes.len() <= *len,
            Self::From(name) => port == name || machine == Some(name),
        }
    }
}

impl Side {
    fn fits<T: Copy>(self, ends: Option<(T, T)>, fits: impl Fn(T) -> bool) -> bool {
        ends.is_some_and(|(source, destination)| match self {
            Self::Source => fits(source),
            Self::Destination => fits(destination),
            Self::Either => fits(source) || fits(destination),
        })
    }
}
