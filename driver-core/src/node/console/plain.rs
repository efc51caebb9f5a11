//! What was meant to be read, in what was printed: a prompt without the kernel's message in its middle, a
//! firmware's words without its colours.

use std::ops::Range;

/// The text of a line without escape sequences, control characters and, to its end, a message of the kernel.
///
/// The kernel prints where the cursor is, so what a program had begun goes on in the next line.
pub(super) fn plain(line: &str) -> String {
    let text = without_escapes(line);
    match stamp(text.as_bytes()) {
        Some(stamp) => text[..stamp.start].to_owned(),
        None => text,
    }
}

/// Where a message of the kernel begins, and the time that it begins with: `[   12.345678]`.
pub(in crate::node) fn stamp(text: &[u8]) -> Option<Range<usize>> {
    let starts = text.iter().enumerate().filter(|(_, byte)| **byte == b'[').map(|(at, _)| at);
    starts.filter_map(|at| Some(at..at + stamp_length(&text[at..])?)).next()
}

fn stamp_length(text: &[u8]) -> Option<usize> {
    let end = text.iter().take(32).position(|byte| *byte == b']')?;
    let time = std::str::from_utf8(&text[1..end]).ok()?;
    let (seconds, fraction) = time.trim_start_matches(' ').split_once('.')?;
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = !seconds.is_empty() && is_number(seconds) && fraction.len() == 6 && is_number(fraction);
    is_time.then_some(end + 1)
}

fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => skip_sequence(&mut rest),
            '\t' => text.push('\t'),
            character if character.is_control() => {}
            character => text.push(character),
        }
    }
    text
}

/// Skips what belongs to an escape character (ECMA-48); an unfinished sequence goes to the line's end.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        // Parameters, then one letter.
        Some('[') => drop(rest.find(|character| ('@'..='~').contains(character))),
        // A text, such as a window's title, then BEL or ESC \.
        Some(']' | 'P' | '^' | '_')
            if rest.find(|character| matches!(character, '\x07' | '\x1b')) == Some('\x1b') =>
        {
            rest.next();
        }
        // A set of characters.
        Some('(' | ')' | '#' | '%' | ' ') => drop(rest.next()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_a_firmware_draws_is_left_out_and_what_it_says_stays() {
        for (printed, meant) in [
            ("\x1b[2J\x1b[01;01H\x1b[0m\x1b[37m\x1b[40mBdsDxe: starting", "BdsDxe: starting"),
            ("Press \x1b[1mESC\x1b[0m for a menu", "Press ESC for a menu"),
            ("\x1b]0;title\x07boot:\x1b(B ok\x08\x08", "boot: ok"),
            ("\x1b]0;title\x1b\\grub> ", "grub> "),
            ("unfinished \x1b[3", "unfinished "),
            ("tab\tstays, ü too", "tab\tstays, ü too"),
        ] {
            assert_eq!(plain(printed), meant, "{printed:?}");
        }
    }

    #[test]
    fn the_kernels_message_is_cut_off_and_what_only_looks_like_one_is_not() {
        for (printed, meant) in [
            ("pas[    2.912345] usb 1-1: new device", "pas"),
            ("[    0.000000][    T0] Linux version 6.12", ""),
            ("array[1] of [2.5] at [12:30]", "array[1] of [2.5] at [12:30]"),
            ("[  OK  ] Started it [12.345]", "[  OK  ] Started it [12.345]"),
        ] {
            assert_eq!(plain(printed), meant, "{printed:?}");
        }
    }
}
