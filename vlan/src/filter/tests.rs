use std::collections::BTreeMap;

use etherparse::{
    ArpEthIpv4Packet, ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder, VlanId,
};
use proptest::prelude::*;

use super::{Filter, Names, summary};

const CLIENT: [u8; 6] = [0x52, 0x54, 0, 0x12, 1, 1];
const SERVER: [u8; 6] = [0x52, 0x54, 0, 0x12, 1, 2];
const CLIENT_IP: [u8; 4] = [192, 168, 1, 1];
const SERVER_IP: [u8; 4] = [192, 168, 1, 2];
const CLIENT_IP6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER_IP6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

fn names() -> Names {
    BTreeMap::from([
        ("client".to_owned(), vec![CLIENT_IP.into(), CLIENT_IP6.into()]),
        ("server".to_owned(), vec![SERVER_IP.into(), SERVER_IP6.into()]),
        ("legacy".to_owned(), Vec::new()),
    ])
}

macro_rules! built {
    ($builder:expr, $payload:expr) => {{
        let mut bytes = Vec::new();
        $builder.write(&mut bytes, $payload).unwrap();
        bytes
    }};
}

fn syn() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT, SERVER).ipv4(CLIENT_IP, SERVER_IP, 64);
    built!(builder.tcp(40000, 80, 1, 64240).syn(), &[])
}

fn request() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT, SERVER).ipv4(CLIENT_IP, SERVER_IP, 64);
    built!(builder.tcp(40000, 80, 2, 64240).ack(9), b"GET /admin HTTP/1.1\r\n")
}

fn reset6() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(SERVER, CLIENT).ipv6(SERVER_IP6, CLIENT_IP6, 64);
    built!(builder.tcp(80, 40000, 9, 0).rst(), &[])
}

fn tagged_udp() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT, [0xff; 6]).single_vlan(VlanId::try_new(7).unwrap());
    built!(builder.ipv4(CLIENT_IP, [192, 168, 1, 255], 64).udp(68, 67), &[1, 2, 3, 0x7f, 0x45])
}

fn ping() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT, SERVER).ipv4(CLIENT_IP, SERVER_IP, 64);
    built!(builder.icmpv4_echo_request(3, 4), &[0; 56])
}

fn ping6() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(SERVER, CLIENT).ipv6(SERVER_IP6, CLIENT_IP6, 64);
    built!(builder.icmpv6_echo_reply(3, 4), &[0; 56])
}

fn arp(operation: ArpOperation) -> Vec<u8> {
    let packet = ArpPacket::from(ArpEthIpv4Packet {
        operation,
        sender_mac: CLIENT,
        sender_ipv4: CLIENT_IP,
        target_mac: [0; 6],
        target_ipv4: SERVER_IP,
    });
    assert_eq!(packet.hw_addr_type, ArpHardwareId::ETHERNET);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(CLIENT, [0xff; 6]).arp(packet).write(&mut bytes).unwrap();
    // As a network card pads it.
    bytes.resize(60, 0);
    bytes
}

fn stranger() -> Vec<u8> {
    // The first address of a frame is where it goes to.
    let mut bytes = [CLIENT, SERVER].concat();
    bytes.extend(EtherType(0x88cc).0.to_be_bytes());
    bytes.extend(b"\x1b[2Jlldp");
    bytes
}

/// All of the above, as they are called in the tables below.
fn frames() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("syn", syn()),
        ("request", request()),
        ("reset6", reset6()),
        ("udp", tagged_udp()),
        ("ping", ping()),
        ("ping6", ping6()),
        ("ask", arp(ArpOperation::REQUEST)),
        ("stranger", stranger()),
    ])
}

fn summary_of(frame: &[u8]) -> String {
    summary(frame, frame.len())
}

fn fitting(filter: &str) -> Vec<&'static str> {
    let filter = Filter::parse(filter, &names()).unwrap_or_else(|error| panic!("{error}"));
    let all = frames();
    all.iter()
        .filter(|(_, frame)| filter.fits("client-2", Some("client"), frame))
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn each_word_picks_its_frames() {
    let all = ["ask", "ping", "ping6", "request", "reset6", "stranger", "syn", "udp"];
    let table: &[(&str, &[&str])] = &[
        ("", &all),
        ("arp", &["ask"]),
        ("ip", &["ping", "request", "syn", "udp"]),
        ("ip6", &["ping6", "reset6"]),
        ("icmp", &["ping"]),
        ("icmp6", &["ping6"]),
        ("tcp", &["request", "reset6", "syn"]),
        ("udp", &["udp"]),
        ("tcp syn", &["syn"]),
        ("tcp rst", &["reset6"]),
        ("tcp ack", &["request"]),
        ("tcp fin", &[]),
        ("host server", &["ask", "ping", "ping6", "request", "reset6", "syn"]),
        ("src host server", &["ping6", "reset6"]),
        ("src server", &["ping6", "reset6"]),
        ("dst 192.168.1.2", &["ask", "ping", "request", "syn"]),
        ("host 2001:db8:1::1", &["ping6", "reset6"]),
        ("net 192.168.1.0/24", &["ask", "ping", "request", "syn", "udp"]),
        ("dst net 192.168.1.128/25", &["udp"]),
        ("net 2001:db8::/32", &["ping6", "reset6"]),
        ("port 80", &["request", "reset6", "syn"]),
        ("src port 80", &["reset6"]),
        ("dst port 67", &["udp"]),
        ("tcp dst port 80", &["request", "syn"]),
        ("udp port 80", &[]),
        ("ether host 52:54:00:12:01:02", &["ping", "ping6", "request", "reset6", "stranger", "syn"]),
        ("ether src 52:54:00:12:01:02", &["ping6", "reset6", "stranger"]),
        ("ether dst ff:ff:ff:ff:ff:ff", &["ask", "udp"]),
        ("vlan", &["udp"]),
        ("vlan 7", &["udp"]),
        ("vlan 8", &[]),
        ("contains \"/admin\"", &["request"]),
        ("contains 'GET /'", &["request"]),
        (r#"contains "1.1\r\x0a""#, &["request"]),
        ("contains 0x7f45", &["udp"]),
        ("contains \"absent\"", &[]),
        ("less 54", &["stranger", "syn", "udp"]),
        ("greater 118", &["ping6"]),
        ("from client", &all),
        ("from server", &[]),
        ("tcp and port 80 and not contains \"x\"", &["request", "reset6", "syn"]),
        ("arp or icmp", &["ask", "ping"]),
        ("arp || icmp", &["ask", "ping"]),
        ("(arp or icmp) and host server", &["ask", "ping"]),
        ("!ip && !(ip6 or arp)", &["stranger"]),
        ("not not arp", &["ask"]),
    ];
    for (filter, expected) in table {
        assert_eq!(fitting(filter), *expected, "{filter}");
    }
}

#[test]
fn the_filters_of_the_documentation_are_understood() {
    let docs = include_str!("../../../docs/networks.md");
    let (_, chapter) = docs.split_once("## Filters").unwrap();
    let (_, examples) = chapter.split_once("```text\n").unwrap();
    let (examples, _) = examples.split_once("```").unwrap();
    let mut names = names();
    names.insert("web1".to_owned(), vec![SERVER_IP.into()]);
    assert!(examples.lines().count() > 3);
    for example in examples.lines() {
        Filter::parse(example, &names).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_second_card_has_a_name_of_its_own() {
    let mut names = names();
    names.insert("client-2".to_owned(), Vec::new());
    let filter = Filter::parse("from client-2", &names).unwrap();
    assert!(filter.fits("client-2", Some("client"), &syn()));
    assert!(!filter.fits("client", Some("client"), &syn()));
}

#[test]
fn what_is_not_understood_is_shown() {
    let table = [
        ("hots server", "expected one of", "^^^^"),
        ("tcp and", "expected one of", "       ^"),
        ("host", "expected an address or a machine's name here", "    ^"),
        ("host sevrer", "`sevrer` is no machine here (there is `client`, `legacy`, `server`)", "     ^^^^^^"),
        ("host legacy", "the address of `legacy` is not known: give it, or say `from legacy`", "     ^^^^^^"),
        ("port 65536", "expected a port's number here, 0 to 65535", "     ^^^^^"),
        ("tcp udp", "expected `and`, `or` or the end here", "    ^^^"),
        ("(tcp", "expected `and`, `or` or `)` here", "    ^"),
        ("tcp)", "this parenthesis was never opened", "   ^"),
        ("arp and tcp or udp", "`and` beside `or`: say by parentheses which is meant", "            ^^"),
        ("net 192.168.1.1", "expected a network such as 192.168.1.0/24 here", "    ^^^^^^^^^^^"),
        ("ether 1", "expected `host`, `src` or `dst` here", "      ^"),
        ("vlan 5000", "expected a VLAN's number here, 0 to 4094", "     ^^^^"),
        ("contains text", "expected a \"text\" or pairs", "         ^^^^"),
        ("contains 0x123", "expected a \"text\" or pairs", "         ^^^^^"),
        ("contains \"\"", "expected a \"text\" or pairs", "         ^^"),
        ("contains \"open", "expected a second \" to end the text", "         ^^^^^"),
        (r#"contains "a\q" "#, "expected one of", "           ^^"),
        ("arp & tcp", "expected `and`, `or` or the end here", "    ^"),
    ];
    for (filter, what, carets) in table {
        let error = Filter::parse(filter, &names()).unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].starts_with(what), "{filter}: {error}");
        assert_eq!(lines[1], format!("  {filter}"), "{error}");
        assert_eq!(lines[2], format!("  {carets}"), "{error}");
    }
}

#[test]
fn a_filter_of_several_lines_is_shown_in_one() {
    let error = Filter::parse("tcp and\n\thots", &names()).unwrap_err();
    assert!(error.ends_with("\n  tcp and  hots\n           ^^^^"), "{error}");
}

#[test]
fn parentheses_without_end_are_refused() {
    for text in ["(", "not ", "!"] {
        let error = Filter::parse(&text.repeat(1_000_000), &names()).unwrap_err();
        assert!(error.starts_with("this is too deep in parentheses"));
    }
}

#[test]
fn a_fragment_has_a_protocol_but_no_ports() {
    let mut frame = request();
    // More fragments follow.
    frame[20] |= 0x20;
    let fits = |filter: &str| Filter::parse(filter, &names()).unwrap().fits("x", None, &frame);
    assert!(fits("tcp") && fits("contains \"/admin\""));
    assert!(!fits("port 80") && !fits("tcp ack"));
    assert_eq!(summary_of(&frame), "IP 192.168.1.1 > 192.168.1.2: fragment of TCP, length 41");
}

#[test]
fn summaries_are_those_of_tcpdump() {
    let table = [
        ("syn", "IP 192.168.1.1.40000 > 192.168.1.2.80: TCP SYN, length 0"),
        ("request", "IP 192.168.1.1.40000 > 192.168.1.2.80: TCP ACK, length 21"),
        ("reset6", "IP6 2001:db8:1::2.80 > 2001:db8:1::1.40000: TCP RST, length 0"),
        ("udp", "vlan 7, IP 192.168.1.1.68 > 192.168.1.255.67: UDP, length 5"),
        ("ping", "IP 192.168.1.1 > 192.168.1.2: ICMP echo request, id 3, seq 4, length 64"),
        ("ping6", "IP6 2001:db8:1::2 > 2001:db8:1::1: ICMP6 echo reply, id 3, seq 4, length 64"),
        ("ask", "ARP who has 192.168.1.2, tell 192.168.1.1"),
        ("stranger", "52:54:00:12:01:02 > 52:54:00:12:01:01: ethertype 0x88cc, length 22"),
    ];
    let frames = frames();
    for (name, expected) in table {
        assert_eq!(summary_of(&frames[name]), expected, "{name}");
    }
    assert_eq!(summary_of(&arp(ArpOperation::REPLY)), "ARP 192.168.1.1 is at 52:54:00:12:01:01");
    assert_eq!(summary_of(&syn()[..30]), "malformed, length 30");
}

#[test]
fn the_head_of_a_long_frame_is_enough_for_its_summary() {
    let builder = PacketBuilder::ethernet2(CLIENT, SERVER).ipv4(CLIENT_IP, SERVER_IP, 64);
    let frame = built!(builder.tcp(40000, 80, 2, 64240).ack(9), &[b'x'; 1400]);
    assert_eq!(
        summary(&frame[..256], frame.len()),
        "IP 192.168.1.1.40000 > 192.168.1.2.80: TCP ACK, length 1400"
    );
}

#[test]
fn nothing_fits_a_frame_that_is_cut_off() {
    let all = ["", "not arp", "from client", "ip or ip6 or vlan or arp or not tcp"];
    for frame in [syn(), request(), reset6(), tagged_udp(), ping(), ping6()] {
        for len in 0..frame.len() {
            for filter in all {
                let filter = Filter::parse(filter, &names()).unwrap();
                assert!(!filter.fits("client", Some("client"), &frame[..len]), "{len} of {frame:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_frame_panics_and_no_summary_has_control_characters(
        which in 0..8_usize,
        changes in prop::collection::vec((0..120_usize, any::<u8>()), 0..8),
        len in 0..130_usize,
    ) {
        let mut frame = frames().into_values().nth(which).unwrap();
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(len);
        let filter = "tcp syn or port 80 or host server or vlan 7 or contains 'x' or net 10.0.0.0/8 or icmp6";
        Filter::parse(filter, &names()).unwrap().fits("client", None, &frame);
        prop_assert!(!summary_of(&frame).contains(|c: char| c.is_control()));
    }

    #[test]
    fn no_bytes_panic(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let filter = Filter::parse("tcp syn or host server or vlan or contains 'x'", &names()).unwrap();
        filter.fits("client", None, &frame);
        prop_assert!(!summary_of(&frame).contains(|c: char| c.is_control()));
    }

    #[test]
    fn no_text_panics(
        text in "\\PC{0,40}",
        words in prop::collection::vec("(tcp|and|or|not|\\(|\\)|host|server|src|port|80|contains|'é\\\\x4|\"|0x|é|!|&| ){1}", 0..12),
    ) {
        for text in [text, words.join(" "), words.concat()] {
            if let Err(error) = Filter::parse(&text, &names()) {
                prop_assert_eq!(error.lines().count(), 3, "{}", error);
            }
        }
    }
}
