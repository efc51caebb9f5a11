//! `junit.xml` as others read it: by the schema of Jenkins' xunit plugin, and by a parser that is not ours.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};

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
const SCHEMA: [Rule; 9] = [
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
            // Not `println!`, which the test harness swallows in tests that pass.
            _ => {
                let text = "skipped: Python's junitparser is not here (`pip install junitparser`)";
                drop(writeln!(std::io::stderr(), "{text}"));
                return;
            }
        }
    }
}
