//! Waiting for text on the serial console.

use std::time::Duration;

use super::plain::plain;
use super::{State, next};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::node::Node;
use crate::pattern::PatternEngine;
use crate::wait::within;

/// How much text a pattern is looked for in; the oldest goes first.
const LIMIT: usize = 4 << 20;

impl Node {
    /// Waits until `pattern` is found in what the guest has printed on its serial console: the lines
    /// since the start, or since the last wait that found something, joined without their ends. The lines
    /// up to the match are consumed; of a line that has not ended, such as a prompt, what is there of it.
    /// The text is searched as it was printed, and without escape sequences and messages of the kernel.
    /// No timeout waits as long as the run may take.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over, [`DriverError::Exited`] when the machine ends.
    pub async fn wait_for_console_text(
        &self,
        pattern: &str,
        timeout: Option<Duration>,
        patterns: &dyn PatternEngine,
    ) -> Result<(), DriverError> {
        let running = self.must_run("print anything on its console")?;
        let limit = timeout.unwrap_or(self.context.deadline.remaining());
        let deadline = Deadline::after(limit);
        self.wait_step(format!("waiting for {pattern} to appear on console"), limit, async {
            let during = || format!("waiting for {pattern} on the console");
            let search = self.while_it_runs(&running, during, self.search_console(pattern, patterns));
            within(deadline, search).await.unwrap_or_else(|| {
                Err(DriverError::assertion(format!(
                    "action timed out after {:.2} seconds (timeout={})\nwaited for {pattern} on the console; {}",
                    deadline.elapsed().as_secs_f64(),
                    crate::text::python_float(limit.as_secs_f64()),
                    self.console.progress(),
                )))
            })
        })
        .await
    }

    async fn search_console(&self, pattern: &str, patterns: &dyn PatternEngine) -> Result<(), DriverError> {
        let mut changes = self.console.changes.subscribe();
        let mut search = Search { pattern, patterns, text: Text::default() };
        loop {
            let fresh = self.console.lock().take();
            if let Some(end) = search.look(&fresh).await? {
                self.console.lock().consume(end);
                return Ok(());
            }
            next(&mut changes).await;
        }
    }
}

/// A place in what was printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// Lines of the launch before it.
    lines: usize,
    /// Bytes before it in the line that had begun after those.
    bytes: usize,
}

/// What nobody had consumed.
#[derive(Debug, Default)]
struct Fresh {
    /// The lines that have ended; the first one may lack what was consumed of it.
    lines: Vec<String>,
    /// How many lines of the launch there are before and with them.
    before: usize,
    /// The line that has begun, without what was consumed of it.
    begun: String,
    /// Where that ends.
    end: Place,
}

impl super::ConsoleLog {
    /// Consumes the next line, and waits until there is one.
    pub(in crate::node) async fn next_line(&self) -> String {
        let mut changes = self.changes.subscribe();
        loop {
            let line = self.lock().take_line();
            match line {
                Some(line) => return line,
                None => next(&mut changes).await,
            }
        }
    }

    /// How many lines have not been consumed.
    pub(in crate::node) fn lines_left(&self) -> usize {
        let state = self.lock();
        state.ended().saturating_sub(state.consumed)
    }
}

impl State {
    /// How many lines of the launch have ended.
    fn ended(&self) -> usize {
        self.dropped + self.lines.len()
    }

    /// The next line that has not been consumed, in `lines`.
    fn first(&self) -> usize {
        self.consumed.saturating_sub(self.dropped)
    }

    /// Consumes the next line that has ended.
    fn take_line(&mut self) -> Option<String> {
        let first = self.first();
        let rest = self.lines.get(first)?.rest().to_owned();
        self.consumed = self.dropped + first + 1;
        Some(rest)
    }

    /// Consumes all lines that have ended. The one that has begun stays: it may become another.
    fn take(&mut self) -> Fresh {
        let fresh = self.lines.get(self.first()..).unwrap_or_default();
        let lines: Vec<String> = fresh.iter().map(|line| line.rest().to_owned()).collect();
        let begun = self.begun.get(self.begun_consumed..).unwrap_or_default().to_owned();
        self.consumed = self.ended();
        let end = Place { lines: self.consumed, bytes: self.begun.len() };
        Fresh { before: end.lines - lines.len(), lines, begun, end }
    }

    /// Consumes what is before `end`, and no more.
    fn consume(&mut self, end: Place) {
        self.consumed = end.lines;
        if end.bytes > 0 {
            let first = self.first();
            // It may have ended meanwhile, with lines of commands before it.
            let ended = self.lines.iter_mut().skip(first).find(|line| !line.is_of_command);
            *ended.map_or(&mut self.begun_consumed, |line| &mut line.consumed) = end.bytes;
        }
    }
}

/// A text twice: as it was printed, and as it was meant.
#[derive(Debug, Default, Clone)]
struct Text {
    printed: String,
    meant: String,
}

impl Text {
    fn push(&mut self, line: &str) {
        self.printed.push_str(line);
        self.meant.push_str(&plain(line));
    }

    fn forget_oldest(&mut self) {
        for text in [&mut self.printed, &mut self.meant] {
            if text.len() > LIMIT {
                let mut cut = text.len() - LIMIT / 2;
                while !text.is_char_boundary(cut) {
                    cut += 1;
                }
                text.drain(..cut);
            }
        }
    }
}

struct Search<'a> {
    pattern: &'a str,
    patterns: &'a dyn PatternEngine,
    /// All that was printed since the wait began, in lines that have ended.
    text: Text,
}

impl Search<'_> {
    /// Adds what is new. Returns the end of the first line after which the pattern is found.
    async fn look(&mut self, fresh: &Fresh) -> Result<Option<Place>, DriverError> {
        // Only a pattern that cares for the end of the text can be found in a part and not in the whole.
        let minds_the_end =
            ["$", "(?", "\\b", "\\B", "\\z", "\\Z"].iter().any(|sign| self.pattern.contains(sign));
        if !minds_the_end && fresh.lines.len() > 1 {
            let mut whole = self.text.clone();
            fresh.lines.iter().chain([&fresh.begun]).for_each(|line| whole.push(line));
            if !self.is_found(&whole).await? {
                fresh.lines.iter().for_each(|line| self.text.push(line));
                self.text.forget_oldest();
                return Ok(None);
            }
        }
        for (index, line) in fresh.lines.iter().enumerate() {
            self.text.push(line);
            if self.is_found(&self.text).await? {
                return Ok(Some(Place { lines: fresh.before + index + 1, bytes: 0 }));
            }
        }
        self.text.forget_oldest();
        if fresh.begun.is_empty() {
            return Ok(None);
        }
        let mut text = self.text.clone();
        text.push(&fresh.begun);
        Ok(self.is_found(&text).await?.then_some(fresh.end))
    }

    async fn is_found(&self, text: &Text) -> Result<bool, DriverError> {
        if self.patterns.is_found(self.pattern, &text.printed).await? {
            return Ok(true);
        }
        Ok(text.meant != text.printed && self.patterns.is_found(self.pattern, &text.meant).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fresh, Place, Search, Text};
    use crate::event::OutputStream;
    use crate::journal::Journal;
    use crate::node::console::ConsoleLog;
    use crate::pattern::RustPatterns;

    async fn found(pattern: &str, lines: &[&str], begun: &str) -> Option<Place> {
        let mut search = Search { pattern, patterns: &RustPatterns, text: Text::default() };
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let end = Place { lines: lines.len(), bytes: begun.len() };
        let fresh = Fresh { lines, before: 0, begun: begun.to_owned(), end };
        search.look(&fresh).await.expect("a pattern")
    }

    #[tokio::test]
    async fn a_pattern_is_found_after_the_first_line_that_completes_it() {
        for pattern in ["login: ", "login: $", "(?<!x)login"] {
            let end = found(pattern, &["log", "in: ", "more"], "").await;
            assert_eq!(end, Some(Place { lines: 2, bytes: 0 }), "{pattern}");
        }
        assert_eq!(found("login: $", &["log"], "in: ").await, Some(Place { lines: 1, bytes: 4 }));
        assert_eq!(found("login: $", &["log"], "in").await, None);
    }

    /// What a wait for anything finds.
    fn take(console: &ConsoleLog) -> (Vec<String>, String) {
        let mut state = console.lock();
        let Fresh { lines, begun, end, .. } = state.take();
        state.consume(end);
        (lines, begun)
    }

    #[test]
    fn what_a_command_says_beside_a_prompt_is_found_and_the_prompt_only_once() {
        let console = ConsoleLog::new("server", Journal::in_memory(Vec::new()));
        console.lock().begun = "login: ".to_owned();
        assert_eq!(take(&console), (vec![], "login: ".to_owned()));
        console.add_of_command(OutputStream::Stderr, "amiss".to_owned());
        console.add_of_command(OutputStream::Stdout, "no such line".to_owned());
        assert_eq!(take(&console), (vec!["amiss".to_owned()], String::new()));
        console.add_of_command(OutputStream::Stderr, "again".to_owned());
        console.add(b"login: root\r");
        assert_eq!(
            console.progress(),
            "the boot came as far as the firmware or boot loader; last line on the \
                                        console: `login: root`"
        );
        assert_eq!(take(&console), (vec!["again".to_owned(), "root".to_owned()], String::new()));
    }

    #[test]
    fn a_beginning_that_was_found_is_consumed_though_its_line_has_ended_meanwhile() {
        let console = ConsoleLog::new("server", Journal::in_memory(Vec::new()));
        console.lock().begun = "login: ".to_owned();
        let end = console.lock().take().end;
        console.add_of_command(OutputStream::Stderr, "amiss".to_owned());
        console.add(b"login: root");
        console.lock().consume(end);
        assert_eq!(take(&console).0, ["amiss", "root"]);
    }
}
