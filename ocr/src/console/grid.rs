//! The characters of a console's cells, with their colours.

use driver_core::{Reading, Rect, TextLine, Word};

use super::cell::{CellSize, Colour, Pattern, rect_of};
use super::font::Font;
use super::survey::{Square, Survey};

/// What stands in a text for a cell whose glyph is not known.
pub const UNKNOWN: char = '\u{fffd}';

/// The screen of a text console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    font: String,
    size: CellSize,
    columns: usize,
    cells: Vec<Cell>,
}

/// A cell of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What it shows; `None` when that is no glyph of the font.
    pub character: Option<char>,
    /// The colour of the character: red, green and blue. Of a blank cell nobody knows it: it is that of the ground.
    pub ink: [u8; 3],
    /// The colour behind it.
    pub ground: [u8; 3],
    /// Whether the text cursor stands there.
    pub cursor: bool,
}

impl Cell {
    fn new(character: Option<char>, ink: Colour, ground: Colour) -> Self {
        let rgb = |colour: Colour| {
            let [_, red, green, blue] = colour.to_be_bytes();
            [red, green, blue]
        };
        Self { character, ink: rgb(ink), ground: rgb(ground), cursor: false }
    }
}

impl Grid {
    /// Reads the cells with that font.
    pub(crate) fn read(survey: &Survey, font: &Font) -> Self {
        let meanings: Vec<_> = survey.shapes.iter().map(|shape| shape.meanings(font)).collect();
        let mut cells: Vec<Cell> = Vec::with_capacity(survey.cells.len());
        let mut unclear = Vec::new();
        for (number, square) in survey.cells.iter().enumerate() {
            let cell = match *square {
                Square::Plain(colour) => Cell::new(Some(' '), colour, colour),
                Square::Colourful => Cell::new(None, 0, 0),
                Square::Drawn(first, second, shape) => {
                    let positive = |character| Cell::new(character, second, first);
                    let negative = |character| Cell::new(character, first, second);
                    match meanings[shape] {
                        (None, None) => {
                            unclear.push(number);
                            positive(None)
                        }
                        (Some(_), None) => positive(meanings[shape].0),
                        (None, Some(_)) => negative(meanings[shape].1),
                        (Some(_), Some(_)) => {
                            let pattern = &survey.shapes[shape].pattern;
                            let twins = [positive(meanings[shape].0), negative(meanings[shape].1)];
                            let left = if number % survey.columns == 0 { None } else { cells.last() };
                            choose(twins, left, pattern, survey.size)
                        }
                    }
                }
            };
            cells.push(cell);
        }
        mark_cursor(survey, font, &unclear, &mut cells);
        Self { font: font.name().to_owned(), size: survey.size, columns: survey.columns, cells }
    }

    /// The name of the font.
    #[must_use]
    pub fn font(&self) -> &str {
        &self.font
    }

    /// The size of a cell.
    #[must_use]
    pub fn size(&self) -> CellSize {
        self.size
    }

    /// The rows from top to bottom, each with its cells from left to right.
    pub fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.columns.max(1))
    }

    /// The text with its columns: a row is a line, without the blanks at its end.
    #[must_use]
    pub fn text(&self) -> String {
        let row = |cells: &[Cell]| {
            let row: String = cells.iter().map(|cell| cell.character.unwrap_or(UNKNOWN)).collect();
            row.trim_end_matches(' ').to_owned() + "\n"
        };
        self.rows().map(row).collect()
    }

    /// The text as words in lines. Rows without text are left out.
    #[must_use]
    pub fn reading(&self, engine: &str) -> Reading {
        let lines = self.rows().enumerate().map(|(row, cells)| self.line(row, cells));
        Reading { engine: engine.to_owned(), lines: lines.filter(|line| !line.words.is_empty()).collect() }
    }

    fn line(&self, row: usize, cells: &[Cell]) -> TextLine {
        let mut words = Vec::new();
        let mut column = 0;
        for run in cells.split(|cell| cell.character == Some(' ')) {
            if !run.is_empty() {
                words.push(word(run, rect_of(self.size, column, row, run.len())));
            }
            column += run.len() + 1;
        }
        TextLine { words }
    }

    /// Whether this is a console at all. `false` where so little of what is drawn is text that chance or a picture may
    /// have made it.
    pub(crate) fn is_console(&self) -> bool {
        let drawn = self.cells.iter().filter(|cell| cell.character != Some(' '));
        let (known, unknown): (Vec<_>, Vec<_>) = drawn.partition(|cell| cell.character.is_some());
        // Lines and dots are on every screen, and they are the same in all fonts.
        let telling = |cell: &&Cell| {
            cell.character
                .filter(|character| character.is_ascii_graphic() && !"-_|.,:;'`\"=".contains(*character))
        };
        let mut telling: Vec<_> = known.iter().filter_map(telling).collect();
        telling.sort_unstable();
        telling.dedup();
        let enough = if unknown.is_empty() { 1 } else { 3 };
        known.len() >= unknown.len() && telling.len() >= enough
    }

    /// How many cells show something that is no glyph of the font.
    #[must_use]
    pub fn unknown_cells(&self) -> usize {
        self.cells.iter().filter(|cell| cell.character.is_none()).count()
    }
}

fn word(cells: &[Cell], rect: Rect) -> Word {
    let known = cells.iter().all(|cell| cell.character.is_some());
    Word {
        text: cells.iter().map(|cell| cell.character.unwrap_or(UNKNOWN)).collect(),
        rect: Some(rect),
        confidence: Some(if known { 1.0 } else { 0.0 }),
    }
}

/// Which of two glyphs a cell shows that are each other's negatives: the one on the ground of its left neighbour, else
/// the one with less ink.
fn choose([one, other]: [Cell; 2], left: Option<&Cell>, pattern: &Pattern, size: CellSize) -> Cell {
    if let Some(left) = left
        && (left.ground == one.ground) != (left.ground == other.ground)
    {
        return if left.ground == one.ground { one } else { other };
    }
    if pattern.ink() * 2 <= size.width * size.height { one } else { other }
}

/// Finds the one cell under the text cursor among those that show no glyph.
fn mark_cursor(survey: &Survey, font: &Font, unclear: &[usize], cells: &mut [Cell]) {
    let mut found = None;
    for &number in unclear {
        let Square::Drawn(first, second, shape) = survey.cells[number] else { continue };
        let pattern = &survey.shapes[shape].pattern;
        let character = under_cursor(pattern, survey.size, font).map(|character| (character, second, first));
        let negative = || {
            let pattern = pattern.negative(survey.size);
            under_cursor(&pattern, survey.size, font).map(|character| (character, first, second))
        };
        if let Some(under) = character.or_else(negative)
            && found.replace((number, under)).is_some()
        {
            // A screen has one cursor: these are something else.
            return;
        }
    }
    if let Some((number, (character, ink, ground))) = found {
        cells[number] = Cell { cursor: true, ..Cell::new(Some(character), ink, ground) };
    }
}

/// The character in a cell with a cursor, if the pattern is one.
fn under_cursor(pattern: &Pattern, size: CellSize, font: &Font) -> Option<char> {
    let height = size.height as usize;
    // Linux's framebuffer console exchanges ink and ground in the cursor's rows.
    for rows in [if height < 10 { 1 } else { 2 }, height / 3, height / 2, height * 2 / 3] {
        let without = pattern.inverted(size, rows);
        if without.is_blank() {
            return Some(' ');
        }
        if let Some(character) = font.find(without.mark()) {
            return Some(character);
        }
    }
    // A VGA's text mode paints over them.
    if !size.is_vga() {
        return None;
    }
    let all = u32::MAX >> (32 - size.width);
    let is_painted = pattern.0.get(size.cursor_rows())?.iter().all(|row| *row == all);
    is_painted.then(|| font.find_covered(pattern.without_cursor(size).mark())).flatten()
}
