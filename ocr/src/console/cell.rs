//! The pixels of one cell of a text console: two colours at most, and a pattern.

use driver_core::{Frame, Rect};
use sha2::{Digest as _, Sha256};

/// A colour: red, green and blue in the lower three bytes.
pub(crate) type Colour = u32;

/// The widest cell that is known: a row of pixels is one number.
pub(crate) const MAX_WIDTH: u32 = 32;
/// The highest cell that is known.
pub(crate) const MAX_HEIGHT: u32 = 64;

/// Pixels across and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CellSize {
    /// Pixels across, 32 at most.
    pub width: u32,
    /// Pixels down, 64 at most.
    pub height: u32,
}

impl CellSize {
    /// That size, if consoles can have it.
    pub(crate) fn new(width: u32, height: u32) -> Option<Self> {
        let fits = (4..=MAX_WIDTH).contains(&width) && (4..=MAX_HEIGHT).contains(&height);
        fits.then_some(Self { width, height })
    }

    /// Whether only the text mode of a VGA has such cells.
    pub(crate) fn is_vga(self) -> bool {
        self.width == 9
    }

    /// Where the text cursor of a VGA lies: Linux, the BIOS and GRUB put it into the same two rows.
    pub(crate) fn cursor_rows(self) -> std::ops::Range<usize> {
        let height = self.height as usize;
        if height < 10 { height - 2..height } else { height - 3..height - 1 }
    }
}

/// The rows of a glyph, from top to bottom; the leftmost pixel is the highest bit of a row's `width` bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern(pub(crate) Box<[u32]>);

/// What stands for a pattern in a font: short, the same everywhere, and it does not tell the pattern.
pub(crate) type Mark = u64;

impl Pattern {
    /// The mark of the whole pattern.
    pub(crate) fn mark(&self) -> Mark {
        let mut hasher = Sha256::new();
        for row in &self.0 {
            hasher.update(row.to_be_bytes());
        }
        let digest = hasher.finalize();
        digest.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
    }

    /// The same with the rows that a VGA's cursor covers blank.
    pub(crate) fn without_cursor(&self, size: CellSize) -> Self {
        let mut rows = self.0.clone();
        if let Some(covered) = rows.get_mut(size.cursor_rows()) {
            covered.fill(0);
        }
        Self(rows)
    }

    /// The pattern with ink and ground exchanged in the lowest `rows` rows.
    pub(crate) fn inverted(&self, size: CellSize, rows: usize) -> Self {
        let from = self.0.len().saturating_sub(rows);
        let all = u32::MAX >> (32 - size.width);
        let row = |(number, row): (usize, &u32)| if number < from { *row } else { row ^ all };
        Self(self.0.iter().enumerate().map(row).collect())
    }

    /// The pattern with ink and ground exchanged.
    pub(crate) fn negative(&self, size: CellSize) -> Self {
        self.inverted(size, self.0.len())
    }

    /// How many pixels are ink.
    pub(crate) fn ink(&self) -> u32 {
        self.0.iter().map(|row| row.count_ones()).sum()
    }

    /// Whether there is no ink at all.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(|row| *row == 0)
    }
}

/// What is in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// One colour.
    Plain(Colour),
    /// Two colours: the one of the upper left pixel, the other, and where that one is.
    Drawn(Colour, Colour, Pattern),
    /// More colours than a console puts into a cell.
    Colourful,
}

/// The pixels of a frame.
#[derive(Debug)]
pub(crate) struct Pixels<'a> {
    width: usize,
    height: usize,
    rgb: &'a [u8],
}

impl<'a> Pixels<'a> {
    pub(crate) fn new(frame: &'a Frame) -> Self {
        Self { width: frame.width() as usize, height: frame.height() as usize, rgb: frame.rgb() }
    }

    /// Whole cells of that size across and down, from the upper left corner.
    pub(crate) fn cells(&self, size: CellSize) -> (usize, usize) {
        (self.width / size.width as usize, self.height / size.height as usize)
    }

    /// Some pixels of a row, three bytes each.
    fn run(&self, x: usize, y: usize, length: usize) -> &'a [u8] {
        &self.rgb[(y * self.width + x) * 3..][..length * 3]
    }

    /// The cell in that column and row of the grid.
    pub(crate) fn content(&self, size: CellSize, column: usize, row: usize) -> Content {
        let (width, height) = (size.width as usize, size.height as usize);
        let line = |number: usize| self.run(column * width, row * height + number, width);
        let first = line(0).get(..3).unwrap_or_default();
        let other = |number: usize| line(number).chunks_exact(3).find(|pixel| *pixel != first);
        let Some(second) = (0..height).find_map(other) else {
            return Content::Plain(colour(first));
        };
        let mut rows = Vec::with_capacity(height);
        for number in 0..height {
            let mut bits = 0;
            for pixel in line(number).chunks_exact(3) {
                if pixel != first && pixel != second {
                    return Content::Colourful;
                }
                bits = bits << 1 | u32::from(pixel != first);
            }
            rows.push(bits);
        }
        Content::Drawn(colour(first), colour(second), Pattern(rows.into()))
    }

    /// Pixels that differ from others in their neighbourhood, in places that are spread over the frame: `count` at
    /// most.
    pub(crate) fn busy_places(&self, count: usize) -> Vec<(usize, usize)> {
        const SIDE: usize = 8;
        let mut places = Vec::new();
        for y in (0..self.height).step_by(SIDE) {
            let rows = SIDE.min(self.height - y);
            for x in (0..self.width).step_by(SIDE) {
                let columns = SIDE.min(self.width - x);
                let first = self.run(x, y, 1);
                // Whole runs are compared at once: there are many of them, and most have one colour.
                let mut plain = [0; SIDE * 3];
                plain.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(first));
                let differs = |row: usize| {
                    let run = self.run(x, y + row, columns);
                    if run == &plain[..columns * 3] {
                        return None;
                    }
                    let column = run.chunks_exact(3).position(|pixel| pixel != first)?;
                    Some((x + column, y + row))
                };
                places.extend((0..rows).find_map(differs));
            }
        }
        let step = places.len().div_ceil(count.max(1)).max(1);
        places.into_iter().step_by(step).collect()
    }
}

fn colour(rgb: &[u8]) -> Colour {
    rgb.iter().fold(0, |colour, part| colour << 8 | Colour::from(*part))
}

/// Where a run of cells lies in the frame.
pub(crate) fn rect_of(size: CellSize, column: usize, row: usize, columns: usize) -> Rect {
    let pixels = |cells: usize, side: u32| u32::try_from(cells).unwrap_or(u32::MAX).saturating_mul(side);
    Rect {
        x: pixels(column, size.width),
        y: pixels(row, size.height),
        width: pixels(columns, size.width),
        height: size.height,
    }
}
