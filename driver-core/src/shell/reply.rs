//! Reads what comes from the guest's shell: finds greetings and replies, and leaves the rest as stray bytes.
//! Knows bytes only, no streams and no time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::{memchr, memchr2, memmem};

use super::request::Tag;

/// What the guest's shell prints when it starts (compat.md, 3.2).
pub const GREETING: &str = "Spawning backdoor root shell...";

/// Digits that an exit status may have; a longer one is none.
const STATUS_DIGITS: usize = 8;

/// Something that the parser found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes that belong to no reply.
    Stray(Vec<u8>),
    /// A shell started; its greeting and what stood before it.
    Greeting(Vec<u8>),
    /// A piece of the output that is awaited.
    Output(Vec<u8>),
    /// The reply has ended.
    Ended {
        /// The exit status; `None` when other bytes were in the middle of the reply, so that nothing of it
        /// can be trusted.
        status: Option<i32>,
    },
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// What was read and is not yet understood.
    pub(super) buffer: Vec<u8>,
    mode: Mode,
}

#[derive(Debug, Default)]
enum Mode {
    /// No reply is awaited.
    #[default]
    Idle,
    /// The reply has not begun.
    Before(Tag),
    /// In the reply's body. `kept`: its last bytes, already decoded, which may turn out to be the first of a
    /// greeting.
    Body { tag: Tag, kept: Vec<u8> },
    /// Something else came into the body; looks for the end only.
    Mixed(Tag),
}

impl Parser {
    /// From now on the reply with this tag is awaited.
    pub(super) fn expect(&mut self, tag: Tag) {
        self.mode = Mode::Before(tag);
    }

    /// No reply is awaited any more.
    pub(super) fn give_up(&mut self) {
        self.mode = Mode::Idle;
    }

    /// Takes the next thing out of the buffer; `None` when more bytes are needed for that.
    pub(super) fn next(&mut self) -> Option<Found> {
        match std::mem::take(&mut self.mode) {
            Mode::Idle => self.skip(None),
            Mode::Before(tag) => {
                let begin = tag.begin();
                if self.stands_first(&begin) {
                    self.buffer.drain(..begin.len());
                    self.mode = Mode::Body { tag, kept: Vec::new() };
                    return self.next();
                }
                self.mode = Mode::Before(tag);
                self.skip(Some(&begin))
            }
            Mode::Body { tag, kept } => self.body(tag, kept),
            Mode::Mixed(tag) => {
                let end = tag.end();
                let ended = self.stands_first(&end);
                if ended && let Some((_, length)) = status_at(&self.buffer, end.len()) {
                    return self.ended(None, length);
                }
                self.mode = Mode::Mixed(tag);
                if ended { None } else { self.skip(Some(&end)) }
            }
        }
    }

    fn stands_first(&self, needle: &[u8]) -> bool {
        self.buffer.starts_with(needle)
    }

    /// Takes what stands before `needle` or the greeting, or the greeting itself.
    fn skip(&mut self, needle: Option<&[u8]>) -> Option<Found> {
        let greeting = memmem::find(&self.buffer, GREETING.as_bytes());
        let needle_at = needle.and_then(|needle| memmem::find(&self.buffer, needle));
        match (greeting, needle_at) {
            (Some(greeting), needle_at) if needle_at.is_none_or(|at| greeting < at) => {
                let mut end = greeting + GREETING.len();
                end += self.buffer[end..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                Some(Found::Greeting(self.buffer.drain(..end).collect()))
            }
            (_, Some(at)) => self.stray(at),
            (_, None) => {
                let unfinished = unfinished(&self.buffer, GREETING.as_bytes())
                    .max(needle.map_or(0, |needle| unfinished(&self.buffer, needle)));
                self.stray(self.buffer.len() - unfinished)
            }
        }
    }

    fn stray(&mut self, length: usize) -> Option<Found> {
        (length > 0).then(|| Found::Stray(self.buffer.drain(..length).collect()))
    }

    /// Decodes as much of the body as is there.
    fn body(&mut self, tag: Tag, mut kept: Vec<u8>) -> Option<Found> {
        let end_at = memchr(b']', &self.buffer);
        let raw = end_at.unwrap_or(self.buffer.len());
        if memchr2(b'\r', b'\n', &self.buffer[..raw]).is_some() {
            // Where base64 breaks its lines in spite of `-w 0`, and after the opening tag.
            let before = self.buffer.len();
            let mut at = 0;
            self.buffer.retain(|byte| {
                at += 1;
                at > raw || !matches!(byte, b'\r' | b'\n')
            });
            debug_assert!(self.buffer.len() < before, "each turn takes line ends away");
            return self.body(tag, kept);
        }
        let whole = raw - raw % 4;
        if whole > 0 {
            return Some(match STANDARD.decode(&self.buffer[..whole]) {
                Ok(output) => {
                    let from = whole.saturating_sub(GREETING.len());
                    kept.extend_from_slice(&self.buffer[from..whole]);
                    kept.drain(..kept.len().saturating_sub(GREETING.len()));
                    self.buffer.drain(..whole);
                    self.mode = Mode::Body { tag, kept };
                    Found::Output(output)
                }
                Err(_) => return self.mixed(tag, kept),
            });
        }
        let end = tag.end();
        let ended = end_at == Some(0);
        if ended && self.stands_first(&end) {
            let Some((status, length)) = status_at(&self.buffer, end.len()) else {
                self.mode = Mode::Body { tag, kept };
                return None;
            };
            return self.ended(status, length);
        }
        let may_become = if ended { end.starts_with(&self.buffer) } else { end_at.is_none() };
        if may_become {
            self.mode = Mode::Body { tag, kept };
            return None;
        }
        self.mixed(tag, kept)
    }

    fn ended(&mut self, status: Option<i32>, length: usize) -> Option<Found> {
        self.buffer.drain(..length);
        Some(Found::Ended { status })
    }

    fn mixed(&mut self, tag: Tag, mut kept: Vec<u8>) -> Option<Found> {
        kept.append(&mut self.buffer);
        self.buffer = kept;
        self.mode = Mode::Mixed(tag);
        self.next()
    }
}

/// The status that stands at `from`, if it is one, and where its line ends; `None` when the line has not.
fn status_at(buffer: &[u8], from: usize) -> Option<(Option<i32>, usize)> {
    let rest = &buffer[from..];
    match memchr(b'\n', rest) {
        Some(end) => {
            let status = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.trim_end().parse().ok());
            Some((status, from + end + 1))
        }
        None if rest.len() > STATUS_DIGITS => Some((None, from)),
        None => None,
    }
}

/// How many of the last bytes may be the beginning of `needle`.
fn unfinished(buffer: &[u8], needle: &[u8]) -> usize {
    let most = buffer.len().min(needle.len() - 1);
    (1..=most).rev().find(|length| needle.starts_with(&buffer[buffer.len() - length..])).unwrap_or(0)
}
