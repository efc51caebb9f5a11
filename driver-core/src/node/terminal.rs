//! The guest's virtual terminals: what they show, and typing that looks whether it arrived.

mod picture;
mod typing;

use std::time::Duration;

use agent_protocol::message::{Notice, Watch};

use super::Node;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::pattern::PatternEngine;
use crate::wait::{Look, Wait};

use picture::Picture;

/// How long one look at a terminal may take: NixOS's default for commands.
const COMMAND_LIMIT: Duration = Duration::from_secs(900);

impl Node {
    /// What a virtual terminal shows, in lines.
    ///
    /// # Errors
    /// As [`Node::execute`].
    pub async fn get_tty_text(&self, tty: &str) -> Result<String, DriverError> {
        let command = format!("fold -w$(stty -F /dev/tty{tty} size | awk '{{print $2}}') /dev/vcs{tty}");
        Ok(self.execute(&command, Some(COMMAND_LIMIT)).await?.1)
    }

    /// Waits until `pattern` is found in what a virtual terminal shows: as it is, or without the messages
    /// that the kernel has put in its middle.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; as [`Node::execute`].
    pub async fn wait_until_tty_matches(
        &self,
        tty: &str,
        pattern: &str,
        timeout: Duration,
        patterns: &dyn PatternEngine,
    ) -> Result<(), DriverError> {
        let deadline = Deadline::after(timeout);
        self.wait_step(format!("waiting for {pattern} to appear on tty {tty}"), timeout, async {
            if let Ok(number) = tty.parse()
                && self.tty_tells(number, pattern, deadline, patterns).await?
            {
                return Ok(());
            }
            Wait::by(format!("/{pattern}/ on tty {tty}"), deadline)
                .until(|last| self.look_at_tty(tty, pattern, patterns, last))
                .await
        })
        .await
    }

    /// Waits for the pattern as the guest tells of changes. False when it tells nothing, or no more in time.
    async fn tty_tells(
        &self,
        number: u32,
        pattern: &str,
        deadline: Deadline,
        patterns: &dyn PatternEngine,
    ) -> Result<bool, DriverError> {
        let mut seen = None;
        while let Some(picture) = self.picture_other_than(seen.as_ref(), Some(number), deadline).await? {
            let (text, meant) = (picture.text(), picture.text_without_kernel());
            if is_in_either(pattern, &text, Some(&meant), patterns).await? {
                return Ok(true);
            }
            seen = Some(picture);
        }
        Ok(false)
    }

    async fn look_at_tty(
        &self,
        tty: &str,
        pattern: &str,
        patterns: &dyn PatternEngine,
        last: bool,
    ) -> Result<Look<()>, DriverError> {
        let text = self.get_tty_text(tty).await?;
        if last {
            self.log(format!(
                "Last chance to match /{pattern}/ on TTY{tty}, which currently contains: {text}"
            ));
        }
        let meant = Picture::of_rows(&text).map(|picture| picture.text_without_kernel());
        if is_in_either(pattern, &text, meant.as_deref(), patterns).await? {
            return Ok(Look::Done(()));
        }
        Ok(Look::NotYet(format!("`{}`", super::command::excerpt(text.trim_end()))))
    }

    /// Puts what a virtual terminal shows into the guest's journal.
    ///
    /// # Errors
    /// As [`Node::execute`].
    pub async fn dump_tty_contents(&self, tty: &str) -> Result<(), DriverError> {
        let command = format!("fold -w 80 /dev/vcs{tty} | systemd-cat");
        self.execute(&command, Some(COMMAND_LIMIT)).await.map(drop)
    }

    /// What a terminal shows as soon as that is something else than `seen`. `None` when the guest tells
    /// nothing by itself, or the time is over.
    async fn picture_other_than(
        &self,
        seen: Option<&Picture>,
        number: Option<u32>,
        deadline: Deadline,
    ) -> Result<Option<Picture>, DriverError> {
        let changed = |notice| match notice {
            Notice::Terminal(bytes) => Ok(Picture::read(&bytes).filter(|picture| Some(picture) != seen)),
            _ => Ok(None),
        };
        self.noticed(Watch::Terminal { number }, deadline, changed).await
    }
}

/// Whether the pattern is found in what is shown, or in what was meant to be.
async fn is_in_either(
    pattern: &str,
    text: &str,
    meant: Option<&str>,
    patterns: &dyn PatternEngine,
) -> Result<bool, DriverError> {
    if patterns.is_found(pattern, text).await? {
        return Ok(true);
    }
    match meant.filter(|meant| *meant != text) {
        Some(meant) => patterns.is_found(pattern, meant).await,
        None => Ok(false),
    }
}
