//! Names of keys: what `send_key` and `send_chars` accept, and what backends are given.

use serde::{Deserialize, Serialize};

use crate::error::DriverError;

/// One key, as QEMU's `QKeyCode` names it or by its number in the IBM PC set 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A `QKeyCode`, such as `ctrl`, `a`, `ret`.
    Name(String),
    /// A scan code.
    Code(u16),
}

/// Characters by the scan code of their key on a US keyboard, unshifted and shifted, as compat.md 1.6 has it.
const BY_SCAN_CODE: &[(char, char, u16)] = &[
    ('-', '_', 0x0c),
    ('=', '+', 0x0d),
    ('[', '{', 0x1a),
    (']', '}', 0x1b),
    (';', ':', 0x27),
    ('\'', '"', 0x28),
    ('`', '~', 0x29),
    ('\\', '|', 0x2b),
    (',', '<', 0x33),
    ('.', '>', 0x34),
    ('/', '?', 0x35),
];

/// The shifted digits, in the order of their scan codes from 0x02.
const SHIFTED_DIGITS: &str = "!@#$%^&*()";

/// What NixOS turns a single character into before it is sent; other strings stay as they are.
#[must_use]
pub(crate) fn translate(key: &str) -> String {
    let mut characters = key.chars();
    let (Some(character), None) = (characters.next(), characters.next()) else { return key.to_owned() };
    if character.is_ascii_uppercase() {
        return format!("shift-{}", character.to_ascii_lowercase());
    }
    if let Some(at) = SHIFTED_DIGITS.find(character) {
        return format!("shift-0x{:02X}", at + 2);
    }
    for (plain, shifted, code) in BY_SCAN_CODE {
        if character == *plain {
            return format!("0x{code:02X}");
        }
        if character == *shifted {
            return format!("shift-0x{code:02X}");
        }
    }
    match character {
        ' ' => "spc".to_owned(),
        '\n' => "ret".to_owned(),
        other => other.to_string(),
    }
}

/// Reads a chord such as `ctrl-alt-delete`, `shift-0x0C` or `a`.
///
/// # Errors
/// [`DriverError::Usage`] when a part is empty or a number is out of range.
pub fn parse_keys(chord: &str) -> Result<Vec<Key>, DriverError> {
    let wrong = |part: &str| {
        DriverError::usage(format!(
            "`{part}` in `{chord}` is not a key (use names such as `ctrl-alt-delete`, `ret`, `f1`, or numbers such as `0x1c`)"
        ))
    };
    chord
        .split('-')
        .map(|part| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => u16::from_str_radix(digits, 16)
                .ok()
                .filter(|code| (1..=0xff).contains(code))
                .map(Key::Code)
                .ok_or_else(|| wrong(part)),
            None if !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                Ok(Key::Name(part.to_owned()))
            }
            None => Err(wrong(part)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Key, parse_keys, translate};

    #[test]
    fn characters_become_the_keys_of_a_us_keyboard() {
        for (character, keys) in [
            ("A", "shift-a"),
            ("!", "shift-0x02"),
            (")", "shift-0x0B"),
            ("_", "shift-0x0C"),
            ("-", "0x0C"),
            ("\n", "ret"),
            (" ", "spc"),
            ("7", "7"),
        ] {
            assert_eq!(translate(character), keys, "{character:?}");
        }
        assert_eq!(translate("ctrl-alt-delete"), "ctrl-alt-delete");
    }

    #[test]
    fn chords_are_read_in_order_and_nonsense_is_named() {
        assert_eq!(parse_keys("ctrl-0x1C").unwrap(), [Key::Name("ctrl".to_owned()), Key::Code(0x1c)]);
        let message = parse_keys("ctrl-").unwrap_err().to_string();
        assert!(message.contains("`ctrl-`"), "{message}");
        assert!(parse_keys("0x1ff").is_err());
    }
}
