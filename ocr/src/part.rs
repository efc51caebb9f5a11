//! Parts of frames: which words of a reading lie in one.

use driver_core::{Reading, Rect, Word};

/// Whether the middle of a word lies in a part of the frame; a word without a place lies nowhere.
pub(crate) fn lies_in(word: &Word, part: Rect) -> bool {
    let inside = |at: u32, from: u32, length: u32| at >= from && at - from < length;
    word.rect.is_some_and(|own| {
        let (x, y) = own.centre();
        inside(x, part.x, part.width) && inside(y, part.y, part.height)
    })
}

/// Leaves only the words in a part of the frame, and the lines that have some.
pub(crate) fn keep(reading: &mut Reading, part: Rect) {
    for line in &mut reading.lines {
        line.words.retain(|word| lies_in(word, part));
    }
    reading.lines.retain(|line| !line.words.is_empty());
}
