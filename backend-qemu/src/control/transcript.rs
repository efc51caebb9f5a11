//! The last of what was said on the control channel: evidence after a failure.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Bytes that are kept of all messages, and of one.
const ALL: usize = 256 << 10;
const ONE: usize = 2 << 10;
/// A command that is given once a second as long as the machine runs: the others count.
const DULL: &str = "screendump";

/// Keeps the last messages.
#[derive(Debug)]
pub(crate) struct Transcript {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    bytes: usize,
    left_out: u64,
    /// Dull commands without a reply so far.
    dull: HashSet<u64>,
}

impl Transcript {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), state: Mutex::default() }
    }

    /// We said this.
    pub(super) fn command(&self, name: &str, id: u64, line: &str) {
        self.note('>', line, |state| name != DULL || !state.dull.insert(id));
    }

    /// QEMU said this: to the command `id` if it is a reply, and maybe that it refuses.
    pub(super) fn message(&self, id: Option<u64>, is_error: bool, line: &str) {
        self.note('<', line, |state| is_error || !id.is_some_and(|id| state.dull.remove(&id)));
    }

    fn note(&self, from: char, line: &str, matters: impl FnOnce(&mut State) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matters(&mut state) {
            return;
        }
        let end = (0..=ONE.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        let rest = if end < line.len() { " …" } else { "" };
        let line =
            format!("{:10.3} {from} {}{rest}\n", self.began.elapsed().as_secs_f64(), line[..end].trim_end());
        state.bytes += line.len();
        state.lines.push_back(line);
        while state.bytes > ALL
            && let Some(first) = state.lines.pop_front()
        {
            state.bytes -= first.len();
            state.left_out += 1;
        }
    }

    /// The messages with the seconds since the start, what we said behind a `>`.
    pub(crate) fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if state.left_out > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "({} earlier messages are left out)", state.left_out);
        }
        text.extend(state.lines.iter().map(String::as_str));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, ONE, Transcript};

    #[test]
    fn the_last_messages_are_kept_and_dull_ones_only_if_they_fail() {
        let transcript = Transcript::new();
        transcript.command("screendump", 1, "dull 1");
        transcript.message(Some(1), false, "dull 2");
        transcript.command("screendump", 2, "dull 3");
        transcript.message(Some(2), true, "refused");
        transcript.command("stop", 3, &"ä".repeat(ONE));
        transcript.message(None, false, "{\"event\": \"STOP\"}\r\n");
        let text = transcript.text();
        assert!(!text.contains("dull") && text.contains("< refused\n"), "{text}");
        assert!(text.contains("ää …\n") && text.ends_with("< {\"event\": \"STOP\"}\n"), "{text}");
        for id in 4..2_000 {
            transcript.command("quit", id, &"x".repeat(500));
        }
        let text = transcript.text();
        assert!(
            text.len() < ALL + 100 && text.starts_with('(') && !text.contains("STOP"),
            "{}",
            &text[..100]
        );
    }
}
