//! The journal of the guest's boot: waits for a line of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Node;
use super::command::excerpt;
use crate::agent::{Agent, How, Nobody};
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::pattern::PatternEngine;
use crate::shell::quote;
use crate::wait::{Look, Wait, within};

/// A line that is longer is cut into several.
const LINE_LIMIT: usize = 64 << 10;

impl Node {
    /// Waits until `pattern` is found in a line of the guest's journal since the boot: of `unit`, or of all.
    /// Lines from before the call count, too.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; as [`Node::execute`].
    pub async fn wait_for_journal(
        &self,
        pattern: &str,
        unit: Option<&str>,
        timeout: Duration,
        patterns: &dyn PatternEngine,
    ) -> Result<(), DriverError> {
        let of = unit.map_or_else(String::new, |unit| format!(" of unit {unit}"));
        let awaited = format!("{pattern} to appear in the journal{of}");
        let command = "journalctl --boot --no-pager --quiet --output=cat".to_owned();
        let command = unit.map_or(command.clone(), |unit| format!("{command} --unit={}", quote(unit)));
        self.wait_step(format!("waiting for {awaited}"), timeout, async {
            let deadline = Deadline::after(timeout);
            if self.follow(&command, pattern, patterns, deadline).await? {
                return Ok(());
            }
            let judged = AtomicUsize::new(0);
            let wait = Wait::by(format!("{awaited} (`{}`)", excerpt(&command)), deadline);
            wait.until(|_last| self.look_at_journal(&command, deadline, pattern, patterns, &judged)).await
        })
        .await
    }

    /// Reads the journal as it grows, until the pattern is found. `false` when the guest does not let us
    /// (it has no agent, or the command ends) or the time is over.
    async fn follow(
        &self,
        command: &str,
        pattern: &str,
        patterns: &dyn PatternEngine,
        deadline: Deadline,
    ) -> Result<bool, DriverError> {
        let running = self.connected().await?;
        let channel = running.line.channel();
        let Channel::Agent(agent) = &*channel else { return Ok(false) };
        let work = read_on(agent, command, pattern, patterns);
        let during = || format!("running `{}`", excerpt(command));
        match within(deadline, self.while_it_runs(&running, during, work)).await {
            None | Some(Err(DriverError::Shell { .. })) => Ok(false),
            Some(other) => other,
        }
    }

    /// Reads the journal and looks at what has been added to the lines that are `judged` already.
    async fn look_at_journal(
        &self,
        command: &str,
        deadline: Deadline,
        pattern: &str,
        patterns: &dyn PatternEngine,
        judged: &AtomicUsize,
    ) -> Result<Look<()>, DriverError> {
        let (status, output) = self.execute(command, Some(deadline.limit())).await?;
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        // A journal that is shorter than before is another one.
        let fresh = lines.get(judged.load(Ordering::Relaxed)..).unwrap_or(&lines);
        if is_in_a_line(fresh, pattern, patterns).await? {
            return Ok(Look::Done(()));
        }
        judged.store(lines.len(), Ordering::Relaxed);
        Ok(Look::NotYet(match lines.last() {
            _ if status != 0 => format!("exit code {status}"),
            None => String::new(),
            Some(line) => format!("`{}`", excerpt(line)),
        }))
    }
}

/// Runs the command so that it goes on as the journal does, until the caller has enough of it. Says whether
/// the pattern was found. journald tells those who follow within a quarter of a second (its
/// `POST_CHANGE_TIMER_INTERVAL_USEC`): later than other watches, and sooner than it is to ask again and again
/// on a slow machine.
async fn read_on(
    agent: &Agent,
    command: &str,
    pattern: &str,
    patterns: &dyn PatternEngine,
) -> Result<bool, DriverError> {
    let command = format!("exec {command} --follow --lines=all");
    let (mut writer, reader) = tokio::io::duplex(LINE_LIMIT);
    let how = How { timeout: None, grace: Some(Duration::ZERO), within: Deadline::far(), bulk: false };
    let mut nobody = Nobody;
    let run = agent.run(&command, how, &mut writer, u64::MAX, &mut nobody);
    tokio::select! {
        found = search(reader, pattern, patterns) => found,
        ended = run => ended.map(|_| false),
    }
}

/// Reads lines until one has the pattern, or there are no more.
async fn search(
    mut reader: impl AsyncRead + Unpin,
    pattern: &str,
    patterns: &dyn PatternEngine,
) -> Result<bool, DriverError> {
    let mut text = Vec::new();
    // The other end is in this process.
    while let Ok(1..) = reader.read_buf(&mut text).await {
        let whole = match text.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if text.len() > LINE_LIMIT => text.len(),
            None => continue,
        };
        let lines: Vec<u8> = text.drain(..whole).collect();
        let lines: Vec<String> = String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect();
        if is_in_a_line(&lines, pattern, patterns).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the pattern is found in one of the lines, with few questions where none has it.
async fn is_in_a_line(
    lines: &[String],
    pattern: &str,
    patterns: &dyn PatternEngine,
) -> Result<bool, DriverError> {
    // Only a pattern that looks at what is around it can be in a line and not in the whole.
    let looks_around =
        ["^", "$", "(?=", "(?!", "(?<", "\\A", "\\Z", "\\z"].iter().any(|sign| pattern.contains(sign));
    if !looks_around && lines.len() > 1 && !patterns.is_found(pattern, &lines.join("\n")).await? {
        return Ok(false);
    }
    for line in lines {
        if patterns.is_found(pattern, line).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
