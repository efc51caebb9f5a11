//! Start scripts as arguments, and all else in the environment: the manner of the driver in Perl, and of the first ones
//! in Python (NixOS 20.03 to 21.05). Their variables are the same, so that the test's own text tells which is meant.

use std::env;
use std::ffi::OsString;

use script::Language;

/// What is found in tests in Perl, before anything that is found in one in Python.
const PERL: &[&str] = &["$", "startAll", "joinAll", "testScript", "subtest \""];
/// What is found in tests in Python. None of it is Perl.
const PYTHON: &[&str] = &[
    "os.environ",
    "start_all",
    "join_all",
    "test_script",
    "run_tests",
    "with subtest(",
    ".start(",
    ".succeed(",
    ".fail(",
    ".execute(",
    ".wait_for_",
    ".wait_until_",
    "\nimport ",
    "\nfrom ",
    "\ndef ",
];

/// Which driver is meant by these words and the environment, if one of them is.
pub(crate) fn language(words: &[OsString]) -> Option<Language> {
    language_by(words, |name| env::var(name).ok())
}

/// The environment has `tests` or `VLANS`, and nothing that only later drivers know, neither options nor
/// `startScripts`.
fn language_by(words: &[OsString], variable: impl Fn(&str) -> Option<String>) -> Option<Language> {
    let is_later = |word: &OsString| {
        let is_ours = |word: &str| word.starts_with("--with") || ["-K", "--keep-vm-state"].contains(&word);
        word.to_str().is_some_and(|word| word.starts_with('-') && !is_ours(word))
    };
    let tests = variable("tests");
    let is_meant = (tests.is_some() || variable("VLANS").is_some())
        && variable("startScripts").is_none()
        && !words.iter().any(is_later);
    let texts = [tests, variable("testScript")];
    is_meant.then(|| texts.iter().flatten().find_map(|text| language_of(text)).unwrap_or(Language::Perl))
}

/// Whether the code in `tests`, in Python, does nothing but run the script: so it was when nobody wanted anything else.
pub(super) fn is_the_script(tests: &str) -> bool {
    ["exec(os.environ[\"testScript\"])", "exec(os.environ['testScript'])"].contains(&tests.trim())
}

/// The language of a text, if it has anything that tells outside of comments, which both languages begin alike.
fn language_of(text: &str) -> Option<Language> {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    let text: String = lines.flat_map(|line| ["\n", line]).collect();
    let first = |marks: &[&str]| marks.iter().filter_map(|mark| text.find(mark)).min();
    match (first(PERL), first(PYTHON)) {
        (None, None) => None,
        (Some(perl), python) if python.is_none_or(|python| perl < python) => Some(Language::Perl),
        _ => Some(Language::Python),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use script::Language::{Perl, Python};

    use super::{Language, language_by};

    #[test]
    fn the_environment_tells_who_is_meant() {
        let perl = ("tests", "eval $ENV{testScript}; die $@ if $@;");
        let python = ("tests", "exec(os.environ['testScript'])");
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], Option<Language>);
        let cases: [Case<'_>; 14] = [
            (&["run-a-vm"], &[perl, ("VLANS", "1"), ("testScript", "startAll;")], Some(Perl)),
            (&["run-a-vm"], &[("VLANS", "")], Some(Perl)),
            (&["run-a-vm", "--without-agent"], &[("tests", "startAll;")], Some(Perl)),
            (
                &["run-a-vm"],
                &[("VLANS", ""), ("testScript", "$a->succeed('python -c \"import os\"');")],
                Some(Perl),
            ),
            (&["run-a-vm"], &[("VLANS", ""), ("testScript", "undef @def; $a->start;")], Some(Perl)),
            (&["run-a-vm"], &[("VLANS", ""), ("testScript", "# $5 a month\n  import time\n")], Some(Python)),
            (&["run-a-vm"], &[], None),
            (&["run-a-vm"], &[python, ("VLANS", "1")], Some(Python)),
            (&["run-a-vm"], &[("tests", "start_all(); test_script()")], Some(Python)),
            (&["-K", "run-a-vm"], &[("VLANS", "1"), ("testScript", "a.succeed('echo $HOME')")], Some(Python)),
            (&["run-a-vm", "--keep-vm-state"], &[python], Some(Python)),
            (&["test.py"], &[("startScripts", "run-a-vm"), ("VLANS", "1")], None),
            (&["-o", "out", "test.py"], &[perl], None),
            (&["--config", "config.json"], &[python], None),
        ];
        for (words, variables, expected) in cases {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
            };
            assert_eq!(language_by(&words, variable), expected, "{words:?} {variables:?}");
        }
    }
}
