//! `junit.xml` as others read it: by the schema of Jenkins' xunit plugin, and by a parser that is not ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use driver_core::event::{Event, FileKind, Outcome, Record, ScopeKind};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};
use report::JunitXml;
use test_skip::skip;

use crate::support::{attempt, console, feed, run, text_of, tried_again};

const GOLDEN: [&str; 2] = ["failed", "killed"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).join("junit.xml")
}

/// What an element may be.
struct Rule {
    name: &'static str,
    parents: &'static [&'static str],
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

const fn rule(
    name: &'static str,
    parents: &'static [&'static str],
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Rule {
    Rule { name, parents, required, optional }
}

/// What junit-10.xsd lets an element be, as far as junit.xml has it: where it may stand, the attributes that it must
/// have, and those that it may have.
const SCHEMA: [Rule; 15] = [
    rule("testsuites", &[""], &[], &["name", "time", "tests", "failures", "errors"]),
    rule(
        "testsuite",
        &["testsuites", "testsuite"],
        &["name", "tests", "failures", "errors"],
        &["group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"],
    ),
    rule("properties", &["testsuite"], &[], &[]),
    rule("property", &["properties"], &["name", "value"], &[]),
    rule("testcase", &["testsuite"], &["name"], &["time", "classname", "group"]),
    rule("failure", &["testcase"], &[], &["type", "message"]),
    rule("error", &["testcase"], &[], &["type", "message"]),
    rule("skipped", &["testcase"], &[], &["type", "message"]),
    rule("flakyFailure", &["testcase"], &["type"], &["message"]),
    rule("flakyError", &["testcase"], &["type"], &["message"]),
    rule("rerunFailure", &["testcase"], &["type"], &["message"]),
    rule("rerunError", &["testcase"], &["type"], &["message"]),
    rule("stackTrace", &["flakyFailure", "flakyError", "rerunFailure", "rerunError"], &[], &[]),
    rule("system-out", &["testcase", "testsuite"], &[], &[]),
    rule("system-err", &["testcase", "testsuite"], &[], &[]),
];

/// What does not keep to the schema.
fn offences(xml: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    let (mut open, mut offences) = (vec![String::new()], Vec::new());
    loop {
        match reader.read_event().expect("well-formed XML") {
            Xml::Start(tag) => {
                offences.extend(offence(&tag, open.last().expect("the document")));
                open.push(name_of(&tag));
            }
            Xml::Empty(tag) => offences.extend(offence(&tag, open.last().expect("the document"))),
            Xml::End(_) => drop(open.pop()),
            Xml::Eof => return offences,
            _ => {}
        }
    }
}

fn name_of(tag: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(tag.name().as_ref()).into_owned()
}

fn offence(tag: &BytesStart<'_>, parent: &str) -> Option<String> {
    let name = name_of(tag);
    let Some(Rule { parents, required, optional, .. }) = SCHEMA.iter().find(|rule| rule.name == name) else {
        return Some(format!("<{name}> is not known"));
    };
    if !parents.contains(&parent) {
        return Some(format!("<{name}> in <{parent}>"));
    }
    let attributes: Vec<(String, String)> = tag
        .attributes()
        .map(|attribute| attribute.expect("an attribute"))
        .map(|attribute| {
            let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            (name, String::from_utf8_lossy(&attribute.value).into_owned())
        })
        .collect();
    let has = |wanted: &&str| attributes.iter().any(|(name, _)| name == wanted);
    if let Some(missing) = required.iter().find(|name| !has(name)) {
        return Some(format!("<{name}> lacks {missing}"));
    }
    let is_time = |value: &str| value.chars().all(|c| c.is_ascii_digit() || c == '.');
    attributes.iter().find_map(|(key, value)| {
        let known = required.contains(&key.as_str()) || optional.contains(&key.as_str());
        (!known || (key == "time" && !is_time(value))).then(|| format!("<{name} {key}={value:?}>"))
    })
}

#[test]
fn junit_keeps_to_the_schema_of_jenkins() {
    for run in GOLDEN {
        let xml = std::fs::read_to_string(golden(run)).expect("the golden file");
        assert_eq!(offences(&xml), [""; 0], "{run}");
    }
    let wrong = "<testsuites><testsuite name='a' tests='1' failures='0'/><properties/></testsuites>";
    assert_eq!(offences(wrong), ["<testsuite> lacks errors", "<properties> in <testsuites>"]);
}

/// Prints counts of a file, and of each case its name and what came out.
const PARSE: &str = "
import sys
try:
    from junitparser import JUnitXml
except ImportError:
    sys.exit(99)
report = JUnitXml.fromfile(sys.argv[1])
print(report.tests, report.failures, report.errors)
for suite in report:
    for case in suite:
        print(case.name, *[type(result).__name__ for result in case.result])
";

/// The report of the last of these attempts.
fn junit_of(attempts: &[Vec<Record>]) -> String {
    let xml = text_of(tried_again(attempts).path(), "junit.xml");
    assert_eq!(offences(&xml), [""; 0], "{xml}");
    xml
}

/// The elements of a name in a report, each with its message.
fn marks(xml: &str, name: &str) -> Vec<String> {
    let begin = format!("<{name} message=\"");
    let parts = xml.split(&begin).skip(1);
    parts.filter_map(|part| Some(part.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn a_test_that_passed_when_it_was_tried_again_is_flaky_and_one_that_never_does_has_been_rerun() {
    let bad = |second| attempt(second, Outcome::Failed, Some("no goods"));
    let died = attempt(20, Outcome::MachineFailed, None);
    let good = attempt(30, Outcome::Passed, None);
    let xml = junit_of(&[bad(10), died.clone(), good.clone()]);
    assert_eq!(marks(&xml, "flakyFailure"), ["attempt 1: it broke", "attempt 1: no goods"]);
    assert_eq!(marks(&xml, "flakyError"), ["attempt 2: it broke"]);
    assert!(xml.contains("<property name=\"attempt\" value=\"3\"/>"), "{xml}");
    assert!(xml.contains("See attempts/1/report.html."), "{xml}");
    assert!(xml.contains("failures=\"0\""), "{xml}");

    let xml = junit_of(&[died, bad(30)]);
    assert_eq!(marks(&xml, "rerunError"), ["attempt 1: it broke"]);
    assert_eq!(marks(&xml, "failure"), ["it broke", "no goods"]);

    // A result of another day, of another test, or one that passed says nothing of this one.
    let mut other = bad(20);
    if let Event::RunStarted(run) = &mut other[0].event {
        run.test = "another".to_owned();
    }
    for before in [bad(0), other] {
        let xml = junit_of(&[before, attempt(9_000, Outcome::Passed, None)]);
        assert!(!xml.contains("flaky") && !xml.contains("attempt"), "{xml}");
    }
    let xml = junit_of(&[good, attempt(40, Outcome::Failed, None)]);
    assert!(!xml.contains("<rerun"), "{xml}");
}

#[test]
fn files_are_attached_to_the_case_that_they_belong_to_and_what_a_guest_prints_attaches_none() {
    let subtest =
        Event::ScopeStarted { id: 1, kind: ScopeKind::Subtest, text: "shop".to_owned(), file: None };
    let saved = |kind, path: &str| Event::FileSaved { kind, path: path.to_owned() };
    let records = run([
        (0, None, subtest),
        console("[[ATTACHMENT|/etc/passwd]]"),
        (1, Some("server"), saved(FileKind::Screenshot, "shop.png")),
        (0, None, Event::ScopeEnded { id: 1, duration_us: 5, error: None }),
        (0, None, saved(FileKind::Evidence, "evidence/host.txt")),
        (0, Some("server"), saved(FileKind::Screenshot, "evidence/server.screen.png")),
    ]);
    let dir = tempfile::tempdir().expect("a directory");
    feed(&mut JunitXml::new(dir.path()), &records);
    let xml = text_of(dir.path(), "junit.xml");
    let place = dir.path().canonicalize().expect("a path");
    let attached = |part: &str| -> Vec<String> {
        let lines = part.lines().filter_map(|line| line.strip_prefix("[[ATTACHMENT|")?.strip_suffix("]]"));
        lines
            .map(|path| Path::new(path).strip_prefix(&place).expect("in the result").display().to_string())
            .collect()
    };
    let (main, shop) = xml.split_once("name=\"shop\"").expect("two cases");
    assert_eq!(attached(main), ["evidence/server.screen.png", "evidence/host.txt"]);
    assert_eq!(attached(shop), ["shop.png"]);
    assert!(shop.contains(r"[[ATTACHMENT\u{7c}/etc/passwd]]"), "{shop}");

    // A report that lies elsewhere has none.
    let elsewhere = dir.path().join("other.xml");
    feed(&mut JunitXml::at(&elsewhere), &records);
    assert_eq!(attached(&text_of(dir.path(), "other.xml")), [""; 0]);
}

#[test]
fn a_parser_that_is_not_ours_finds_the_same_cases() {
    let expected = [
        "4 2 0\nmain Failure\nstarts out with no posts\na post is shown Failure\ninner\n",
        "3 0 3\nmain Error\nsurvives Error\nnever ends Error\n",
    ];
    for (run, expected) in GOLDEN.into_iter().zip(expected) {
        let parsed = Command::new("python3").args(["-c", PARSE]).arg(golden(run)).output();
        match parsed {
            Ok(output) if output.status.code() != Some(99) => {
                assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
            }
            _ => return skip("Python's junitparser is not here (`pip install junitparser`)").unwrap_or(()),
        }
    }
}
