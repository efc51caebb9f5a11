//! Learns a font from a guest that shows known text: frames, and what the guest says stands in their cells.

use std::collections::{BTreeMap, HashMap};

use driver_core::Frame;

use super::cell::{CellSize, Content, Pattern, Pixels};
use super::font::{Font, rank};

/// A frame of a guest's console, and what is in its cells.
#[derive(Debug)]
pub struct Lesson {
    /// What the screen shows.
    pub frame: Frame,
    /// Cells in a row.
    pub columns: usize,
    /// The characters, row by row, as the guest's `/dev/vcsu` tells them. `None` for cells of which nothing shall be
    /// learnt: those under the cursor, and those whose character the guest's font lacks.
    pub cells: Vec<Option<char>>,
}

/// Learns the font of these frames. A character counts when it looks the same in most of the places where it stands.
///
/// # Errors
/// When the frames are no console's, or the cells are not the frames'.
pub fn learn(name: &str, lessons: &[Lesson]) -> Result<Font, String> {
    let mut size = None;
    let mut votes: HashMap<char, HashMap<Pattern, usize>> = HashMap::new();
    for lesson in lessons {
        let found = cell_size(lesson)?;
        if *size.get_or_insert(found) != found {
            return Err("the frames have cells of different sizes".to_owned());
        }
        for (character, pattern) in sightings(lesson, found) {
            *votes.entry(character).or_default().entry(pattern).or_default() += 1;
        }
    }
    let size = size.ok_or("there is no frame to learn from")?;
    let mut font = Font::new(name, size);
    let mut by_rank = BTreeMap::new();
    for (character, patterns) in votes {
        let all: usize = patterns.values().sum();
        by_rank.extend(
            patterns
                .into_iter()
                .find(|(_, count)| count * 2 > all)
                .map(|(pattern, _)| (rank(character), (character, pattern))),
        );
    }
    if by_rank.is_empty() {
        return Err("the frames do not show what the guest says: no glyph is certain".to_owned());
    }
    by_rank.into_values().for_each(|(character, pattern)| font.add(character, &pattern));
    Ok(font.finished())
}

fn cell_size(lesson: &Lesson) -> Result<CellSize, String> {
    let rows = lesson.cells.len() / lesson.columns.max(1);
    let (width, height) = (lesson.frame.width() as usize, lesson.frame.height() as usize);
    let side = |pixels: usize, cells: usize| u32::try_from(pixels.checked_div(cells)?).ok();
    let size = side(width, lesson.columns).zip(side(height, rows));
    size.and_then(|(width, height)| CellSize::new(width, height)).ok_or_else(|| {
        format!(
            "a frame of {width}x{height} pixels is no console of {} columns and {rows} rows",
            lesson.columns
        )
    })
}

/// The characters of a lesson and how they look there.
fn sightings(lesson: &Lesson, size: CellSize) -> Vec<(char, Pattern)> {
    let pixels = Pixels::new(&lesson.frame);
    let content = |number: usize| pixels.content(size, number % lesson.columns, number / lesson.columns);
    let blank = |(number, cell): (usize, &Option<char>)| match (cell, content(number)) {
        (Some(' '), Content::Plain(colour)) => Some(colour),
        _ => None,
    };
    let Some(ground) = lesson.cells.iter().enumerate().find_map(blank) else { return Vec::new() };
    let mut seen = Vec::new();
    for (number, cell) in lesson.cells.iter().enumerate() {
        let Some(character) = cell.filter(|character| *character != ' ') else { continue };
        match content(number) {
            Content::Drawn(first, _, pattern) if first == ground => seen.push((character, pattern)),
            Content::Drawn(_, second, pattern) if second == ground => {
                seen.push((character, pattern.negative(size)))
            }
            _ => {}
        }
    }
    seen
}
