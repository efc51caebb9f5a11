//! What a virtual terminal shows, as `/dev/vcsa` has it.

use crate::node::console::plain::stamp;

/// A terminal's cells and its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    columns: usize,
    /// Cells before the cursor.
    cursor: usize,
    cells: Vec<u8>,
}

impl Picture {
    /// Reads rows, columns, column and row of the cursor, and then a character and its colours for each cell.
    /// `None` for what is no such thing.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let ([_rows, columns, x, y], cells) = bytes.split_first_chunk()?;
        let [columns, x, y] = [*columns, *x, *y].map(usize::from);
        let cells: Vec<u8> = cells.chunks_exact(2).map(|cell| cell[0]).collect();
        let cursor = y * columns + x;
        (columns > 0 && !cells.is_empty() && cursor <= cells.len()).then_some(Self { columns, cursor, cells })
    }

    /// What rows show, each on a line of its own, as `fold` gives them. `None` for no rows.
    pub(super) fn of_rows(text: &str) -> Option<Self> {
        let columns = text.lines().next()?.chars().count();
        // What is no ASCII is replaced anyway.
        let cells: Vec<u8> =
            text.lines().flat_map(str::chars).map(|c| u8::try_from(c).unwrap_or(0xff)).collect();
        (columns > 0).then_some(Self { columns, cursor: 0, cells })
    }

    /// The rows, each on a line of its own, as `fold` gives them.
    pub(super) fn text(&self) -> String {
        let rows: Vec<_> = self.cells.chunks(self.columns).map(String::from_utf8_lossy).collect();
        rows.join("\n")
    }

    /// The rows without the messages of the kernel: the row in which one begins goes on after it.
    pub(super) fn text_without_kernel(&self) -> String {
        self.without_kernel(self.cells.len(), "\n")
    }

    /// All before the cursor in one line, without the messages of the kernel.
    pub(super) fn before_cursor(&self) -> String {
        self.without_kernel(self.cursor, "")
    }

    /// Whether a text is there, without the messages of the kernel, wherever the cursor is.
    pub(super) fn shows(&self, text: &str) -> bool {
        self.without_kernel(self.cells.len(), "").contains(text)
    }

    /// The time of the kernel's last message.
    pub(super) fn last_stamp(&self) -> Option<&[u8]> {
        let mut last = None;
        let mut at = 0;
        while let Some(found) = stamp(&self.cells[at..]) {
            last = Some(&self.cells[at + found.start..at + found.end]);
            at += found.end;
        }
        last
    }

    /// What stands before the cursor in its row.
    pub(super) fn row_before_cursor(&self) -> String {
        let start = self.cursor - self.cursor % self.columns;
        self.cells[start..self.cursor].iter().copied().map(character).collect()
    }

    /// The same with the cursor after its row, where it stands on the last character of a full row: a terminal goes
    /// on to the next row only with the character that comes next. `None` elsewhere.
    pub(super) fn after_full_row(&self) -> Option<Self> {
        let is_last = (self.cursor + 1).is_multiple_of(self.columns);
        let is_written = self.cells.get(self.cursor).is_some_and(|cell| !matches!(cell, b' ' | 0));
        (is_last && is_written).then(|| Self { cursor: self.cursor + 1, ..self.clone() })
    }

    /// How much of a text the terminal can show in half of its rows.
    pub(super) fn half(&self) -> usize {
        self.cells.len() / 2
    }

    fn without_kernel(&self, end: usize, between_rows: &str) -> String {
        let cells = &self.cells[..end];
        let (mut text, mut at) = (String::new(), 0);
        while at < end {
            let message = stamp(&cells[at..]).map(|found| at + found.start..at + found.end);
            let until = message.as_ref().map_or(end, |message| message.start);
            for (cell, index) in cells[at..until].iter().zip(at..) {
                text.push(character(*cell));
                if (index + 1) % self.columns == 0 {
                    text.push_str(between_rows);
                }
            }
            at = message.map_or(end, |message| self.end_of_message(message.end));
        }
        text
    }

    /// The end of the message of which `at` is a place. One that fills its row goes on in the next one.
    fn end_of_message(&self, at: usize) -> usize {
        let mut end = at.next_multiple_of(self.columns);
        while end < self.cells.len() && !matches!(self.cells[end - 1], b' ' | 0) {
            end += self.columns;
        }
        end
    }
}

/// What a cell shows, where that is the same in all fonts: a cell is one character, never a part of one.
fn character(cell: u8) -> char {
    if cell.is_ascii() { char::from(cell) } else { char::REPLACEMENT_CHARACTER }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Picture;

    /// A picture of 20 columns with its cursor after the last row.
    pub(in crate::node::terminal) fn picture(rows: &[&str]) -> Picture {
        let x = rows.last().map_or(0, |row| row.len());
        let mut bytes: Vec<u8> = [rows.len() + 1, 20, x, rows.len() - 1].map(|n| n as u8).to_vec();
        for row in rows.iter().chain([&""]) {
            bytes.extend(format!("{row:20}").bytes().flat_map(|cell| [cell, 7]));
        }
        Picture::read(&bytes).expect("a picture")
    }

    impl Picture {
        /// With the cursor one character to the left.
        pub(in crate::node::terminal) fn back(mut self) -> Self {
            self.cursor -= 1;
            self
        }
    }

    #[test]
    fn a_picture_is_read_and_nonsense_is_none() {
        let picture = picture(&["$ ls", "$ "]);
        assert_eq!(picture.text(), format!("{:20}\n{:20}\n{:20}", "$ ls", "$ ", ""));
        assert_eq!(picture.before_cursor(), format!("{:20}$ ", "$ ls"));
        assert_eq!(picture.row_before_cursor(), "$ ");
        for nonsense in [&b""[..], b"\x19", b"\x19\0\0\0aaaa", b"\x01\x02\xff\xffaaaa"] {
            assert_eq!(Picture::read(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_message_of_the_kernel_in_the_middle_is_left_out_however_long_it_is() {
        let picture = picture(&["login: r[ 1.234567] ", "oot", "# ec[ 12.345678] a l", "ong message", "ho"]);
        assert_eq!(picture.last_stamp(), Some(&b"[ 12.345678]"[..]));
        assert!(picture.before_cursor().ends_with("echo"), "{:?}", picture.before_cursor());
        let rows = Picture::of_rows(&picture.text()).expect("rows");
        assert_eq!(rows.text_without_kernel(), picture.text_without_kernel());
    }
}
