//! Where a pattern stands on the screen: what it matches, as parts of the words that were read.

use std::ops::Range;

use serde::Serialize;

use crate::ocr::{Reading, Rect, Word};

/// Something that was found on the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The text that the pattern matches.
    pub text: String,
    /// Where it stands, if the engine knows.
    #[serde(flatten)]
    pub rect: Option<Rect>,
}

/// What stands at `spans` of [`Reading::text`], which are counted in characters. Of a word of which only a part
/// belongs to it the box is divided by the number of its characters.
pub(crate) fn find(reading: &Reading, spans: &[Range<usize>]) -> Vec<Found> {
    let text: Vec<char> = reading.text().chars().collect();
    let words = places(reading);
    let found = |span: &Range<usize>| {
        let text = text.get(span.clone())?.iter().collect();
        let parts = words.iter().filter_map(|(at, word)| part(*at, word, span));
        Some(Found { text, rect: parts.reduce(Rect::around) })
    };
    spans.iter().filter(|span| !span.is_empty()).filter_map(found).collect()
}

/// The words, each with the place of its first character in the text.
fn places(reading: &Reading) -> Vec<(usize, &Word)> {
    let mut at = 0;
    let mut words = Vec::new();
    for line in &reading.lines {
        for word in &line.words {
            words.push((at, word));
            at += word.text.chars().count() + 1;
        }
        // The end of a line without words is one, too.
        at += usize::from(line.words.is_empty());
    }
    words
}

/// The part of a word's box that belongs to a span.
fn part(at: usize, word: &Word, span: &Range<usize>) -> Option<Rect> {
    let length = word.text.chars().count();
    let (from, to) = (span.start.max(at), span.end.min(at + length));
    let rect = word.rect.filter(|_| from < to)?;
    let column = |character: usize| {
        let share = u64::from(rect.width) * (character - at) as u64 / length as u64;
        u32::try_from(share).unwrap_or(rect.width)
    };
    Some(Rect { x: rect.x.saturating_add(column(from)), width: column(to) - column(from), ..rect })
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::ocr::{Reading, Rect, TextLine, Word};

    fn word(text: &str, x: u32, y: u32) -> Word {
        let width = u32::try_from(text.chars().count()).unwrap() * 8;
        Word { text: text.to_owned(), rect: Some(Rect { x, y, width, height: 16 }), confidence: None }
    }

    #[test]
    fn what_is_found_has_the_box_of_its_characters() {
        let lines = vec![
            TextLine { words: vec![word("größe", 0, 0), word("login:", 48, 0)] },
            TextLine::default(),
            TextLine { words: vec![word("[OK]", 100, 32)] },
        ];
        let reading = Reading { engine: String::new(), lines };
        assert_eq!(reading.text(), "größe login:\n\n[OK]\n");
        let found = find(&reading, &[6..11, 15..17, 3..8, 4..4, 90..99]);
        let boxes: Vec<_> = found.iter().map(|found| (found.text.as_str(), found.rect.unwrap())).collect();
        let rect = |x, y, width| Rect { x, y, width, height: 16 };
        assert_eq!(
            boxes,
            [("login", rect(48, 0, 40)), ("OK", rect(108, 32, 16)), ("ße lo", rect(24, 0, 40))]
        );
    }
}
