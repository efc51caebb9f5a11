//! Fonts: which character a pattern of pixels is. A font holds marks of its glyphs, never their pixels: that is
//! enough to know a glyph again, and nothing of anybody's drawing is copied.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::cell::{CellSize, Mark, Pattern};

/// The upper half of IBM's code page 437, which VGA consoles show.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
                     αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■";

/// The font of a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Font {
    name: String,
    size: CellSize,
    glyphs: HashMap<Mark, Glyph>,
    /// Marks of glyphs whose part under the cursor is blank; `None` where several glyphs look alike then.
    covered: HashMap<Mark, Option<char>>,
}

/// A glyph as a font knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyph {
    /// What it says. Of several characters that look the same: the one that ASCII has, else code page 437, else the
    /// lowest.
    pub(crate) character: char,
    /// Its mark without the part under the cursor, in fonts of a VGA's text mode: other consoles hide nothing.
    pub(crate) covered: Option<Mark>,
}

impl Font {
    /// A font without glyphs.
    pub(crate) fn new(name: &str, size: CellSize) -> Self {
        Self { name: name.to_owned(), size, glyphs: HashMap::new(), covered: HashMap::new() }
    }

    /// What it is called, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of its cells.
    #[must_use]
    pub fn size(&self) -> CellSize {
        self.size
    }

    /// The characters that it tells apart, in their order. One that looks like another is not among them.
    #[must_use]
    pub fn characters(&self) -> Vec<char> {
        let mut characters: Vec<_> = self.glyphs.values().map(|glyph| glyph.character).collect();
        characters.sort_unstable();
        characters
    }

    /// Learns how a character looks. A blank glyph teaches nothing: blank cells are spaces.
    pub(crate) fn add(&mut self, character: char, pattern: &Pattern) {
        if !pattern.is_blank() {
            let covered = self.size.is_vga().then(|| pattern.without_cursor(self.size).mark());
            self.add_marks(pattern.mark(), Glyph { character, covered });
        }
    }

    /// Learns the marks of a character's glyph.
    pub(crate) fn add_marks(&mut self, whole: Mark, glyph: Glyph) {
        let known = self.glyphs.entry(whole).or_insert(glyph);
        if rank(glyph.character) < rank(known.character) {
            known.character = glyph.character;
        }
    }

    /// Makes the font ready for [`Font::find_covered`], once it has all of its glyphs.
    pub(crate) fn finished(mut self) -> Self {
        if !self.size.is_vga() {
            return self;
        }
        for glyph in self.glyphs.values() {
            let several = |known: &mut Option<char>| *known = None;
            if let Some(covered) = glyph.covered {
                self.covered.entry(covered).and_modify(several).or_insert(Some(glyph.character));
            }
        }
        // An underline that the cursor hides is gone: what is left is a blank.
        let blank = Pattern(vec![0; self.size.height as usize].into()).mark();
        self.covered.insert(blank, Some(' '));
        self
    }

    /// The character with that glyph.
    pub(crate) fn find(&self, mark: Mark) -> Option<char> {
        self.glyphs.get(&mark).map(|glyph| glyph.character)
    }

    /// The character whose glyph has that mark when the part under the cursor is blank.
    pub(crate) fn find_covered(&self, mark: Mark) -> Option<char> {
        self.covered.get(&mark).copied().flatten()
    }

    /// Its glyphs in the order of their characters.
    pub(crate) fn glyphs(&self) -> BTreeMap<char, (Mark, Glyph)> {
        self.glyphs.iter().map(|(whole, glyph)| (glyph.character, (*whole, *glyph))).collect()
    }
}

/// Which of several characters with the same glyph is meant: the one with the lowest rank.
pub(crate) fn rank(character: char) -> (u8, char) {
    let class = if character.is_ascii() {
        0
    } else if CP437.contains(character) {
        1
    } else {
        2
    };
    (class, character)
}
