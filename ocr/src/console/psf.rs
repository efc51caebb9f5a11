//! PSF files, the fonts of Linux consoles: version 1 and 2, compressed or not, with their table of characters.
//! Source: the header files of kbd, and "PC Screen Font" by A. Brouwer.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::cell::{CellSize, Pattern};
use super::font::Font;

/// Bytes that a font may have: 512 glyphs of 32x64 pixels have 128 KiB.
const LIMIT: u64 = 4 << 20;

/// The parts of a file, whichever its version is.
struct Parts<'a> {
    size: CellSize,
    bytes_per_glyph: usize,
    bitmaps: &'a [u8],
    /// The characters of each glyph.
    characters: Vec<Vec<char>>,
}

/// Reads the font in `file`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(name: &str, file: &[u8]) -> Result<Font, String> {
    let parts = unpack(file)?;
    let parts = parse(&parts)?;
    let mut font = Font::new(name, parts.size);
    for_each_glyph(&parts, |character, pattern| font.add(character, &pattern));
    Ok(font.finished())
}

/// The same font as a VGA shows it in text mode, where each cell has a ninth column; `None` for fonts that a VGA
/// cannot show.
pub(crate) fn read_as_vga(name: &str, file: &[u8]) -> Option<Font> {
    let parts = unpack(file).ok()?;
    let parts = parse(&parts).ok().filter(|parts| parts.size.width == 8)?;
    let size = CellSize::new(9, parts.size.height)?;
    let mut font = Font::new(&format!("{name} (VGA)"), size);
    for (index, characters) in parts.characters.iter().enumerate() {
        // A VGA repeats the eighth column for the line-drawing codes of its code page, and for no others.
        let repeats = (0xc0..0xe0).contains(&index);
        let widen = |row: u32| row << 1 | (row & u32::from(repeats));
        let Some(narrow) = pattern(&parts, index) else { break };
        let wide = Pattern(narrow.0.iter().map(|row| widen(*row)).collect());
        characters.iter().for_each(|character| font.add(*character, &wide));
    }
    Some(font.finished())
}

fn for_each_glyph(parts: &Parts<'_>, mut add: impl FnMut(char, Pattern)) {
    for (index, characters) in parts.characters.iter().enumerate() {
        for character in characters {
            if let Some(pattern) = pattern(parts, index) {
                add(*character, pattern);
            }
        }
    }
}

fn pattern(parts: &Parts<'_>, index: usize) -> Option<Pattern> {
    let glyph = parts.bitmaps.get(index * parts.bytes_per_glyph..)?.get(..parts.bytes_per_glyph)?;
    let width = parts.size.width;
    let bytes = width.div_ceil(8);
    let row =
        |bits: &[u8]| bits.iter().fold(0_u64, |row, byte| row << 8 | u64::from(*byte)) >> (bytes * 8 - width);
    // 32 pixels at most, so that nothing is lost.
    let row = |bits: &[u8]| u32::try_from(row(bits)).unwrap_or_default();
    Some(Pattern(glyph.chunks_exact(bytes as usize).take(parts.size.height as usize).map(row).collect()))
}

fn unpack(file: &[u8]) -> Result<Vec<u8>, String> {
    if !file.starts_with(&[0x1f, 0x8b]) {
        return Ok(file.to_owned());
    }
    let mut bytes = Vec::new();
    let read = GzDecoder::new(file).take(LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    Ok(bytes)
}

fn parse(file: &[u8]) -> Result<Parts<'_>, String> {
    const CUT: &str = "it ends before its last glyph";
    let sized = |width, height| {
        CellSize::new(width, height)
            .ok_or_else(|| format!("its cells have {width}x{height} pixels, which no console has"))
    };
    if let Some(rest) = file.strip_prefix(&[0x36, 0x04]) {
        let [mode, height, bitmaps @ ..] = rest else { return Err(CUT.to_owned()) };
        let count = if mode & 1 == 1 { 512 } else { 256 };
        let bytes_per_glyph = usize::from(*height);
        let (bitmaps, table) = bitmaps.split_at_checked(count * bytes_per_glyph).ok_or(CUT)?;
        let characters = if mode & 2 == 2 { table_1(table) } else { return Err(no_table()) };
        return Ok(Parts { size: sized(8, u32::from(*height))?, bytes_per_glyph, bitmaps, characters });
    }
    if !file.starts_with(&[0x72, 0xb5, 0x4a, 0x86]) {
        return Err("it is no PSF file".to_owned());
    }
    let field = |number: usize| {
        let bytes = file.get(number * 4..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(CUT)
    };
    let (start, flags, count) = (field(2)? as usize, field(3)?, field(4)? as usize);
    let (bytes_per_glyph, height, width) = (field(5)? as usize, field(6)?, field(7)?);
    let size = sized(width, height)?;
    if bytes_per_glyph != (width.div_ceil(8) * height) as usize {
        return Err(format!("its glyphs have {bytes_per_glyph} bytes, which are no {width}x{height} pixels"));
    }
    let all = count.checked_mul(bytes_per_glyph).ok_or(CUT)?;
    let (bitmaps, table) = file.get(start..).and_then(|rest| rest.split_at_checked(all)).ok_or(CUT)?;
    let characters = if flags & 1 == 1 { table_2(table) } else { return Err(no_table()) };
    Ok(Parts { size, bytes_per_glyph, bitmaps, characters })
}

fn no_table() -> String {
    "it has no table of characters (`psfaddtable` adds one)".to_owned()
}

/// Version 1: UCS-2; after 0xFFFE come sequences of several characters, which no single cell shows.
fn table_1(table: &[u8]) -> Vec<Vec<char>> {
    let units: Vec<_> = table.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let singles = |units: &[u16]| {
        let single = units.iter().take_while(|unit| **unit != 0xfffe);
        single.filter_map(|unit| char::from_u32(u32::from(*unit))).filter(|c| is_shown(*c)).collect()
    };
    units.split(|unit| *unit == 0xffff).map(singles).collect()
}

/// Version 2: UTF-8; 0xFE begins the sequences, and 0xFF ends a glyph's characters.
fn table_2(table: &[u8]) -> Vec<Vec<char>> {
    let singles = |entry: &[u8]| {
        let single = entry.split(|byte| *byte == 0xfe).next().unwrap_or_default();
        String::from_utf8_lossy(single).chars().filter(|c| is_shown(*c)).collect()
    };
    table.split(|byte| *byte == 0xff).map(singles).collect()
}

/// Whether a character says something: not a control character, the mark of an unknown one, or one that fonts have for
/// themselves.
fn is_shown(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffd}' | '\u{e000}'..='\u{f8ff}')
}
