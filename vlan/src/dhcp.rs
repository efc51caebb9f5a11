//! A DHCP server without sockets: a frame comes in, and perhaps one goes out (RFC 2131).
//!
//! It knows all its clients beforehand, and has no state: whoever asks gets what is meant for its card, again and
//! again. It gives no router and no name server, for a segment of test machines has none.

use std::net::Ipv4Addr;

use driver_core::vlan::MacAddress;
use etherparse::{
    ArpEthIpv4Packet, ArpOperation, ArpPacket, LinkSlice, NetSlice, PacketBuilder, SlicedPacket,
    TransportSlice,
};

use self::message::{Answer, Kind, Request};

mod message;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// A year: no test sees a lease end, and clients that count badly do not take it for no time at all.
const LEASE_SECONDS: u32 = 365 * 24 * 3600;

/// Gives fixed addresses to network cards that it knows, and answers nobody else.
#[derive(Debug)]
pub(crate) struct Dhcp {
    card: MacAddress,
    address: Ipv4Addr,
    prefix: u8,
    leases: Vec<(MacAddress, Ipv4Addr, String)>,
}

impl Dhcp {
    /// A server with that card and address, for these cards, their addresses and host names.
    pub(crate) fn new(
        card: MacAddress,
        address: Ipv4Addr,
        prefix: u8,
        leases: Vec<(MacAddress, Ipv4Addr, String)>,
    ) -> Self {
        Self { card, address, prefix, leases }
    }

    /// The answer to a frame, which is for the port that the frame came from. `None` when it is not for us. The
    /// frame goes its way in any case: another server may be asked.
    pub(crate) fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        // All frames of a segment come by here, and hardly any is for us.
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        match (packet.net?, packet.transport) {
            (NetSlice::Arp(arp), _) => {
                let LinkSlice::Ethernet2(link) = packet.link? else { return None };
                self.where_we_are(ArpEthIpv4Packet::try_from(arp.to_packet()).ok()?, link.source())
            }
            (NetSlice::Ipv4(ip), Some(TransportSlice::Udp(udp))) if udp.destination_port() == SERVER_PORT => {
                let to = ip.header().destination_addr();
                if to != Ipv4Addr::BROADCAST && to != self.address {
                    return None;
                }
                self.lease(&Request::parse(udp.payload())?)
            }
            _ => None,
        }
    }

    /// Says which card has our address to a client that wants to talk to us alone.
    fn where_we_are(&self, question: ArpEthIpv4Packet, asker: [u8; 6]) -> Option<Vec<u8>> {
        let asks_for_us =
            question.operation == ArpOperation::REQUEST && question.target_ipv4 == self.address.octets();
        if !asks_for_us || !self.leases.iter().any(|(card, ..)| card.0 == asker) {
            return None;
        }
        let answer = ArpPacket::from(ArpEthIpv4Packet {
            operation: ArpOperation::REPLY,
            sender_mac: self.card.0,
            sender_ipv4: self.address.octets(),
            target_mac: question.sender_mac,
            target_ipv4: question.sender_ipv4,
        });
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.card.0, asker).arp(answer).write(&mut frame).ok()?;
        Some(frame)
    }

    fn lease(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let (_, address, name) = self.leases.iter().find(|(card, ..)| *card == request.card)?;
        if request.server.is_some_and(|server| server != self.address) {
            return None;
        }
        let kind = match request.kind {
            Kind::Discover if request.rapid => Kind::Ack,
            Kind::Discover => Kind::Offer,
            Kind::Request if request.wanted? == *address => Kind::Ack,
            Kind::Request => Kind::Nak,
            Kind::Inform => Kind::Ack,
            Kind::Offer | Kind::Ack | Kind::Nak => return None,
        };
        let mut answer = Answer::new(request, kind);
        answer.option(54, &self.address.octets());
        if kind != Kind::Nak {
            if request.kind != Kind::Inform {
                answer.set_address(*address);
                answer.option(51, &LEASE_SECONDS.to_be_bytes());
            }
            let host_bits = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
            answer.option(1, &(!host_bits).to_be_bytes());
            answer.option(28, &(address.to_bits() | host_bits).to_be_bytes());
            answer.option(12, name.as_bytes());
            if request.kind == Kind::Discover && kind == Kind::Ack {
                answer.option(80, &[]);
            }
        }
        // A client hears an address that it has not yet, unless it says that it does not.
        let to = match (kind, request.address) {
            (Kind::Nak, _) => Ipv4Addr::BROADCAST,
            (_, Some(own)) => own,
            (_, None) if request.broadcast => Ipv4Addr::BROADCAST,
            (_, None) => *address,
        };
        let card = if to.is_broadcast() { [0xff; 6] } else { request.card.0 };
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.card.0, card)
            .ipv4(self.address.octets(), to.octets(), 64)
            .udp(SERVER_PORT, CLIENT_PORT)
            .write(&mut frame, &answer.finish())
            .ok()?;
        Some(frame)
    }
}

#[cfg(test)]
mod tests;
