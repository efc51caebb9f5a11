//! What is sent to the guest's bash for one exchange: a line of shell that prints a command's output in
//! tagged and counted pieces, and bytes for that line to read.
//!
//! The pieces are there because QEMU's virtconsole has no flow control: what the host has not read by the
//! time that the socket is full, QEMU drops (`flush_buf` in its hw/char/virtio-console.c). So the guest
//! sends no more at a time than a socket holds, and waits for a word before the next piece.

use std::time::Duration;

use crate::error::DriverError;

/// Bytes of a command up to which it travels in the line itself. Linux takes arguments up to 128 KiB, but
/// bash reads its input a byte at a time, and `head` does not: above some KiB another process is cheaper.
const LONGEST_ARGUMENT: usize = 8 << 10;

/// Bytes that can stand unquoted in a shell's word, besides letters and digits.
const SAFE: &[u8] = b"@%+=:,./-_";

/// Quotes one word for a shell, byte for byte as Python's `shlex.quote` does.
///
/// ```
/// assert_eq!(driver_core::quote("a b"), "'a b'");
/// assert_eq!(driver_core::quote("it's"), r#"'it'"'"'s'"#);
/// ```
#[must_use]
pub fn quote(word: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || SAFE.contains(&byte);
    if !word.is_empty() && word.bytes().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

/// Bytes of output in one piece, and the most that is on its way at any time. A Unix socket of Linux's
/// default size (208 KiB, its own bookkeeping included) holds them even in writes of 256 bytes.
pub(crate) const PIECE: usize = 64 << 10;

/// What every line ends in.
pub(crate) const END: &str = "echo \"]$t ${PIPESTATUS[0]}\"; } 9<&0\n";

/// One exchange, before it gets its tag.
#[derive(Debug)]
pub(super) struct Request {
    /// What has to be done first, with the stream to read from; ends in `; ` unless empty.
    before: String,
    /// What prints the output, and whose status counts.
    command: String,
    /// What the line reads from the stream, exactly.
    pub(super) payload: Vec<u8>,
}

impl Request {
    /// A command as upstream runs it: a new bash, `set -euo pipefail`, `timeout(1)` around it.
    pub(super) fn command(command: &str, timeout: Option<Duration>) -> Result<Self, DriverError> {
        refuse_nul(command)?;
        let timeout = timeout.map_or_else(String::new, |limit| format!("timeout {} ", limit.as_secs_f64()));
        if command.len() <= LONGEST_ARGUMENT {
            let script = quote(&format!("set -euo pipefail; {command}"));
            return Ok(Self {
                before: String::new(),
                command: format!("exec {timeout}bash -c {script} </dev/null"),
                payload: Vec::new(),
            });
        }
        // All of it is read before any of it runs, so that nothing is left to the shell when that ends
        // early.
        Ok(Self {
            before: format!("c=$(head -c {}); ", command.len()),
            command: format!(
                r#"printf "%s\n" "$c" | exec {timeout}bash -c "set -euo pipefail; . /dev/stdin""#
            ),
            payload: command.as_bytes().to_vec(),
        })
    }

    /// A piece of a file. What the guest has to say about it is the output.
    pub(super) fn upload(target: &str, mode: u32, chunk: Vec<u8>, first: bool) -> Result<Self, DriverError> {
        refuse_nul(target)?;
        let file = quote(target);
        let write = match target.rsplit_once('/') {
            _ if !first => format!("cat >>{file}"),
            Some((parent, _)) if !parent.is_empty() => {
                format!("mkdir -p -- {} && cat >{file} && chmod {mode:o} -- {file}", quote(parent))
            }
            _ => format!("cat >{file} && chmod {mode:o} -- {file}"),
        };
        Ok(Self::fed(&write, chunk))
    }

    /// A command of the shell's own language that reads `input`. What it prints on either stream is the output.
    pub(super) fn fed(command: &str, input: Vec<u8>) -> Self {
        // If it has not read everything, somebody must, or the shell would run the rest.
        let command = format!(
            "head -c {} | {{ {command}; s=$?; [ $s = 0 ] || cat >/dev/null; exit $s; }} 2>&1",
            input.len()
        );
        Self { before: String::new(), command, payload: input }
    }

    /// A file, as the output.
    pub(super) fn download(source: &str) -> Result<Self, DriverError> {
        refuse_nul(source)?;
        let command = format!("exec cat <{}", quote(source));
        Ok(Self { before: String::new(), command, payload: Vec::new() })
    }

    /// The line to send. `dd` is the one process that the frame costs, and it counts what it sends; the rest
    /// is built into bash. The tag is spelt so that a terminal which echoes the line prints none of its
    /// marks.
    ///
    /// A pipeline, because bash knows how its parts ended. Of a process substitution it can forget that:
    /// `wait` then says -1, once in some thousand times (bash 5.2).
    pub(super) fn line(&self, tag: &Tag) -> String {
        format!(
            "t={tag}; {before}{{ {{ {command}; }} 9<&- | {{ printf %s \"$t[\"; \
             while LC_ALL=C dd bs={PIECE} count=1 iflag=fullblock 2>&1; echo \"]$t?\"; \
             read -r m <&9; [ \"$m\" ]; do :; done; }}; {END}",
            tag = tag.0,
            before = self.before,
            command = self.command,
        )
    }
}

/// What the guest waits for after each piece: whether to send the next one.
pub(super) fn go_on(more: bool) -> &'static [u8] {
    if more { b"1\n" } else { b"\n" }
}

/// Refuses what would end early in the guest.
pub(crate) fn refuse_nul(text: &str) -> Result<(), DriverError> {
    if text.contains('\0') {
        return Err(DriverError::usage(format!(
            "{text:?} holds a NUL byte, which no shell command or file name can"
        )));
    }
    Ok(())
}

/// Names one exchange, and nothing else on the stream.
#[derive(Debug, Clone)]
pub(super) struct Tag(String);

impl Tag {
    pub(super) fn new(session: u64, number: u64) -> Self {
        Self(format!("innkeeper-{session:016x}-{number}"))
    }

    /// The name itself.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// What opens the reply.
    pub(super) fn begin(&self) -> Vec<u8> {
        format!("{}[", self.0).into_bytes()
    }

    /// What follows each piece, and the last of them: then `?` for a piece, or a blank, the status and the
    /// end of the line.
    pub(super) fn mark(&self) -> Vec<u8> {
        format!("]{}", self.0).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quoting_is_that_of_python() {
        for (word, quoted) in [
            ("", "''"),
            ("true", "true"),
            ("a@%+=:,./-_Z9", "a@%+=:,./-_Z9"),
            ("a b", "'a b'"),
            ("é", "'é'"),
            ("~", "'~'"),
            ("$(x)\n\"\\", "'$(x)\n\"\\'"),
            ("'", "''\"'\"''"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }
}
