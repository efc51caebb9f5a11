//! D-Bus messages as bytes and back, as far as systemd's interface has use for them: calls whose arguments
//! are strings; of what comes, texts, numbers and truths, with everything else skipped. Only little-endian,
//! for a manager talks in its machine's own order. Nothing that comes is believed: lengths are compared
//! with what is there, and what is nested too deep is refused.

/// Bytes of a message, at most. All properties of a unit are about 10 KiB.
pub(crate) const LIMIT: usize = 1 << 20;

/// Bytes of a message before its header fields.
const START: usize = 16;

/// How deep types may be nested. D-Bus allows 64, systemd uses 4.
const DEPTH: usize = 16;

/// Codes of the header fields.
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const SIGNATURE: u8 = 8;
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to the call with this serial.
    Return(u32),
    /// The answer to the call with this serial: an error of this name.
    Failure(u32, String),
    /// Something has happened to the object at this path.
    Signal { path: String, interface: String, member: String },
    /// A call to us.
    Call,
}

/// A message that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    body: Vec<u8>,
}

/// The bytes are no message that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    /// Of a type that nobody here asks for.
    Other,
}

/// A call whose arguments are strings.
pub(crate) fn call(serial: u32, path: &str, interface: &str, member: &str, arguments: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for argument in arguments {
        put_text(&mut body, argument);
    }
    // Little-endian, a call, no flags, version 1.
    let mut bytes = vec![b'l', 1, 0, 1];
    put_number(&mut bytes, length(&body));
    put_number(&mut bytes, serial);
    put_number(&mut bytes, 0);
    for (code, kind, text) in
        [(field::PATH, b'o', path), (field::INTERFACE, b's', interface), (field::MEMBER, b's', member)]
    {
        align(&mut bytes, 8);
        bytes.extend([code, 1, kind, 0]);
        put_text(&mut bytes, text);
    }
    if !arguments.is_empty() {
        align(&mut bytes, 8);
        bytes.extend([field::SIGNATURE, 1, b'g', 0, u8::try_from(arguments.len()).unwrap_or(u8::MAX)]);
        bytes.extend(arguments.iter().map(|_| b's'));
        bytes.push(0);
    }
    let fields = u32::try_from(bytes.len() - START).unwrap_or(u32::MAX);
    bytes[START - 4..START].copy_from_slice(&fields.to_le_bytes());
    align(&mut bytes, 8);
    bytes.extend(body);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    align(bytes, 4);
    put_number(bytes, length(text.as_bytes()));
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

fn put_number(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_le_bytes());
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Takes the first message off `bytes`; `None` while it is not there as a whole.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Message>, Malformed> {
    let Some(start) = bytes.get(..START) else { return Ok(None) };
    let number = |at: usize| usize::try_from(u32::from_le_bytes([0, 1, 2, 3].map(|i| start[at + i])));
    let (Ok(body), Ok(fields)) = (number(4), number(12)) else { return Err(Malformed) };
    if start[0] != b'l' || start[3] != 1 || body > LIMIT || fields > LIMIT {
        return Err(Malformed);
    }
    let header = (START + fields).next_multiple_of(8);
    if bytes.len() < header + body {
        return Ok(None);
    }
    let message = read(&bytes[..START + fields], &bytes[header..header + body]).ok_or(Malformed);
    bytes.drain(..header + body);
    message.map(Some)
}

fn read(header: &[u8], body: &[u8]) -> Option<Message> {
    let mut reader = Reader { bytes: header, at: START };
    let (mut path, mut interface, mut member) = (String::new(), String::new(), String::new());
    let (mut error, mut serial) = (String::new(), 0);
    while reader.at < header.len() {
        reader.align(8)?;
        let code = reader.take(1)?[0];
        match (code, reader.variant(0)?) {
            (field::PATH, Value::Text(text)) => path = text,
            (field::INTERFACE, Value::Text(text)) => interface = text,
            (field::MEMBER, Value::Text(text)) => member = text,
            (field::ERROR_NAME, Value::Text(text)) => error = text,
            (field::REPLY_SERIAL, Value::Number(number)) => serial = u32::try_from(number).ok()?,
            _ => {}
        }
    }
    let kind = match header[1] {
        1 => Kind::Call,
        2 => Kind::Return(serial),
        3 => Kind::Failure(serial, error),
        4 => Kind::Signal { path, interface, member },
        _ => return None,
    };
    Some(Message { kind, body: body.to_vec() })
}

impl Message {
    /// Reads what it brings.
    pub(crate) fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0 }
    }
}

/// Reads values off a message. `None`: they are not there.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A string or the path of an object.
    pub(crate) fn text(&mut self) -> Option<String> {
        let count = self.number()?;
        self.terminated(count)
    }

    /// A number of 32 bits; a truth is one as well.
    pub(crate) fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Names and values of properties: an array of entries of a dictionary.
    pub(crate) fn properties(&mut self) -> Option<Vec<(String, Value)>> {
        let count = usize::try_from(self.number()?).ok()?;
        self.align(8)?;
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len())?;
        let mut properties = Vec::new();
        while self.at < end {
            self.align(8)?;
            properties.push((self.text()?, self.variant(0)?));
        }
        (self.at == end).then_some(properties)
    }

    /// A value that brings its type along.
    pub(crate) fn variant(&mut self, depth: usize) -> Option<Value> {
        let signature = self.signature()?;
        let mut rest = signature.as_bytes();
        let value = self.value(&mut rest, depth)?;
        rest.is_empty().then_some(value)
    }

    /// A value of the first type of `signature`, which is taken off. Of a structure its first member.
    fn value(&mut self, signature: &mut &[u8], depth: usize) -> Option<Value> {
        let (kind, rest) = signature.split_first()?;
        *signature = rest;
        if depth > DEPTH {
            return None;
        }
        Some(match kind {
            b'y' => Value::Number(self.take(1)?[0].into()),
            b'b' => Value::Flag(self.number()? != 0),
            // Of a number with a sign, the bits.
            b'u' | b'i' => Value::Number(self.number()?.into()),
            b't' => {
                self.align(8)?;
                Value::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
            }
            b's' | b'o' => Value::Text(self.text()?),
            b'g' => Value::Text(self.signature()?),
            b'v' => self.variant(depth + 1)?,
            b'(' | b'{' => {
                self.align(8)?;
                let first = self.value(signature, depth + 1)?;
                while !matches!(signature.first()?, b')' | b'}') {
                    self.value(signature, depth + 1)?;
                }
                *signature = &signature[1..];
                first
            }
            b'a' => {
                self.array(signature, depth)?;
                Value::Other
            }
            kind => {
                let size = size(*kind)?;
                self.align(size)?;
                self.take(size)?;
                Value::Other
            }
        })
    }

    /// Skips an array whose elements are of the first type of `signature`, which is taken off.
    fn array(&mut self, signature: &mut &[u8], depth: usize) -> Option<()> {
        let count = usize::try_from(self.number()?).ok()?;
        let element = *signature;
        *signature = skip(element, depth + 1)?;
        self.align(size(*element.first()?)?)?;
        self.take(count).map(drop)
    }

    fn signature(&mut self) -> Option<String> {
        let count = self.take(1)?[0];
        self.terminated(count.into())
    }

    /// A text of `count` bytes and the NUL behind it.
    fn terminated(&mut self, count: u32) -> Option<String> {
        let text = self.take(usize::try_from(count).ok()?)?;
        let text = std::str::from_utf8(text).ok()?.to_owned();
        (self.take(1)? == [0]).then_some(text)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let gap = self.at.next_multiple_of(to) - self.at;
        self.take(gap).map(drop)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }
}

/// `signature` without its first type.
fn skip(signature: &[u8], depth: usize) -> Option<&[u8]> {
    let (kind, mut rest) = signature.split_first()?;
    if depth > DEPTH {
        return None;
    }
    match kind {
        b'a' => skip(rest, depth + 1),
        b'(' | b'{' => {
            while !matches!(rest.first()?, b')' | b'}') {
                rest = skip(rest, depth + 1)?;
            }
            Some(&rest[1..])
        }
        kind => size(*kind).map(|_| rest),
    }
}

/// What values of a type are aligned to; of a simple type this is its size as well.
fn size(kind: u8) -> Option<usize> {
    match kind {
        b'y' | b'g' | b'v' => Some(1),
        b'n' | b'q' => Some(2),
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => Some(4),
        b'x' | b't' | b'd' | b'(' | b'{' => Some(8),
        _ => None,
    }
}
