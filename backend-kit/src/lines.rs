//! Lines out of a stream of bytes, bounded.

/// Cuts bytes into lines. What goes beyond the limit of a line is dropped.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    partial: Vec<u8>,
}

impl Lines {
    /// For lines of at most `limit` bytes.
    pub fn of_at_most(limit: usize) -> Self {
        Self { limit, partial: Vec::new() }
    }

    /// Takes some bytes and returns the lines that they complete, empty ones left out.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = self.limit.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// Returns the line that has no end yet.
    pub fn finish(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).trim_end().to_owned();
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_are_put_together_from_pieces_and_bounded() {
        let mut lines = Lines::of_at_most(8);
        assert_eq!(lines.push(b"on"), [""; 0]);
        assert_eq!(lines.push(b"e\r\n\ntwo\nthr"), ["one", "two"]);
        assert_eq!(lines.finish().as_deref(), Some("thr"));
        assert_eq!(lines.finish(), None);
        assert_eq!(lines.push(b"0123456"), [""; 0]);
        assert_eq!(lines.push(b"789abc\nnext\n"), ["01234567", "next"]);
    }
}
