//! Somebody at a guest's plain shell: a shell of their own, a child of it, on the same stream. What is typed goes there
//! in lines of an encoding that nothing else is taken for, so that an empty line ends it, whatever runs in it.

use std::fmt::Write as _;

use tokio::io::{AsyncWriteExt as _, copy, duplex, split};

use super::actor::{Answer, Message};
use super::request::{Tag, quote};
use super::{Shell, state};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::GuestStream;

/// Bytes that are typed or shown at once. Encoded, a line of a terminal holds them (N_TTY_BUF_SIZE in Linux is 4096).
pub(super) const CHUNK: usize = 512;

/// What messages call a visit.
const WHAT: &str = "a shell that somebody is at";

/// The line that ends a visit.
pub(super) const LEAVE: &[u8] = b"\n";

/// A visit that is to be.
#[derive(Debug)]
pub(super) struct Visit {
    command: String,
    /// The terminal. It is closed to say that the visit is over.
    pub(super) terminal: Box<dyn GuestStream>,
}

impl Visit {
    /// The line to send. The guest says the beginning of its reply when the visitor's shell has ended, and all of it
    /// when that and what ran in it is gone.
    ///
    /// A session of its own, so that all of it can be killed; what has a terminal of its own hears of that by its
    /// terminal's end. Who types to a shell that has ended must not end the one that passes it on.
    pub(super) fn line(&self, tag: &Tag) -> String {
        let visit = quote(&format!("({}); printf %s \"$0[\"", self.command));
        format!(
            "v={tag}; {{ exec 8> >(exec 9<&-; exec $(type -P setsid) bash -c {visit} \"$v\"); p=$!; \
             (trap '' PIPE; while IFS= read -r x <&9 && [ \"$x\" ]; do printf \"$x\"; done >&8 2>/dev/null); \
             exec 8>&-; {{ kill -9 -- -$p || kill -9 $p; wait $p; }} 2>/dev/null; echo \"$v[]$v 0\"; }} 9<&0\n",
            tag = tag.text(),
        )
    }
}

/// What is typed, as the guest's `printf` takes it.
pub(super) fn typed(bytes: &[u8]) -> String {
    let mut line = bytes.iter().fold(String::new(), |mut line, byte| {
        // Writing to a string cannot fail.
        let _ = write!(line, "\\{byte:03o}");
        line
    });
    line.push('\n');
    line
}

impl Shell {
    /// Gives `terminal` a shell that `command` is, until that ends or the terminal is closed; then all that runs in it
    /// is killed. Commands wait meanwhile.
    ///
    /// # Errors
    /// [`DriverError::Shell`] when the shell is gone, or the guest reboots.
    pub(crate) async fn visit(&self, command: &str, terminal: impl GuestStream) -> Result<(), DriverError> {
        let (mut from, mut to) = split(terminal);
        if let Some(command) = self.busy_with() {
            let told =
                format!("(the shell is busy with `{}`, and is waited for)\r\n", state::brief(&command));
            // One that is gone is noticed below.
            let _ = to.write_all(told.as_bytes()).await;
        }
        let (near, far) = duplex(CHUNK);
        let visit = Visit { command: command.to_owned(), terminal: Box::new(far) };
        let mut call = self.ask(WHAT, Message::Visit(visit), Deadline::far());
        let (mut shown, mut keys) = split(near);
        // When it is over, the terminal is closed on both sides.
        let talk = async move {
            let typing = async {
                let _ = copy(&mut from, &mut keys).await;
                let _ = keys.shutdown().await;
                std::future::pending().await
            };
            // What cannot be shown any more is no failure of the guest's.
            tokio::select! {
                _ = copy(&mut shown, &mut to) => Ok(()),
                () = typing => Ok(()),
            }
        };
        let serve = async {
            while !matches!(call.next().await?, Answer::Status(_)) {}
            Ok(())
        };
        tokio::try_join!(talk, serve).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, typed};

    #[test]
    fn what_is_typed_is_one_line_that_is_not_empty_and_not_too_long() {
        assert_eq!(typed(b"a%\n\0\xff"), "\\141\\045\\012\\000\\377\n");
        assert!(typed(&[0; CHUNK]).len() < 4096);
    }
}
