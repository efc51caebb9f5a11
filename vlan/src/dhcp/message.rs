//! The messages of DHCP, as far as a server with fixed addresses reads and writes them (RFC 2131, 2132).

use std::net::Ipv4Addr;

use driver_core::vlan::MacAddress;

const FROM_CLIENT: u8 = 1;
const FROM_SERVER: u8 = 2;
/// Ethernet, with addresses of six bytes.
const HARDWARE: [u8; 2] = [1, 6];
const BROADCAST: u8 = 0x80;
/// Behind all fields of fixed length: what follows are options.
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const OPTIONS: usize = 240;
/// What old clients take for the least.
const SHORTEST: usize = 300;

const PAD: u8 = 0;
const END: u8 = 255;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Ack = 5,
    Nak = 6,
    Inform = 8,
}

/// What a client says.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The fields of fixed length, which an answer takes over.
    fixed: &'a [u8],
    pub(super) kind: Kind,
    pub(super) card: MacAddress,
    /// The address that it has and hears.
    pub(super) address: Option<Ipv4Addr>,
    /// The address that it wants; the one that it has, if it does not say.
    pub(super) wanted: Option<Ipv4Addr>,
    /// Whom it asks, if it does not ask everybody.
    pub(super) server: Option<Ipv4Addr>,
    /// It hears nothing but what goes to everybody.
    pub(super) broadcast: bool,
    /// It takes an address without asking a second time (RFC 4039).
    pub(super) rapid: bool,
    id: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// `None` for what is no message of a client of this segment.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, options) = bytes.split_at_checked(OPTIONS)?;
        let address = |at: usize| -> Option<Ipv4Addr> {
            let address = Ipv4Addr::from(<[u8; 4]>::try_from(&fixed[at..at + 4]).ok()?);
            (!address.is_unspecified()).then_some(address)
        };
        let relay = address(24);
        if fixed[0] != FROM_CLIENT || fixed[1..3] != HARDWARE || fixed[236..] != COOKIE || relay.is_some() {
            return None;
        }
        let mut request = Self {
            fixed,
            // Until an option says so; what is sent by a server is answered by nobody.
            kind: Kind::Offer,
            card: MacAddress(fixed[28..34].try_into().ok()?),
            address: address(12),
            wanted: None,
            server: None,
            broadcast: fixed[10] & BROADCAST != 0,
            rapid: false,
            id: None,
        };
        let mut rest = options;
        while let Some((&code, after)) = rest.split_first() {
            match code {
                PAD => {
                    rest = after;
                    continue;
                }
                END => break,
                _ => {}
            }
            let (&len, after) = after.split_first()?;
            let (value, after) = after.split_at_checked(len.into())?;
            rest = after;
            let address = || <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
            match code {
                50 => request.wanted = Some(address()?),
                53 => {
                    request.kind = match value {
                        [1] => Kind::Discover,
                        [3] => Kind::Request,
                        [8] => Kind::Inform,
                        _ => return None,
                    }
                }
                54 => request.server = Some(address()?),
                61 => request.id = Some(value),
                80 => request.rapid = true,
                _ => {}
            }
        }
        request.wanted = request.wanted.or(request.address);
        Some(request)
    }
}

/// What a server says.
#[derive(Debug)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    /// An answer without an address.
    pub(super) fn new(request: &Request<'_>, kind: Kind) -> Self {
        let mut bytes = vec![0; OPTIONS];
        bytes[0] = FROM_SERVER;
        bytes[1..3].copy_from_slice(&HARDWARE);
        // The number of the exchange; flags; the relay, the card.
        for field in [4..8, 10..12, 24..44] {
            bytes[field.clone()].copy_from_slice(&request.fixed[field]);
        }
        if kind != Kind::Nak {
            bytes[12..16].copy_from_slice(&request.fixed[12..16]);
        }
        bytes[236..].copy_from_slice(&COOKIE);
        let mut answer = Self(bytes);
        answer.option(53, &[kind as u8]);
        if let Some(id) = request.id {
            answer.option(61, id);
        }
        answer
    }

    /// Gives the client an address.
    pub(super) fn set_address(&mut self, address: Ipv4Addr) {
        self.0[16..20].copy_from_slice(&address.octets());
    }

    /// Adds an option, unless it is longer than one can be.
    pub(super) fn option(&mut self, code: u8, value: &[u8]) {
        if let Ok(len) = u8::try_from(value.len()) {
            self.0.extend([code, len]);
            self.0.extend(value);
        }
    }

    /// The whole message.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push(END);
        self.0.resize(self.0.len().max(SHORTEST), PAD);
        self.0
    }
}
