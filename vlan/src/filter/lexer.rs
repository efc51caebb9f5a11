//! The words of a filter, and where they are.

use std::ops::Range;

/// A word of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Where it is, in bytes of the text.
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Open,
    Close,
    And,
    Or,
    Not,
    Word(&'a str),
    Text(Vec<u8>),
    End,
}

/// What cannot be understood, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) at: Range<usize>,
}

impl Wrong {
    /// In three lines: what, the text, and carets below the place.
    pub(super) fn show(&self, text: &str) -> String {
        // A filter of several lines is shown in one, so that the carets are below.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = text[..self.at.start].chars().count();
        let width = text[self.at.clone()].chars().count().max(1);
        format!("{}\n  {line}\n  {:before$}{}", self.what, "", "^".repeat(width))
    }
}

/// All words of a text; the last one is its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Wrong> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let start = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { kind: Kind::End, at: start..start });
            return Ok(tokens);
        };
        let (kind, len) = match first {
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '!' => (Kind::Not, 1),
            _ if rest.starts_with("&&") => (Kind::And, 2),
            _ if rest.starts_with("||") => (Kind::Or, 2),
            '"' | '\'' => quoted(rest, first)
                .map_err(|(what, at)| Wrong { what, at: start + at.start..start + at.end })?,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()!&|\"'".contains(c));
                // A lonely `&` or `|` is a word too, which nobody understands.
                let len = end.unwrap_or(rest.len()).max(first.len_utf8());
                let kind = match &rest[..len] {
                    "and" => Kind::And,
                    "or" => Kind::Or,
                    "not" => Kind::Not,
                    word => Kind::Word(word),
                };
                (kind, len)
            }
        };
        tokens.push(Token { kind, at: start..start + len });
        rest = &rest[len..];
    }
}

/// A text in quotes at the start of `rest`, and how long it is with them. What a wrong one has wrong, and where.
fn quoted(rest: &str, quote: char) -> Result<(Kind<'static>, usize), (String, Range<usize>)> {
    let mut bytes = Vec::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((Kind::Text(bytes), at + 1));
        }
        if c != '\\' {
            bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let byte = match chars.next().map(|(_, c)| c) {
            Some('n') => Some(b'\n'),
            Some('r') => Some(b'\r'),
            Some('t') => Some(b'\t'),
            Some('0') => Some(0),
            Some(c @ ('\\' | '"' | '\'')) => Some(c as u8),
            Some('x') => {
                chars.nth(1);
                rest.get(at + 2..at + 4).and_then(hexadecimal).and_then(|bytes| bytes.first().copied())
            }
            _ => None,
        };
        let Some(byte) = byte else {
            let end = chars.next().map_or(rest.len(), |(at, _)| at);
            return Err((r#"expected one of \\ \" \' \n \r \t \0 \x7f"#.to_owned(), at..end));
        };
        bytes.push(byte);
    }
    Err((format!("expected a second {quote} to end the text"), 0..rest.len()))
}

/// The bytes that pairs of hexadecimal digits mean.
pub(super) fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty()
        || !digits.len().is_multiple_of(2)
        || !digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}
