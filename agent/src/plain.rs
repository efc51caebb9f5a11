//! Tells the commands that need no shell: a program's name and its arguments, of which bash makes nothing but
//! just these words. Whatever is not certain is bash's.

use std::ffi::CString;

/// First words that are not the names of programs: bash's builtin commands, but for [`BOTH`], and reserved words.
const OWN: &str = "\
    . : alias bg bind break builtin caller case cd command compgen complete compopt continue coproc \
    declare dirs disown do done echo elif else enable esac eval exec exit export fc fg fi for function \
    getopts hash help history if in jobs kill let local logout mapfile popd printf pushd pwd read \
    readarray readonly return select set shift shopt source suspend test then time times trap type \
    typeset ulimit umask unalias unset until wait while";

/// Names of builtin commands that do, without arguments, what the programs of these names do.
pub(crate) const BOTH: [&str; 2] = ["true", "false"];

/// Bytes that mean nothing to bash wherever they stand, besides letters and digits. A `=` does in the first
/// word only.
const HARMLESS: &[u8] = b"@%+=:,./-_";

/// The words of a command that consists of nothing else: no variable, pattern, operator, comment, escape or
/// second line. Quotes are taken as they are when nothing in them is special.
pub(crate) fn words(text: &[u8]) -> Option<Vec<CString>> {
    let mut words = Vec::new();
    let text = skip_blanks(text);
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(CString::new(word).ok()?);
        rest = after;
    }
    let first = words.first()?.to_str().ok()?;
    // In quotes it would be a name, too, but who writes that has something special in mind.
    let is_name = text.starts_with(first.as_bytes())
        && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+./-_".contains(&byte));
    let is_own = OWN.split_ascii_whitespace().any(|own| own == first);
    let is_program = is_name && !is_own && (words.len() == 1 || !BOTH.contains(&first));
    is_program.then_some(words)
}

/// The first word of a text that begins with one, and what follows the blanks after it.
fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [] => return Some((word, rest)),
            [b' ' | b'\t', ..] => return Some((word, skip_blanks(rest))),
            [quote @ (b'\'' | b'"'), after @ ..] => {
                let end = after.iter().position(|byte| byte == quote)?;
                let quoted = &after[..end];
                let is_special = |byte: &u8| *quote == b'"' && b"$`\\!".contains(byte);
                // What is no ASCII is a matter of the locale.
                if quoted.iter().any(|byte| !matches!(byte, b' '..=b'~') || is_special(byte)) {
                    return None;
                }
                word.extend_from_slice(quoted);
                rest = &after[end + 1..];
            }
            [byte, after @ ..] if byte.is_ascii_alphanumeric() || HARMLESS.contains(byte) => {
                word.push(*byte);
                rest = after;
            }
            _ => return None,
        }
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}
