use std::net::Ipv4Addr;

use driver_core::vlan::MacAddress;
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::Dhcp;

const CLIENT: [u8; 6] = [0x52, 0x54, 0, 0x12, 1, 1];
const SERVER: [u8; 6] = [0x52, 0x54, 0, 0x12, 1, 0xff];
const CLIENT_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const SERVER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 254);

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const INFORM: u8 = 8;

fn server() -> Dhcp {
    Dhcp::new(MacAddress(SERVER), SERVER_IP, 24, vec![(MacAddress(CLIENT), CLIENT_IP, "client".to_owned())])
}

/// What a client sends, as an unknown machine does: from no address to everybody.
fn ask(kind: u8, own: Ipv4Addr, options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0];
    message.extend(own.octets());
    message.resize(28, 0);
    message.extend(CLIENT);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind, 0, 0]);
    for (code, value) in options {
        message.extend([*code, value.len() as u8]);
        message.extend(*value);
    }
    message.push(255);
    send([255; 4], &message)
}

fn send(to: [u8; 4], message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(CLIENT, [0xff; 6]).ipv4([0; 4], to, 64).udp(68, 67);
    builder.write(&mut frame, message).unwrap();
    frame
}

/// What a client hears.
struct Heard {
    card: [u8; 6],
    to: Ipv4Addr,
    message: Vec<u8>,
}

fn hear(question: &[u8]) -> Option<Heard> {
    let frame = server().answer(question)?;
    let packet = SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("{packet:?}") };
    assert_eq!((udp.source_port(), udp.destination_port()), (67, 68));
    let ip = packet.net.as_ref().unwrap().ipv4_ref().unwrap().header();
    assert_eq!(ip.source_addr(), SERVER_IP);
    let message = udp.payload().to_vec();
    assert_eq!((message[0], &message[4..8]), (2, &[0xca, 0xfe, 0xba, 0xbe][..]), "the client's exchange");
    assert_eq!(message[28..34], CLIENT);
    assert!(message.len() >= 300);
    Some(Heard { card: frame[..6].try_into().unwrap(), to: ip.destination_addr(), message })
}

impl Heard {
    fn given(&self) -> Ipv4Addr {
        Ipv4Addr::from(<[u8; 4]>::try_from(&self.message[16..20]).unwrap())
    }

    fn option(&self, wanted: u8) -> Option<&[u8]> {
        let mut rest = &self.message[240..];
        while rest[0] != 255 {
            let (value, after) = rest[2..].split_at(rest[1].into());
            if rest[0] == wanted {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    fn kind(&self) -> u8 {
        self.option(53).unwrap()[0]
    }
}

#[test]
fn a_client_gets_its_address_in_four_messages() {
    let offer = hear(&ask(DISCOVER, Ipv4Addr::UNSPECIFIED, &[(61, b"\x01id")])).unwrap();
    assert_eq!((offer.kind(), offer.given()), (OFFER, CLIENT_IP));
    assert_eq!((offer.card, offer.to), (CLIENT, CLIENT_IP));
    assert_eq!(offer.option(54), Some(&SERVER_IP.octets()[..]));
    assert_eq!(offer.option(61), Some(&b"\x01id"[..]));

    let taken = [(50, &CLIENT_IP.octets()[..]), (54, &SERVER_IP.octets()[..])];
    let ack = hear(&ask(REQUEST, Ipv4Addr::UNSPECIFIED, &taken)).unwrap();
    assert_eq!((ack.kind(), ack.given()), (ACK, CLIENT_IP));
    assert_eq!(ack.option(1), Some(&[255, 255, 255, 0][..]));
    assert_eq!(ack.option(28), Some(&[192, 168, 1, 255][..]));
    assert_eq!(ack.option(12), Some(&b"client"[..]));
    assert_eq!(ack.option(51), Some(&(365 * 24 * 3600_u32).to_be_bytes()[..]));
    for absent in [3, 6] {
        assert_eq!(ack.option(absent), None, "no router, no name server");
    }
}

#[test]
fn a_client_in_a_hurry_gets_it_in_two() {
    let ack = hear(&ask(DISCOVER, Ipv4Addr::UNSPECIFIED, &[(80, &[])])).unwrap();
    assert_eq!((ack.kind(), ack.given(), ack.option(80)), (ACK, CLIENT_IP, Some(&[][..])));
}

#[test]
fn a_client_that_hears_only_broadcasts_gets_one() {
    let mut question = ask(DISCOVER, Ipv4Addr::UNSPECIFIED, &[]);
    let message = question.len() - (240 + 6);
    question[message + 10] = 0x80;
    // The checksum of UDP is no longer right; switches do not ask for it.
    let offer = hear(&question).unwrap();
    assert_eq!((offer.card, offer.to), ([0xff; 6], Ipv4Addr::BROADCAST));
}

#[test]
fn a_wrong_address_is_refused_aloud() {
    let nak = hear(&ask(REQUEST, Ipv4Addr::UNSPECIFIED, &[(50, &[10, 0, 0, 1])])).unwrap();
    assert_eq!((nak.kind(), nak.given(), nak.to), (NAK, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
    assert_eq!(nak.option(51), None);
}

#[test]
fn a_client_renews_what_it_has() {
    let ack = hear(&ask(REQUEST, CLIENT_IP, &[])).unwrap();
    assert_eq!((ack.kind(), ack.given(), ack.to), (ACK, CLIENT_IP, CLIENT_IP));
}

#[test]
fn a_client_with_an_address_of_its_own_is_told_the_rest() {
    let own = Ipv4Addr::new(192, 168, 1, 77);
    let ack = hear(&ask(INFORM, own, &[])).unwrap();
    assert_eq!((ack.kind(), ack.given(), ack.to), (ACK, Ipv4Addr::UNSPECIFIED, own));
    assert_eq!((ack.option(51), ack.option(12)), (None, Some(&b"client"[..])));
}

#[test]
fn what_is_not_for_us_is_not_answered() {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let other_server = [(50, &CLIENT_IP.octets()[..]), (54, &[192, 168, 1, 9][..])];
    assert!(hear(&ask(REQUEST, nobody, &other_server)).is_none());
    assert!(hear(&ask(REQUEST, nobody, &[])).is_none(), "wants nothing");
    for kind in [OFFER, ACK, 4, 7, 99] {
        assert!(hear(&ask(kind, nobody, &[])).is_none(), "kind {kind}");
    }

    let message = ask(DISCOVER, nobody, &[])[42..].to_vec();
    assert!(server().answer(&send([255; 4], &message)).is_some());
    assert!(server().answer(&send([192, 168, 1, 9], &message)).is_none(), "to another server");
    let mut stranger = message.clone();
    stranger[33] = 7;
    assert!(server().answer(&send([255; 4], &stranger)).is_none(), "an unknown card");
    let mut relayed = message.clone();
    relayed[24] = 10;
    assert!(server().answer(&send([255; 4], &relayed)).is_none(), "by a relay");
    for len in 0..message.len() - 3 {
        assert!(server().answer(&send([255; 4], &message[..len])).is_none(), "cut off after {len}");
    }
}

#[test]
fn clients_find_the_server() {
    let mut question = [[0xff; 6], CLIENT].concat();
    question.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    question.extend(CLIENT);
    question.extend(CLIENT_IP.octets());
    question.extend([0; 6]);
    question.extend(SERVER_IP.octets());
    let answer = server().answer(&question).unwrap();
    assert_eq!(answer[..12], [CLIENT, SERVER].concat());
    assert_eq!(answer[20..22], [0, 2], "a reply");
    assert_eq!(answer[22..28], SERVER);
    assert_eq!(answer[28..32], SERVER_IP.octets());

    let last = question.len() - 1;
    question[last] = 3;
    assert!(server().answer(&question).is_none(), "the address of another");
}

proptest! {
    #[test]
    fn nothing_panics(
        kind in any::<u8>(),
        code in any::<u8>(),
        value in prop::collection::vec(any::<u8>(), 0..60),
        changes in prop::collection::vec((0..300_usize, any::<u8>()), 0..6),
        len in 0..400_usize,
    ) {
        let mut frame = ask(kind, CLIENT_IP, &[(code, &value)]);
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(len);
        server().answer(&frame);
    }
}
