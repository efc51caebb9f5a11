//! A terminal that leaves the cursor behind the last word of the live area.
//!
//! indicatif fills each line with blanks up to the terminal's edge, also the last one. What a person types
//! then, such as the `^C` that the terminal echoes, falls on a line of its own, and a line of the area stays
//! behind.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::TermLike;

/// Writes to the terminal inside, but no blanks at the end of all.
#[derive(Debug)]
pub(crate) struct Unfilled<T> {
    terminal: T,
    /// Blanks that are written as soon as something follows them.
    pending: AtomicUsize,
}

impl<T> Unfilled<T> {
    pub(crate) fn new(terminal: T) -> Self {
        Self { terminal, pending: AtomicUsize::new(0) }
    }
}

impl<T: TermLike> TermLike for Unfilled<T> {
    fn width(&self) -> u16 {
        self.terminal.width()
    }

    fn height(&self) -> u16 {
        self.terminal.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.terminal.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| byte == b' ') {
            self.pending.fetch_add(text.len(), Ordering::Relaxed);
            return Ok(());
        }
        let blanks = " ".repeat(self.pending.swap(0, Ordering::Relaxed));
        self.terminal.write_str(&(blanks + text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.terminal.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.pending.store(0, Ordering::Relaxed);
        self.terminal.flush()
    }
}
