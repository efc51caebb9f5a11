//! What filters and summaries want to know of a frame.

use std::net::{IpAddr, Ipv4Addr};

use driver_core::vlan::MacAddress;
use etherparse::{
    ArpPacketSlice, Ethernet2Slice, IpNumber, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice,
};

/// A frame that is whole.
pub(super) struct Frame<'a> {
    pub(super) bytes: &'a [u8],
    link: Ethernet2Slice<'a>,
    packet: SlicedPacket<'a>,
}

impl<'a> Frame<'a> {
    /// `None` when the frame is cut off, or contradicts itself.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(bytes).ok()?;
        let Some(LinkSlice::Ethernet2(link)) = packet.link.clone() else { return None };
        Some(Self { bytes, link, packet })
    }

    pub(super) fn source(&self) -> MacAddress {
        MacAddress(self.link.source())
    }

    pub(super) fn destination(&self) -> MacAddress {
        MacAddress(self.link.destination())
    }

    /// The numbers of the VLAN tags that it bears, the outermost first.
    pub(super) fn tags(&self) -> impl Iterator<Item = u16> {
        self.packet.link_exts.iter().filter_map(|tag| match tag {
            LinkExtSlice::Vlan(tag) => Some(tag.vlan_identifier().value()),
            LinkExtSlice::Macsec(_) => None,
        })
    }

    /// What it carries behind its tags.
    pub(super) fn ether_type(&self) -> u16 {
        self.packet.ether_payload().map_or_else(|| self.link.ether_type(), |payload| payload.ether_type).0
    }

    pub(super) fn arp(&self) -> Option<&ArpPacketSlice<'a>> {
        match &self.packet.net {
            Some(NetSlice::Arp(arp)) => Some(arp),
            _ => None,
        }
    }

    /// From where to where, in addresses of IP; of an ARP packet too.
    pub(super) fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self.packet.net.as_ref()? {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                Some((header.source_addr().into(), header.destination_addr().into()))
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header();
                Some((header.source_addr().into(), header.destination_addr().into()))
            }
            NetSlice::Arp(arp) => {
                Some((ipv4(arp.sender_protocol_addr())?, ipv4(arp.target_protocol_addr())?))
            }
        }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        matches!(self.packet.net, Some(NetSlice::Ipv4(_)))
    }

    pub(super) fn is_ipv6(&self) -> bool {
        matches!(self.packet.net, Some(NetSlice::Ipv6(_)))
    }

    /// What an IP packet carries behind all its headers; of a fragment too.
    pub(super) fn protocol(&self) -> Option<IpNumber> {
        self.packet.ip_payload().map(|payload| payload.ip_number)
    }

    pub(super) fn is_fragment(&self) -> bool {
        self.packet.is_ip_payload_fragmented()
    }

    /// What is in a whole IP packet; a fragment tells nothing.
    pub(super) fn transport(&self) -> Option<&TransportSlice<'a>> {
        self.packet.transport.as_ref()
    }

    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        match self.transport()? {
            TransportSlice::Tcp(tcp) => Some((tcp.source_port(), tcp.destination_port())),
            TransportSlice::Udp(udp) => Some((udp.source_port(), udp.destination_port())),
            _ => None,
        }
    }

    /// What is behind the last header that we know.
    pub(super) fn payload(&self) -> &[u8] {
        match self.transport() {
            Some(TransportSlice::Tcp(tcp)) => tcp.payload(),
            Some(TransportSlice::Udp(udp)) => udp.payload(),
            Some(TransportSlice::Icmpv4(icmp)) => icmp.payload(),
            Some(TransportSlice::Icmpv6(icmp)) => icmp.payload(),
            Some(TransportSlice::Igmp(_)) | None => match self.packet.ip_payload() {
                Some(ip) => ip.payload,
                None => self.packet.ether_payload().map_or(&[], |payload| payload.payload),
            },
        }
    }
}

/// An address that is as long as one of IPv4.
fn ipv4(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into())
}
