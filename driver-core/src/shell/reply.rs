//! Reads what comes from the guest's shell: finds greetings and replies, and leaves the rest as stray bytes.
//! Knows bytes only, no streams and no time.

use memchr::{memchr, memmem};

use super::request::{PIECE, Tag};

/// What the guest's shell prints when it starts (compat.md, 3.2).
pub const GREETING: &str = "Spawning backdoor root shell...";

/// Bytes that a piece may be longer on the stream than its output: what dd says, and the mark.
const AROUND: usize = 4 << 10;

/// Something that the parser found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes that belong to no reply.
    Stray(Vec<u8>),
    /// A shell started; its greeting and what stood before it.
    Greeting(Vec<u8>),
    /// A piece of the output that is awaited; the guest waits for a word. `None` when it is not what the
    /// guest has sent: bytes were lost, or others came between them.
    Piece(Option<Vec<u8>>),
    /// The reply has ended, with the exit status; `None` when that cannot be read.
    Ended(Option<i32>),
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
    /// In the reply. `overlong`: more came than a piece can have, and was dropped.
    Within { tag: Tag, overlong: bool },
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

    /// Whether the reply that is awaited has begun.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.mode, Mode::Within { .. })
    }

    /// Takes the next thing out of the buffer; `None` when more bytes are needed for that.
    pub(super) fn next(&mut self) -> Option<Found> {
        match std::mem::take(&mut self.mode) {
            Mode::Idle => self.skip(None),
            Mode::Before(tag) => {
                let begin = tag.begin();
                if self.buffer.starts_with(&begin) {
                    self.buffer.drain(..begin.len());
                    self.mode = Mode::Within { tag, overlong: false };
                    return self.next();
                }
                self.mode = Mode::Before(tag);
                self.skip(Some(&begin))
            }
            Mode::Within { tag, overlong } => self.within(tag, overlong),
        }
    }

    /// Says whether what has come of a reply ends in a greeting. Either the guest has rebooted, or the
    /// command prints the greeting's text; then more follows at once, for a piece comes in one go.
    pub(super) fn may_have_rebooted(&self) -> bool {
        let end = self.buffer.trim_ascii_end();
        self.has_begun() && end.ends_with(GREETING.as_bytes())
    }

    /// Takes a greeting that ends the buffer for what it says.
    pub(super) fn take_greeting(&mut self) -> Vec<u8> {
        self.give_up();
        std::mem::take(&mut self.buffer)
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

    /// Takes a piece, or the end, once all of it is there.
    fn within(&mut self, tag: Tag, overlong: bool) -> Option<Found> {
        let mark = tag.mark();
        let Some(at) = memmem::find(&self.buffer, &mark) else {
            let too_long = self.buffer.len() > PIECE + AROUND;
            if too_long {
                self.buffer.drain(..self.buffer.len() - mark.len());
            }
            self.mode = Mode::Within { tag, overlong: overlong || too_long };
            return None;
        };
        let after = at + mark.len();
        let Some(line) = memchr(b'\n', &self.buffer[after..]) else {
            self.mode = Mode::Within { tag, overlong };
            return None;
        };
        let rest = self.buffer[after..after + line].trim_ascii_end().to_vec();
        if rest != b"?" && at > 0 {
            // Between the last piece and the end nothing belongs to the reply.
            self.mode = Mode::Within { tag, overlong };
            return self.stray(at);
        }
        let before: Vec<u8> = self.buffer.drain(..=after + line).take(at).collect();
        if rest == b"?" {
            self.mode = Mode::Within { tag, overlong: false };
            return Some(Found::Piece(if overlong { None } else { counted(before) }));
        }
        Some(Found::Ended(std::str::from_utf8(&rest).ok().and_then(|text| text.trim().parse().ok())))
    }
}

/// The output in a piece, which what dd says stands behind, if it is as long as dd says.
fn counted(mut piece: Vec<u8>) -> Option<Vec<u8>> {
    let text = piece.trim_ascii_end();
    let last = text.iter().rposition(|byte| *byte == b'\n')? + 1;
    let (count, _) = std::str::from_utf8(&text[last..]).ok()?.split_once(" byte")?;
    let count: usize = count.parse().ok()?;
    let words = std::str::from_utf8(piece.get(count..last)?).ok()?;
    let mut lines = words.lines();
    let is_count = |line: Option<&str>, end: &str| {
        let numbers = line.and_then(|line| line.strip_suffix(end)).and_then(|line| line.split_once('+'));
        numbers.is_some_and(|(whole, part)| whole.parse::<u64>().is_ok() && part.parse::<u64>().is_ok())
    };
    let said = is_count(lines.next(), " records in") && is_count(lines.next(), " records out");
    (said && lines.next().is_none()).then(|| {
        piece.truncate(count);
        piece
    })
}

/// How many of the last bytes may be the beginning of `needle`.
fn unfinished(buffer: &[u8], needle: &[u8]) -> usize {
    let most = buffer.len().min(needle.len() - 1);
    (1..=most).rev().find(|length| needle.starts_with(&buffer[buffer.len() - length..])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn a_piece_is_as_long_as_dd_says_or_none() {
        let words = |count: usize| {
            format!("0+1 records in\n0+1 records out\n{count} bytes copied, 6e-05 s, 49 kB/s\n")
        };
        let piece = |body: &str, count| counted((body.to_owned() + &words(count)).into_bytes());
        assert_eq!(piece("a\n12", 4), Some(b"a\n12".to_vec()), "digits before dd's own are output");
        assert_eq!(piece("", 0), Some(Vec::new()));
        assert_eq!(piece("abc", 4), None, "a byte was lost");
        assert_eq!(piece("abcde", 4), None, "a byte was added");
        assert_eq!(counted(b"abc".to_vec()), None);
        let busybox = "x1+0 records in\n1+0 records out\n1 bytes (1B) copied, 0.000079 seconds, 12.4KB/s\n";
        assert_eq!(counted(busybox.into()), Some(b"x".to_vec()));
    }
}
