//! Glyph packs: fonts in a file of our own, which names a mark for each character and holds no pixel.
//!
//! ```text
//! innkeeper glyphs 1
//! font VGA 9x16
//! cell 9 16
//! 0041 0123456789abcdef fedcba9876543210
//! ```
//!
//! A glyph's line has its character (hexadecimal) and the mark of its pattern; for cells of 9 columns, which are those
//! of a VGA, also the mark with the rows blank that a VGA's cursor covers. A mark is the first 8 bytes of the SHA-256
//! of the rows, each 4 bytes, highest first.

use std::fmt::Write as _;

use super::cell::CellSize;
use super::font::{Font, Glyph};

const HEAD: &str = "innkeeper glyphs 1";

/// Reads a pack. It may hold several fonts.
///
/// # Errors
/// Which line is wrong.
pub(crate) fn read(text: &str) -> Result<Vec<Font>, String> {
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    if lines.next().map(|(line, _)| line) != Some(HEAD) {
        return Err(format!("it is no glyph pack: the first line is not `{HEAD}`"));
    }
    let mut fonts: Vec<Font> = Vec::new();
    let mut name = None;
    for (line, number) in lines {
        let wrong = || format!("line {number} is none of a glyph pack: {line:?}");
        if let Some(words) = line.strip_prefix("font ") {
            name = Some(words);
        } else if let Some(words) = line.strip_prefix("cell ") {
            let size = cell(words).ok_or_else(wrong)?;
            fonts.push(Font::new(name.take().ok_or_else(wrong)?, size));
        } else {
            let (whole, glyph) = glyph(line).ok_or_else(wrong)?;
            fonts.last_mut().ok_or_else(wrong)?.add_marks(whole, glyph);
        }
    }
    Ok(fonts.into_iter().map(Font::finished).collect())
}

fn cell(words: &str) -> Option<CellSize> {
    let (width, height) = words.split_once(' ')?;
    CellSize::new(width.parse().ok()?, height.parse().ok()?)
}

fn glyph(line: &str) -> Option<(u64, Glyph)> {
    let mut numbers = line.split(' ').map(|word| u64::from_str_radix(word, 16).ok());
    let character = u32::try_from(numbers.next()??).ok().and_then(char::from_u32)?;
    let whole = numbers.next()??;
    let covered = match numbers.next() {
        Some(covered) => Some(covered?),
        None => None,
    };
    numbers.next().is_none().then_some((whole, Glyph { character, covered }))
}

/// The pack of these fonts, with `comment` at its top.
pub(crate) fn write(comment: &str, fonts: &[Font]) -> String {
    let mut text = String::new();
    for line in comment.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let _ = writeln!(text, "{HEAD}");
    for font in fonts {
        let CellSize { width, height } = font.size();
        let _ = writeln!(text, "font {}\ncell {width} {height}", font.name());
        for (character, (whole, glyph)) in font.glyphs() {
            let _ = write!(text, "{:04x} {whole:016x}", u32::from(character));
            let _ = match glyph.covered {
                Some(covered) => writeln!(text, " {covered:016x}"),
                None => writeln!(text),
            };
        }
    }
    text
}
