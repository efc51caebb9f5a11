//! Typing that looks whether it arrived: what a text console echoes stands before its cursor.

use std::time::Duration;

use agent_protocol::message::Notice;

use super::picture::Picture;
use crate::agent::Nobody;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::keys::{parse_keys, translate};
use crate::node::Node;
use crate::text::python_repr;
use crate::wait::{Look, Wait};

/// The pause after each key, as for `send_chars`.
const DELAY: Duration = Duration::from_millis(10);
/// Characters that are typed before the next look. So many are shown even by a program that scrolls a long
/// line sideways.
const PIECE: usize = 20;
/// Prints what the terminal in the foreground shows.
const SHOW: &str = "cat /dev/vcsa";

impl Node {
    /// Types text on a US keyboard, as [`Node::send_chars`] does, and looks before the end of each line that
    /// what stands before the cursor of the text console in the foreground is what was typed. `timeout`: how
    /// long that may take. Nothing is typed twice.
    ///
    /// Without `verify` nobody looks: a prompt for a password echoes nothing, a program that uses the whole
    /// screen echoes elsewhere, and a desktop is no text console. What is known then is that the guest's
    /// kernel has taken each key, where the backend can know that.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when something else arrived; [`DriverError::Usage`] for characters that no
    /// US keyboard has, before anything is typed; as [`Node::send_chars`] and, with `verify`,
    /// [`Node::execute`].
    pub async fn type_text(&self, text: &str, timeout: Duration, verify: bool) -> Result<(), DriverError> {
        for character in text.chars() {
            parse_keys(&translate(character.encode_utf8(&mut [0; 4])))?;
        }
        self.step(format!("typing {}", python_repr(text)), async {
            for line in text.split_inclusive('\n') {
                match line.strip_suffix('\n') {
                    _ if !verify => self.tap(line, DELAY).await?,
                    Some(line) => {
                        self.type_line(line, timeout).await?;
                        self.tap("\n", DELAY).await?;
                    }
                    None => self.type_line(line, timeout).await?,
                }
            }
            Ok(())
        })
        .await
    }

    async fn type_line(&self, line: &str, timeout: Duration) -> Result<(), DriverError> {
        if line.is_empty() {
            return Ok(());
        }
        let mut expected = Echo::after(&self.picture().await?);
        let characters: Vec<char> = line.chars().collect();
        for piece in characters.chunks(PIECE) {
            let piece: String = piece.iter().collect();
            self.tap(&piece, DELAY).await?;
            expected.typed.push_str(&piece);
            self.arrived(&expected, Deadline::after(timeout)).await?;
        }
        Ok(())
    }

    async fn arrived(&self, expected: &Echo, deadline: Deadline) -> Result<(), DriverError> {
        let has_arrived = |notice| match notice {
            Notice::Terminal(bytes) => {
                Ok(Picture::read(&bytes).filter(|picture| expected.is_in(picture)).map(drop))
            }
            _ => Ok(None),
        };
        let watch = agent_protocol::message::Watch::Terminal { number: None };
        if self.noticed(watch, deadline, has_arrived).await?.is_some() {
            return Ok(());
        }
        let awaited = format!(
            "{} to stand before the cursor of the text console (a prompt for a password shows nothing, and a \
             desktop is no text console: see `verify`; other keys may mean another keyboard layout in the guest)",
            python_repr(&expected.typed)
        );
        Wait::by(awaited, deadline)
            .until(|_last| async move {
                let picture = self.picture().await?;
                if expected.is_in(&picture) {
                    return Ok(Look::Done(()));
                }
                Ok(Look::NotYet(python_repr(&expected.instead(&picture))))
            })
            .await
    }

    /// What the terminal in the foreground shows.
    async fn picture(&self) -> Result<Picture, DriverError> {
        let running = self.connected().await?;
        let channel = running.line.channel();
        let mut nobody = Nobody;
        let run = channel.run(SHOW, None, None, self.soon(), &mut nobody);
        let output = self.while_it_runs(&running, || format!("running `{SHOW}`"), run).await?;
        Picture::read(&output.stdout).ok_or_else(|| {
            DriverError::assertion(format!(
                "machine `{}` has no text console to look at: `{SHOW}` gives no picture (type without `verify`)",
                self.name()
            ))
        })
    }
}

/// Bytes of a text's end that are taken for it when the rest was overwritten.
const REST: usize = 3;

/// What should stand before the cursor.
#[derive(Debug)]
struct Echo {
    /// What stood there before, in the same row.
    prompt: String,
    typed: String,
    /// The time of the last message that the kernel had put on the terminal before.
    stamp: Option<Vec<u8>>,
}

impl Echo {
    fn after(picture: &Picture) -> Self {
        let stamp = picture.last_stamp().map(<[u8]>::to_vec);
        Self { prompt: picture.row_before_cursor(), typed: String::new(), stamp }
    }

    fn is_in(&self, picture: &Picture) -> bool {
        self.is_before_cursor(picture)
            || picture.after_full_row().is_some_and(|picture| self.is_before_cursor(&picture))
    }

    fn is_before_cursor(&self, picture: &Picture) -> bool {
        let (row, whole) = (picture.row_before_cursor(), format!("{}{}", self.prompt, self.typed));
        // Elsewhere, the prompt of before may have become another since: the guest may still have been busy
        // with the line before.
        let expected = if row.starts_with(&self.prompt) { &whole } else { &self.typed };
        // Of a long line the beginning, which was looked at before, may have scrolled away.
        let from = expected.len().saturating_sub(picture.half());
        let shown = picture.before_cursor();
        if expected.get(from..).is_some_and(|end| shown.ends_with(end)) {
            return true;
        }
        // GNU readline on a simple terminal shows the end of a long line, after a sign.
        let ends = shown.match_indices('<').map(|(at, sign)| &shown[at + sign.len()..]);
        if ends.filter(|end| end.len() >= PIECE).any(|end| whole.ends_with(end)) {
            return true;
        }
        // When the kernel has printed, it knows no more where its cursor is, and may overwrite a row or go back
        // to its start: the end of the text is what can be looked for.
        let is_interrupted = picture.last_stamp() != self.stamp.as_deref();
        let end = whole.get(whole.len().saturating_sub(PIECE)..).unwrap_or(&whole);
        is_interrupted && (picture.shows(end) || (row.len() >= REST && whole.ends_with(&row)))
    }

    /// What stands there instead of what was typed.
    fn instead(&self, picture: &Picture) -> String {
        let shown = picture.before_cursor();
        match shown.rfind(&self.prompt) {
            Some(at) if !self.prompt.is_empty() => shown[at + self.prompt.len()..].to_owned(),
            _ => picture.row_before_cursor(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Echo;
    use crate::node::terminal::picture::tests::picture;

    fn echo(typed: &str) -> Echo {
        Echo { typed: typed.to_owned(), ..Echo::after(&picture(&["$ ls", "$ "])) }
    }

    #[test]
    fn what_was_typed_is_found_in_its_row_over_rows_and_around_the_kernels_words() {
        assert!(echo("ls -l").is_in(&picture(&["$ ls", "$ ls -l"])));
        assert!(echo("echo 0123456789 abc").is_in(&picture(&["$ echo 0123456789 ab", "c"])));
        assert!(echo("ls").is_in(&picture(&["$ ls", "$ ", "# ls"])), "the prompt came late");
        assert!(echo("make").is_in(&picture(&["$ ma[ 1.234567] usb", "ke"])));
        let long = "echo 0123456789 abcdefghijklmnop";
        assert!(
            !echo(long).is_in(&picture(&["<9 abcdefghijklmnop"])),
            "less than was typed since the last look"
        );
        let overwritten = picture(&["$ echo 012[ 1.234567", "] usb", "3 b"]);
        assert!(echo("echo 0123456789 a 3 b").is_in(&overwritten));
        assert!(!echo("echo 0123456789 a 3 c").is_in(&overwritten));
        let single = picture(&["$ echo 012[ 1.234567", "] usb", "b"]);
        assert!(!echo("echo 0123456789 a 3 b").is_in(&single), "a letter may be anything");
        assert!(!echo("ls").is_in(&picture(&["$ ls", "$ "])), "the line above is an older one");
    }

    #[test]
    fn a_text_that_fills_its_row_is_found() {
        let full = picture(&["$ ls", "$ echo 0123456789 ab"]).back();
        assert!(echo("echo 0123456789 ab").is_in(&full));
        assert!(!echo("echo 0123456789 ac").is_in(&full));
        assert!(!echo("echo 0123456789 ab").is_in(&picture(&["$ ls", "$ echo 0123456789 a"])));
    }

    #[test]
    fn what_arrived_instead_is_told() {
        let shown = picture(&["$ ls", "$ ls -"]);
        assert!(!echo("ls -l").is_in(&shown));
        assert_eq!(echo("ls -l").instead(&shown), "ls -");
        assert_eq!(echo("secret").instead(&picture(&["$ ls", "$ "])), "");
    }
}
