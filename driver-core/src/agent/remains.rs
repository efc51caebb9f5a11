//! What an agent that is gone has left on its port, told apart from what others say there.

use agent_protocol::message::KILLED;
use memchr::{memmem, memrchr};

use crate::shell::GREETING;

/// Bytes of a line that is not taken for remains whatever it holds.
const LINE_LIMIT: usize = 16 << 10;

/// Takes the remains of frames out of what comes on the port, up to the greeting of the shell that comes next.
#[derive(Default)]
pub(crate) struct Remains {
    /// The line that has begun.
    line: Vec<u8>,
    has_greeted: bool,
}

impl Remains {
    /// What of the next bytes, and of a line that they end, is none of the agent's: lines that are text through and
    /// through, but for the one that tells of its end, and empty ones.
    pub(crate) fn taken_out_of(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.has_greeted {
            return bytes.to_vec();
        }
        self.line.extend_from_slice(bytes);
        let greeting = memmem::find(&self.line, GREETING.as_bytes());
        self.has_greeted = greeting.is_some();
        let end = greeting.or_else(|| memrchr(b'\n', &self.line).map(|at| at + 1)).unwrap_or(0);
        let rest = self.line.split_off(end);
        let mut told = of_others(&self.line);
        if self.has_greeted {
            told.extend_from_slice(&rest);
            self.line = Vec::new();
        } else if rest.len() > LINE_LIMIT {
            // Its end is not text through and through, then.
            self.line = vec![0];
        } else {
            self.line = rest;
        }
        told
    }
}

fn of_others(lines: &[u8]) -> Vec<u8> {
    let is_text = |line: &&[u8]| line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
    let is_of_others = |line: &&[u8]| is_text(line) && ![KILLED.as_bytes(), b""].contains(&line.trim_ascii());
    lines.split_inclusive(|byte| *byte == b'\n').filter(is_of_others).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{LINE_LIMIT, Remains};

    fn told(pieces: &[&[u8]]) -> Vec<u8> {
        let mut remains = Remains::default();
        pieces.iter().flat_map(|piece| remains.taken_out_of(piece)).collect()
    }

    #[test]
    fn what_an_agent_leaves_behind_is_told_apart_from_what_others_say() {
        let left =
            b"\xf9\xf6 and words\xa0\nThe agent was killed.\r\nsomebody says this\r\nhalf of a fr\xe1me";
        assert_eq!(told(&[left]), b"somebody says this\r\n");
        let by_bytes: Vec<&[u8]> = left.chunks(1).collect();
        assert_eq!(told(&by_bytes), b"somebody says this\r\n");
        let greeting = b"Spawning backdoor root shell...\n";
        assert_eq!(told(&[b"\r\n", greeting]), greeting);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_and_what_follows_a_greeting_is_told_as_it_is() {
        let greeting = "Spawning backdoor root shell...\n".as_bytes();
        let long = vec![b'x'; LINE_LIMIT + 1];
        assert_eq!(told(&[&long, b"its end\n", b"next\n"]), b"next\n");
        let others = "\x1b[1mgr\u{fc}n".as_bytes();
        assert_eq!(told(&[b"half of a fr\xe1me", greeting, others]), [greeting, others].concat());
    }
}
