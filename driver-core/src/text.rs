//! Text as Python would write it: NixOS's messages contain numbers and strings in Python's notation, and
//! tests may match them.

use std::fmt::Write as _;

/// A float as Python prints it: `900.0`, `0.5`.
pub(crate) fn python_float(value: f64) -> String {
    format!("{value:?}")
}

/// A string as Python's `repr` writes it.
pub(crate) fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                let code = u32::from(c);
                // Writing to a string cannot fail.
                let _ =
                    if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{code:04x}") };
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A size as a person reads it: `512 MiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    match mib {
        0 => format!("{} KiB", bytes >> 10),
        1..1024 => format!("{mib} MiB"),
        _ => format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024),
    }
}

/// Bytes as Python's `repr` writes them.
pub(crate) fn python_bytes_repr(bytes: &[u8]) -> String {
    let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut out = String::from("b");
    for character in python_repr(&latin).chars() {
        match u32::from(character) {
            code @ 0xa0..=0xff => {
                let _ = write!(out, "\\x{code:02x}");
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{python_bytes_repr, python_float, python_repr, size};

    #[test]
    fn sizes_are_in_the_unit_that_people_would_take() {
        assert_eq!(
            [3 << 10, 512 << 20, 1536 << 20, 40 << 30].map(size),
            ["3 KiB", "512 MiB", "1.5 GiB", "40.0 GiB"]
        );
    }

    #[test]
    fn numbers_and_strings_look_as_in_python() {
        assert_eq!(python_float(900.0), "900.0");
        assert_eq!(python_float(0.25), "0.25");
        assert_eq!(python_repr("it's\n"), "\"it's\\n\"");
        assert_eq!(python_repr("'\"\\\u{7f}"), "'\\'\"\\\\\\x7f'");
        assert_eq!(python_bytes_repr(b"ok\xff\x01\n"), "b'ok\\xff\\x01\\n'");
    }
}
