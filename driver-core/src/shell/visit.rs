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

/// What says that all of a visit is gone, where `v` is its tag.
const GONE: &str = "echo \"$v[]$v 0\"";

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
    /// A session of its own, so that all of it can be killed, and those below it, where a shell with a terminal of its
    /// own is. Who types to a shell that has ended must not end the one that passes it on.
    pub(super) fn line(&self, tag: &Tag) -> String {
        let visit = quote(&format!("({}); printf %s \"$0[\"", self.command));
        format!(
            "v={tag}; {{ exec 8> >(exec 9<&-; exec $(type -P setsid) bash -c {visit} \"$v\"); p=$!; \
             (trap '' PIPE; while IFS= read -r x <&9 && [ \"$x\" ]; do printf \"$x\"; done >&8 2>/dev/null); \
             exec 8>&-; {{ s=$(pgrep -d, -P $(pgrep -d, -s $p)); kill -9 -- -$p || kill -9 $p; wait $p; \
             for x in 1 2 3 4 5; do pkill -9 -s $s || break; done; }} 2>/dev/null; {GONE}; }} 9<&0\n",
            tag = tag.text(),
        )
    }
}

/// What has the guest end a visit, and say once more that it is gone. The first line is for the loop of a visit that
/// goes on, and the second for the shell behind it.
pub(super) fn reminder(tag: &Tag) -> String {
    format!("\nv={}; {GONE}\n", tag.text())
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
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    use super::{CHUNK, typed};
    use crate::shell::{GREETING, Shell};

    #[test]
    fn what_is_typed_is_one_line_that_is_not_empty_and_not_too_long() {
        assert_eq!(typed(b"a%\n\0\xff"), "\\141\\045\\012\\000\\377\n");
        assert!(typed(&[0; CHUNK]).len() < 4096);
    }

    /// A shell that is up, and its guest's end.
    async fn shell() -> (Shell, BufReader<DuplexStream>) {
        let (mut guest, host) = duplex(1 << 10);
        guest.write_all(format!("{GREETING}\n").as_bytes()).await.unwrap();
        (Shell::open("server", Box::new(host), |_| {}), BufReader::new(guest))
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_does_not_say_that_a_visit_is_gone_is_asked_again_and_given_up_in_the_end() {
        let (shell, mut guest) = shell().await;
        let answers = async {
            let mut heard = String::new();
            // The visit's line, its end, and the two lines of the first reminder.
            for _ in 0..4 {
                guest.read_line(&mut heard).await.unwrap();
            }
            let tag = heard.strip_prefix("v=").and_then(|rest| rest.split_once(';')).unwrap().0;
            assert!(heard.ends_with(&format!("\n\n\nv={tag}; echo \"$v[]$v 0\"\n")), "{heard}");
            guest.write_all(format!("{tag}[]{tag} 0\n").as_bytes()).await.unwrap();
        };
        let visited = async { tokio::join!(shell.visit("true", duplex(1).0), answers).0 };
        timeout(Duration::from_secs(6000), visited).await.expect("it is asked").unwrap();

        let began = Instant::now();
        let ignores = async { while guest.read_line(&mut String::new()).await.unwrap() > 0 {} };
        let problem = tokio::select! {
            visited = shell.visit("true", duplex(1).0) => visited.unwrap_err().to_string(),
            () = ignores => unreachable!(),
        };
        assert!(problem.contains("did not say that the shell of a visitor is gone"), "{problem}");
        assert!((50..70).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn neither_a_visitor_nor_a_guest_that_does_not_read_hides_a_reset() {
        for is_visitor_slow in [true, false] {
            let (shell, mut guest) = shell().await;
            let (mut visitor, terminal) = duplex(16);
            let stuck = async {
                guest.read_line(&mut String::new()).await.unwrap();
                let slow = Duration::from_secs(600);
                let flood = vec![b'x'; 8 << 20];
                if is_visitor_slow {
                    timeout(slow, guest.write_all(&flood)).await.unwrap_err();
                } else {
                    timeout(slow, visitor.write_all(&flood)).await.unwrap_err();
                }
                shell.reset();
            };
            let visit = timeout(Duration::from_secs(6000), shell.visit("true", terminal));
            let (visited, ()) = tokio::join!(visit, stuck);
            let problem = visited.expect("it ends").unwrap_err().to_string();
            assert!(problem.contains("was reset"), "{problem}");
        }
    }
}
