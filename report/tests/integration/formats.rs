//! TAP and the summary of a job on GitHub.

use driver_core::event::{Event, Level, Outcome, ScopeKind};
use report::{JobSummary, Tap};

use crate::support::{attempt, console, feed, run, text_of, tried_again};

fn subtest(id: u64, name: &str) -> (u64, Option<&'static str>, Event) {
    (0, None, Event::ScopeStarted { id, kind: ScopeKind::Subtest, text: name.to_owned(), file: None })
}

fn end(id: u64, error: Option<&str>) -> (u64, Option<&'static str>, Event) {
    (0, None, Event::ScopeEnded { id, duration_us: 5_000, error: error.map(str::to_owned) })
}

#[test]
fn tap_has_the_cases_of_junit_and_nothing_in_a_name_is_a_directive() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = run([
        subtest(1, "good"),
        end(1, None),
        subtest(2, "bad # SKIP\n1..0"),
        end(2, Some("line \"one\"\n  ...\nok 9")),
    ]);
    feed(&mut Tap::new(dir.path()), &records);
    let expected = "TAP version 14\n1..3\nok 1 - main # time=59980ms\nok 2 - good # time=10ms\n\
                    not ok 3 - bad \\# SKIP\\\\u{a}1..0 # time=10ms\n  ---\n  \
                    message: \"line \\\"one\\\"\\n  ...\\nok 9\"\n  ...\n";
    assert_eq!(text_of(dir.path(), "results.tap"), expected);
}

#[test]
fn a_job_summary_is_appended_and_guests_write_no_markdown() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("summary.md");
    std::fs::write(&file, "of the step before\n").expect("a file");
    let nasty = "<b>| [x](y) **b** `c` @someone #1";
    let records = run([
        console("[    4.2] Oops: ``` ````"),
        subtest(1, nasty),
        end(1, Some("no")),
        (0, None, Event::Log { level: Level::Error, text: nasty.to_owned() }),
    ]);
    feed(&mut JobSummary::new(&file, dir.path()), &records);
    let text = text_of(dir.path(), "summary.md");
    let row = r"| ❌ | &lt;b\>\| \[x\]\(y\) \*\*b\*\* \`c\` &#64;someone &#35;1 | 10 ms |";
    assert!(text.starts_with("of the step before\n### ✅ example: passed, 1 min 00 s\n"), "{text}");
    assert!(text.contains(row), "{text}");
    let found = "server: kernel oops (oops): `[    4.2] Oops: ``` `````";
    assert!(text.ends_with(&format!("\n``````text\n{found}\n``````\n\n")), "{text}");
}

#[test]
fn a_job_summary_of_a_failure_has_the_ends_of_consoles_and_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("summary.md");
    let mut records = run((0..60).map(|_| console("</details> `x`")));
    feed(&mut JobSummary::new(&file, dir.path()), &records);
    assert!(!text_of(dir.path(), "summary.md").contains("console"), "it has passed");
    // A run that was killed.
    records.pop();
    feed(&mut JobSummary::new(&file, dir.path()), &records);
    let text = text_of(dir.path(), "summary.md");
    let (_, shown) = text
        .split_once("<summary>The console of server, at its end</summary>\n\n```text\n")
        .expect("it is shown");
    let (lines, rest) = shown.split_once("\n```\n").expect("it ends");
    assert_eq!(lines.lines().count(), 24);
    assert_eq!(rest.trim(), "</details>");
}

#[test]
fn a_job_summary_tells_of_the_attempts_before() {
    let good = attempt(20, Outcome::Passed, None);
    let dir = tried_again(&[attempt(10, Outcome::MachineFailed, None), good.clone()]);
    let file = dir.path().join("summary.md");
    feed(&mut JobSummary::new(&file, dir.path()), &good);
    let text = text_of(dir.path(), "summary.md");
    assert!(
        text.starts_with("### ✅ example: passed, 1.00 s\n\nAttempt 1: machine failed (`machine_failed`)\n"),
        "{text}"
    );
}
