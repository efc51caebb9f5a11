//! Lines of bounded length from a byte stream.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// Reads lines. A call that is dropped in the middle loses nothing.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    limit: usize,
}

/// A line, or as much of it as the limit allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The bytes, without the line's end.
    pub(crate) bytes: Vec<u8>,
    /// Whether the line is longer than the limit; its rest comes as further lines.
    pub(crate) cut: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), limit }
    }

    /// The next line; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        // What has been read is in `self.line` already when this future is dropped, and stays there.
        let room = u64::try_from(self.limit - self.line.len()).unwrap_or(u64::MAX);
        (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
        let mut bytes = std::mem::take(&mut self.line);
        if bytes.is_empty() {
            return Ok(None);
        }
        let ended = bytes.pop_if(|last| *last == b'\n').is_some();
        let cut = !ended && bytes.len() == self.limit;
        Ok(Some(Line { bytes, cut }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};

    #[tokio::test]
    async fn long_lines_come_in_pieces_and_the_last_one_needs_no_end() {
        let mut lines = Lines::new(&b"ab\n\nlonger\nend"[..], 4);
        let mut seen = Vec::new();
        while let Some(Line { bytes, cut }) = lines.next().await.unwrap() {
            seen.push((String::from_utf8(bytes).unwrap(), cut));
        }
        let expected = [("ab", false), ("", false), ("long", true), ("er", false), ("end", false)];
        assert_eq!(seen, expected.map(|(text, cut)| (text.to_owned(), cut)));
    }
}
