//! Reads filters.

use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

use driver_core::vlan::MacAddress;
use etherparse::IpNumber;
use ipnet::IpNet;

use super::Names;
use super::expression::{Expression, Flag, Side};
use super::lexer::{self, Kind, Token, Wrong};

/// How many parentheses and `not`s may be in one another.
const DEEPEST: usize = 50;

const PRIMITIVES: &str = "arp, icmp, icmp6, ip, ip6, tcp, udp, host, net, port, src, dst, ether, vlan, contains, \
                          greater, less or from";

/// Reads a filter.
pub(super) fn parse(text: &str, names: &Names) -> Result<Expression, Wrong> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser { tokens: &tokens, names };
    if parser.peek().kind == Kind::End {
        return Ok(Expression::All(Vec::new()));
    }
    let expression = parser.expression(0)?;
    match parser.peek() {
        Token { kind: Kind::End, .. } => Ok(expression),
        Token { kind: Kind::Close, at } => Err(wrong("this parenthesis was never opened", at)),
        Token { at, .. } => Err(wrong("expected `and`, `or` or the end here", at)),
    }
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    names: &'a Names,
}

impl<'a> Parser<'a> {
    /// `term`, `term and term ...`, or `term or term ...`.
    fn expression(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let first = self.term(depth)?;
        let operator = self.peek().kind.clone();
        if !matches!(operator, Kind::And | Kind::Or) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while matches!(self.peek().kind, Kind::And | Kind::Or) {
            let Token { kind, at } = self.next();
            // tcpdump lets both bind alike, most languages do not, and who reads a test should not have to know.
            if *kind != operator {
                return Err(wrong("`and` beside `or`: say by parentheses which is meant", at));
            }
            parts.push(self.term(depth)?);
        }
        Ok(if operator == Kind::And { Expression::All(parts) } else { Expression::Any(parts) })
    }

    fn term(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let Token { kind, at } = self.next();
        if depth > DEEPEST {
            return Err(wrong("this is too deep in parentheses", at));
        }
        match kind {
            Kind::Not => Ok(Expression::Not(Box::new(self.term(depth + 1)?))),
            Kind::Open => {
                let inside = self.expression(depth + 1)?;
                match self.next() {
                    Token { kind: Kind::Close, .. } => Ok(inside),
                    Token { at, .. } => Err(wrong("expected `and`, `or` or `)` here", at)),
                }
            }
            Kind::Word(word) => self.primitive(word, at),
            _ => Err(wrong(format!("expected one of {PRIMITIVES} here"), at)),
        }
    }

    fn primitive(&mut self, word: &str, at: &Range<usize>) -> Result<Expression, Wrong> {
        match word {
            "arp" => self.qualified(Expression::Arp),
            "ip" => self.qualified(Expression::Ipv4),
            "ip6" => self.qualified(Expression::Ipv6),
            "icmp" => {
                let icmp = vec![Expression::Ipv4, Expression::Protocol(IpNumber::ICMP)];
                self.qualified(Expression::All(icmp))
            }
            "icmp6" => {
                let icmp = vec![Expression::Ipv6, Expression::Protocol(IpNumber::IPV6_ICMP)];
                self.qualified(Expression::All(icmp))
            }
            "tcp" => match self.peek().kind {
                Kind::Word("syn") => self.flag(Flag::Syn),
                Kind::Word("ack") => self.flag(Flag::Ack),
                Kind::Word("fin") => self.flag(Flag::Fin),
                Kind::Word("rst") => self.flag(Flag::Rst),
                _ => self.qualified(Expression::Protocol(IpNumber::TCP)),
            },
            "udp" => self.qualified(Expression::Protocol(IpNumber::UDP)),
            "host" | "net" | "port" | "src" | "dst" => self.end_of_way(word, at),
            "ether" => {
                let side = match self.word("`host`, `src` or `dst`")? {
                    ("host", _) => Side::Either,
                    ("src", _) => Side::Source,
                    ("dst", _) => Side::Destination,
                    (_, at) => return Err(wrong("expected `host`, `src` or `dst` here", at)),
                };
                let (word, at) = self.word("a MAC address")?;
                let mac = MacAddress::try_from(word.to_owned()).map_err(|what| wrong(what, at))?;
                Ok(Expression::Card(side, mac))
            }
            "vlan" => match self.peek().kind {
                Kind::Word(_) => Ok(Expression::Tag(self.number("a VLAN's number", 4094)?)),
                _ => Ok(Expression::Tagged),
            },
            "contains" => self.bytes().map(Expression::Contains),
            "greater" => Ok(Expression::Greater(self.number("a length in bytes", usize::MAX)?)),
            "less" => Ok(Expression::Less(self.number("a length in bytes", usize::MAX)?)),
            "from" => {
                let (name, at) = self.word("a machine's name")?;
                self.known(name, at).map(|_| Expression::From(name.to_owned()))
            }
            _ => Err(wrong(format!("expected one of {PRIMITIVES} here"), at)),
        }
    }

    /// A protocol, and perhaps more of the same frame: `tcp port 80`.
    fn qualified(&mut self, protocol: Expression) -> Result<Expression, Wrong> {
        if let Kind::Word(word @ ("host" | "net" | "port" | "src" | "dst")) = self.peek().kind {
            let at = &self.next().at;
            return Ok(Expression::All(vec![protocol, self.end_of_way(word, at)?]));
        }
        Ok(protocol)
    }

    fn flag(&mut self, flag: Flag) -> Result<Expression, Wrong> {
        self.next();
        Ok(Expression::Flag(flag))
    }

    /// What comes after `host`, `net`, `port`, `src` and `dst`.
    fn end_of_way(&mut self, word: &str, at: &Range<usize>) -> Result<Expression, Wrong> {
        let (side, what, what_at) = match word {
            "src" => (Side::Source, self.peek(), None),
            "dst" => (Side::Destination, self.peek(), None),
            _ => (Side::Either, self.peek(), Some(at)),
        };
        let what = match (what_at, &what.kind) {
            (Some(_), _) => word,
            (None, Kind::Word(next @ ("host" | "net" | "port"))) => {
                self.next();
                next
            }
            // As in `src 192.168.1.1`.
            (None, _) => "host",
        };
        match what {
            "port" => Ok(Expression::Port(side, self.number("a port's number", u16::MAX)?)),
            "net" => {
                let (word, at) = self.word("a network such as 192.168.1.0/24")?;
                let net = IpNet::from_str(word)
                    .map_err(|_| wrong("expected a network such as 192.168.1.0/24 here", at))?;
                Ok(Expression::Net(side, net))
            }
            _ => {
                let (word, at) = self.word("an address or a machine's name")?;
                if let Ok(address) = IpAddr::from_str(word) {
                    return Ok(Expression::Host(side, vec![address]));
                }
                let addresses = self.known(word, at)?;
                if addresses.is_empty() {
                    return Err(wrong(
                        format!("the address of `{word}` is not known: give it, or say `from {word}`"),
                        at,
                    ));
                }
                Ok(Expression::Host(side, addresses.to_vec()))
            }
        }
    }

    fn known(&self, name: &str, at: &Range<usize>) -> Result<&'a [IpAddr], Wrong> {
        self.names.get(name).map(Vec::as_slice).ok_or_else(|| {
            let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let what = match names.as_slice() {
                [] => format!("`{name}` is no machine here, nor is there another"),
                names => format!("`{name}` is no machine here (there is `{}`)", names.join("`, `")),
            };
            wrong(what, at)
        })
    }

    fn number<T>(&mut self, what: &str, most: T) -> Result<T, Wrong>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let (word, at) = self.word(what)?;
        let number = word.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| wrong(format!("expected {what} here, 0 to {most}"), at))
    }

    /// `"text"` or `0x7f45`.
    fn bytes(&mut self) -> Result<Vec<u8>, Wrong> {
        let Token { kind, at } = self.next();
        let bytes = match kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Word(word) => word.strip_prefix("0x").and_then(lexer::hexadecimal),
            _ => None,
        };
        bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            wrong("expected a \"text\" or pairs of hexadecimal digits such as 0x7f45 here", at)
        })
    }

    fn word(&mut self, what: &str) -> Result<(&'a str, &'a Range<usize>), Wrong> {
        match self.next() {
            Token { kind: Kind::Word(word), at } => Ok((word, at)),
            Token { at, .. } => Err(wrong(format!("expected {what} here"), at)),
        }
    }

    fn peek(&self) -> &'a Token<'a> {
        &self.tokens[0]
    }

    /// The next token; the end comes again and again.
    fn next(&mut self) -> &'a Token<'a> {
        let token = &self.tokens[0];
        if token.kind != Kind::End {
            self.tokens = &self.tokens[1..];
        }
        token
    }
}

fn wrong(what: impl Into<String>, at: &Range<usize>) -> Wrong {
    Wrong { what: what.into(), at: at.clone() }
}
