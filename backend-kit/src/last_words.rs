//! What a machine's processes said last, kept for the message that tells how they ended.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many lines are kept.
const LINES: usize = 20;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output: the start script's, until the guest has it as its serial console.
    Output,
    /// Standard error.
    Errors,
}

/// The last lines, in the order in which they came.
#[derive(Debug, Default)]
pub struct LastWords {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<(Source, String)>,
    guest_speaks: bool,
}

impl LastWords {
    /// Adds a line.
    pub fn add(&self, source: Source, line: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_empty() || (state.guest_speaks && source == Source::Output) {
            return;
        }
        if state.lines.len() == LINES {
            state.lines.pop_front();
        }
        state.lines.push_back((source, line));
    }

    /// From now on standard output is what the guest says, not the hypervisor.
    pub fn leave_output_to_the_guest(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.guest_speaks = true;
        state.lines.retain(|(source, _)| *source != Source::Output);
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lines.iter().map(|(_, line)| line.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES, LastWords, Source};

    #[test]
    fn the_last_lines_are_kept_and_the_guests_are_not_among_them() {
        let words = LastWords::default();
        words.add(Source::Output, "from the script".to_owned());
        words.add(Source::Errors, "a warning".to_owned());
        assert_eq!(words.lines(), ["from the script", "a warning"]);
        words.leave_output_to_the_guest();
        words.add(Source::Output, "from the guest".to_owned());
        assert_eq!(words.lines(), ["a warning"]);
        for n in 0..100 {
            words.add(Source::Errors, n.to_string());
        }
        assert_eq!(words.lines().len(), LINES);
        assert_eq!(words.lines().last().map(String::as_str), Some("99"));
    }
}
