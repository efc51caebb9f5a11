//! A frame cut into cells of one size: what is in each, and each pattern once.

use std::collections::HashMap;

use super::cell::{CellSize, Colour, Content, Mark, Pattern, Pixels};
use super::font::Font;

/// The cells of a frame, row by row.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) size: CellSize,
    pub(crate) columns: usize,
    pub(crate) cells: Vec<Square>,
    pub(crate) shapes: Vec<Shape>,
}

/// What is in a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Square {
    Plain(Colour),
    /// The colour of the upper left pixel, the other one, and which of the shapes the other one draws.
    Drawn(Colour, Colour, usize),
    Colourful,
}

/// A pattern and its marks.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) pattern: Pattern,
    mark: Mark,
    negative: Mark,
}

impl Shape {
    fn new(pattern: Pattern, size: CellSize) -> Self {
        let (mark, negative) = (pattern.mark(), pattern.negative(size).mark());
        Self { pattern, mark, negative }
    }

    /// What it says in that font: with the pattern as ink, and with the pattern as ground.
    pub(crate) fn meanings(&self, font: &Font) -> (Option<char>, Option<char>) {
        (font.find(self.mark), font.find(self.negative))
    }

    fn is_known(&self, font: &Font) -> bool {
        matches!(self.meanings(font), (Some(_), _) | (_, Some(_)))
    }
}

impl Survey {
    pub(crate) fn new(pixels: &Pixels<'_>, size: CellSize) -> Self {
        let (columns, rows) = pixels.cells(size);
        let mut numbers = HashMap::new();
        let mut shapes = Vec::new();
        let mut cells = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                cells.push(match pixels.content(size, column, row) {
                    Content::Plain(colour) => Square::Plain(colour),
                    Content::Colourful => Square::Colourful,
                    Content::Drawn(first, second, pattern) => {
                        let number = *numbers.entry(pattern).or_insert_with_key(|pattern: &Pattern| {
                            shapes.push(Shape::new(pattern.clone(), size));
                            shapes.len() - 1
                        });
                        Square::Drawn(first, second, number)
                    }
                });
            }
        }
        Self { size, columns, cells, shapes }
    }

    /// How many cells show a glyph of that font.
    pub(crate) fn known_cells(&self, font: &Font) -> usize {
        let known: Vec<_> = self.shapes.iter().map(|shape| shape.is_known(font)).collect();
        let is_known = |cell: &&Square| matches!(cell, Square::Drawn(_, _, shape) if known[*shape]);
        self.cells.iter().filter(is_known).count()
    }
}

/// Which share of the cells at those places show a glyph of any of these fonts, which have that size of cell.
pub(crate) fn share(pixels: &Pixels<'_>, size: CellSize, places: &[(usize, usize)], fonts: &[&Font]) -> f32 {
    let (columns, rows) = pixels.cells(size);
    let (mut looked_at, mut known) = (0_u16, 0_u16);
    for &(x, y) in places {
        let (column, row) = (x / size.width as usize, y / size.height as usize);
        if column >= columns || row >= rows {
            continue;
        }
        match pixels.content(size, column, row) {
            // What was seen there belongs to the cell beside it.
            Content::Plain(_) => continue,
            Content::Colourful => {}
            Content::Drawn(_, _, pattern) => {
                let shape = Shape::new(pattern, size);
                known += u16::from(fonts.iter().any(|font| shape.is_known(font)));
            }
        }
        looked_at += 1;
    }
    if looked_at == 0 { 0.0 } else { f32::from(known) / f32::from(looked_at) }
}
