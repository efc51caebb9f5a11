//! Reads what the driver sends to a guest's shell, as far as a guest that plays has to.

use memchr::memchr;

use crate::shell::END;

/// One line of the driver's, and the bytes that go with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// All of it, as it came.
    pub(super) raw: Vec<u8>,
    /// What it asks for; `None` for a line that wants no reply.
    pub(super) framed: Option<Framed>,
}

/// A request that wants a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Framed {
    /// What marks the reply's parts.
    pub(super) tag: String,
    /// The command, without what the driver puts around it; `None` for the transfer of a file.
    pub(super) command: Option<String>,
}

/// What the driver puts before every command.
const PREAMBLE: &str = "set -euo pipefail; ";

/// Takes the first request out of what was read, when all of it is there.
pub(super) fn take(inbox: &mut Vec<u8>) -> Option<Request> {
    let end = memchr(b'\n', inbox)?;
    // A quoted command may have several lines; the frame closes on the last one.
    let text = String::from_utf8_lossy(&inbox[..=end]).into_owned();
    if !text.starts_with("t=innkeeper-") {
        return Some(Request { raw: inbox.drain(..=end).collect(), framed: None });
    }
    let text = String::from_utf8_lossy(inbox).into_owned();
    let line = text.find(END)? + END.len();
    let payload: usize = match text[..line].split_once("head -c ") {
        Some((before, rest)) if !before.contains("bash -c ") => {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            rest[..digits].parse().ok()?
        }
        _ => 0,
    };
    if inbox.len() < line + payload {
        return None;
    }
    let (tag, rest) = text.strip_prefix("t=")?.split_once(';')?;
    let raw: Vec<u8> = inbox.drain(..line + payload).collect();
    let command = match rest.split_once("bash -c ") {
        None => None,
        Some(_) if payload > 0 => Some(String::from_utf8_lossy(&raw[line..]).into_owned()),
        Some((_, quoted)) => {
            let script = unquote(quoted);
            Some(script.strip_prefix(PREAMBLE).unwrap_or(&script).to_owned())
        }
    };
    let tag = tag.to_owned();
    Some(Request { raw, framed: Some(Framed { tag, command }) })
}

/// Reads the first word as a shell does that knows quotes and nothing else.
fn unquote(text: &str) -> String {
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => quote = Some(c),
            (' ', None) => break,
            (c, None) => word.push(c),
        }
    }
    word
}
