//! What is sent to the guest's bash for one exchange: a line of shell that prints a tagged frame around the
//! base64 of a command's output, and bytes for that line to read.

use std::time::Duration;

use crate::error::DriverError;

/// Bytes of a command up to which it travels in the line itself. Linux takes arguments up to 128 KiB, but
/// bash reads its input a byte at a time, and `head` does not: above some KiB another process is cheaper.
const LONGEST_ARGUMENT: usize = 16 << 10;

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

/// One exchange, before it gets its tag.
#[derive(Debug)]
pub(super) struct Request {
    /// The pipeline whose output is the reply's body.
    pipeline: String,
    /// The place in the pipeline of the process whose status counts.
    counts: usize,
    /// What the pipeline reads from the stream, exactly.
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
                pipeline: format!("{timeout}bash -c {script} </dev/null"),
                counts: 0,
                payload: Vec::new(),
            });
        }
        // The first process reads all of the command before the second sees any, so that nothing of it is
        // left to the shell when that one ends early. The dot keeps newlines at the end; `shift` hides from
        // the command that it was an argument.
        let payload = format!("{command}.").into_bytes();
        let script = r#"set -- "$(cat)"; exec </dev/null; set -euo pipefail; eval "shift; ${1%.}""#;
        Ok(Self {
            pipeline: format!(
                "{{ c=$(head -c {}); printf %s \"$c\"; }} | {timeout}bash -c {}",
                payload.len(),
                quote(script)
            ),
            counts: 1,
            payload,
        })
    }

    /// A piece of a file. What the guest has to say about it is the reply's body.
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
        // Whatever becomes of the file, all of the piece must be read, or the shell would run the rest.
        Ok(Self {
            pipeline: format!("head -c {} | {{ {write}; s=$?; cat >/dev/null; exit $s; }} 2>&1", chunk.len()),
            counts: 1,
            payload: chunk,
        })
    }

    /// A file, as the reply's body.
    pub(super) fn download(source: &str) -> Result<Self, DriverError> {
        refuse_nul(source)?;
        Ok(Self { pipeline: format!("cat <{}", quote(source)), counts: 0, payload: Vec::new() })
    }

    /// The line to send. `base64` is the one process that the frame costs; the rest is built into bash.
    pub(super) fn line(&self, tag: &Tag) -> String {
        let (begin, end) = tag.words();
        format!(
            "echo {begin}; {} | base64 -w 0; echo {end} \"${{PIPESTATUS[{}]}}\"\n",
            self.pipeline, self.counts
        )
    }
}

fn refuse_nul(text: &str) -> Result<(), DriverError> {
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
        Self(format!("-{session:016x}-{number}"))
    }

    /// The two words that make `echo` print [`Tag::begin`] and [`Tag::end`], spelt so that a terminal which
    /// echoes the line does not print these itself.
    fn words(&self) -> (String, String) {
        (format!("'innkeeper''{}['", self.0), format!("']innkeeper''{}'", self.0))
    }

    /// What opens the reply.
    pub(super) fn begin(&self) -> Vec<u8> {
        format!("innkeeper{}[", self.0).into_bytes()
    }

    /// What follows the reply's body; then come the status and the end of the line.
    pub(super) fn end(&self) -> Vec<u8> {
        format!("]innkeeper{} ", self.0).into_bytes()
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
