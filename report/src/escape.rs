//! Guest text made harmless: what a guest prints must not move the reader's cursor, recolour the log or
//! turn its letters around.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that a terminal would obey instead of show written out, as `\u{1b}`.
///
/// That is control characters except the tab, marks that change the direction of writing, separators
/// that some viewers take for a line's end, and what XML forbids. All other UTF-8 stays as it is. The text
/// is one line: newlines are written out, too.
///
/// ```
/// assert_eq!(report::visible("\u{1b}[31mGrüße\u{202e}"), r"\u{1b}[31mGrüße\u{202e}");
/// ```
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed(character) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// As [`visible`], for text of several lines.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Whether a terminal, or a reader of XML, obeys the character instead of showing it.
pub(crate) fn is_obeyed(character: char) -> bool {
    match character {
        '\t' => false,
        // Arabic letter mark; left-to-right and right-to-left marks, embeddings, overrides, isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Line and paragraph separators, the byte order mark, interlinear annotations.
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        // Forbidden in XML.
        '\u{fffe}' | '\u{ffff}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn plain_text_is_left_alone() {
        for text in ["", "plain", "tab\tstop", "Grüße 你好 🦀 e\u{301}", r"a\backslash"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn every_control_character_and_bidi_mark_is_written_out() {
        let obeyed =
            (0..0x20).filter(|c| *c != 9).chain(0x7f..0xa0).chain(0x202a..=0x202e).chain(0x2066..=0x2069);
        for code in obeyed {
            let character = char::from_u32(code).unwrap();
            assert_eq!(visible(&format!("a{character}b")), format!("a\\u{{{code:x}}}b"));
        }
    }
}
