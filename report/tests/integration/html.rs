//! `report.html` without a browser: what is in the file, and that nothing in it can be obeyed.

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver_core::event::{Event, FileKind, Level, Outcome, Record, RunEnded, ScopeKind};
use driver_core::vlan::{Fault, FaultId};
use flate2::read::GzDecoder;
use report::{EVENTS, HtmlPage, remake};
use tempfile::TempDir;

use crate::support::{attempt, console, feed, run, text_of, tried_again};

fn page_of(records: &[Record]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    page_in(&dir, records)
}

fn page_in(dir: &TempDir, records: &[Record]) -> String {
    feed(&mut HtmlPage::new(dir.path()), records);
    text_of(dir.path(), "report.html")
}

/// The rows of the log that the page carries.
fn rows(page: &str) -> Vec<serde_json::Value> {
    let blocks = page.split("<script type=\"application/octet-stream\" data-rows=").skip(1);
    blocks
        .flat_map(|block| {
            let (_, packed) = block.split_once('>').expect("the tag ends");
            let packed = packed.split('<').next().unwrap_or_default();
            let mut json = String::new();
            let packed = STANDARD.decode(packed).expect("base64");
            GzDecoder::new(packed.as_slice()).read_to_string(&mut json).expect("gzip");
            serde_json::from_str::<Vec<serde_json::Value>>(&json).expect("JSON")
        })
        .collect()
}

fn failed(message: &str) -> Vec<Record> {
    let step = Event::ScopeStarted {
        id: 1,
        kind: ScopeKind::Step,
        text: "must succeed: false".to_owned(),
        file: None,
    };
    let mut records = run([
        console("booting"),
        (0, Some("server"), step),
        (
            0,
            Some("server"),
            Event::ScopeEnded { id: 1, duration_us: 1, error: Some("exit code 1".to_owned()) },
        ),
    ]);
    let ended = RunEnded {
        outcome: Outcome::Failed,
        kind: None,
        message: Some(message.to_owned()),
        duration_us: 60_000_000,
        exit_status: 1,
    };
    records.last_mut().expect("a last record").event = Event::RunEnded(ended);
    records
}

#[test]
fn the_first_screen_tells_verdict_line_message_and_console() {
    let page = page_of(&failed("command `false` failed\ntest.py, line 7: `server.succeed(\"false\")`"));
    let (before_the_log, _) = page.split_once("id=\"log\"").expect("the page has a log");
    for text in [
        "<title>example: failed</title>",
        "<code>test.py, line 7: `server.succeed(&#34;false&#34;)`</code>",
        "<pre>command `false` failed</pre>",
        "booting\n",
        "must succeed: false",
    ] {
        assert!(before_the_log.contains(text), "{text:?} is missing in {before_the_log}");
    }
}

/// Text that would be obeyed by a browser in one place or another of a page.
const NASTY: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'>&lt;\u{1b}[31m\u{202e}";

#[test]
fn nothing_that_a_guest_or_a_script_says_becomes_part_of_the_page() {
    let start = |id, kind| Event::ScopeStarted { id, kind, text: NASTY.to_owned(), file: None };
    let end = |id| Event::ScopeEnded { id, duration_us: 1, error: Some(NASTY.to_owned()) };
    let mut records = failed(NASTY);
    let last = records.pop().expect("a last record");
    let file = |kind| Event::FileSaved { kind, path: NASTY.to_owned() };
    let further = run([
        console(NASTY),
        (0, None, start(2, ScopeKind::Subtest)),
        (2, Some("server"), start(3, ScopeKind::Step)),
        (2, Some("server"), Event::Log { level: Level::Error, text: NASTY.to_owned() }),
        (2, Some("server"), file(FileKind::Screenshot)),
        (2, Some("server"), file(FileKind::Copied)),
        (2, Some("server"), end(3)),
        (0, None, end(2)),
    ]);
    records.extend(further.into_iter().skip(1).filter(|record| !matches!(record.event, Event::RunEnded(_))));
    records.push(last);
    let page = page_of(&records);
    assert_eq!(page.matches("alert(1)</script>").count(), 0);
    assert!(!page.contains("<img src=x") && !page.contains(['\u{1b}', '\u{202e}']));
    assert!(page.contains("&#60;script&#62;alert(1)"), "it is shown as text");
    let told = rows(&page)
        .iter()
        .filter(|row| row[5].as_str().is_some_and(|text| text.contains("alert(1)")))
        .count();
    assert!(told >= 5, "the log has it, too: {told}");
    assert!(page.contains("script-src 'sha256-"), "no script but ours may run");
}

#[test]
fn the_page_reaches_nothing_outside_of_itself() {
    let page = page_of(&failed("no"));
    for text in ["http://", "https://", "@import", "url("] {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(text), "{text}");
    }
    for text in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!page.contains(text), "{text}: text would become part of the page");
    }
}

#[test]
fn pictures_are_inside_and_other_files_are_links() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("a b.png"), b"\x89PNG\r\n\x1a\n").expect("a picture");
    let saved = |kind, path: &str| (0, Some("server"), Event::FileSaved { kind, path: path.to_owned() });
    let records =
        run([saved(FileKind::Screenshot, "a b.png"), saved(FileKind::Copied, "logs/all of it.txt")]);
    let page = page_in(&dir, &records);
    assert!(page.contains("src=\"data:image/png;base64,iVBORw0KGgo=\""), "{page}");
    assert!(page.contains("href=\"./logs/all%20of%20it.txt\" download"), "{page}");
}

#[test]
fn faults_of_networks_and_waits_of_the_test_are_bars_in_its_lane() {
    let (vlan, fault) = (1, Fault::loss(30.0));
    let lasting = Fault::delay(Duration::from_millis(200), Duration::ZERO);
    let heading = "waiting for a packet on vlan 1: tcp".to_owned();
    let page = page_of(&run([
        (0, None, Event::FaultImposed { vlan, id: FaultId(1), fault: fault.clone() }),
        (0, None, Event::FaultImposed { vlan, id: FaultId(2), fault: lasting }),
        (0, None, Event::FaultLifted { vlan, id: FaultId(1), fault }),
        (0, None, Event::ScopeStarted { id: 1, kind: ScopeKind::Step, text: heading, file: None }),
        (1, None, Event::WaitLimit { limit_us: 5_000_000 }),
        (0, None, Event::ScopeEnded { id: 1, duration_us: 1, error: Some("no packet".to_owned()) }),
    ]));
    let (before_the_log, _) = page.split_once("id=\"log\"").expect("the page has a log");
    for text in [
        "<title>vlan 1: loss of 30 %\n20 ms, from 0:00.0</title>",
        "<title>vlan 1: delay of 200 ms\n59.9 s, from 0:00.0</title>",
        "<title>waiting for a packet on vlan 1: tcp\n20 ms of 5s at most, from 0:00.0, failed</title>",
        "waiting for a packet on vlan 1: tcp</a> <span class=\"quiet\">of 5s at most",
    ] {
        assert!(before_the_log.contains(text), "{text:?} is missing in {before_the_log}");
    }
    assert_eq!(page.matches("<svg class=\"bar fault\"").count(), 2);
    assert!(!page.contains("class=\"mark other\""), "no diamonds");
}

#[test]
fn events_of_later_versions_leave_the_page_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = failed("no");
    let lines: Vec<String> = records
        .iter()
        .map(|record| serde_json::to_string(record).expect("JSON"))
        .flat_map(|line| {
            let unknown =
                r#"{"seq":1,"t_us":5,"scope":0,"machine":"server","event":{"type":"net_fault","vlan":1}}"#;
            [line.replace("\"scope\":0", "\"scope\":0,\"later\":[1]"), unknown.to_owned()]
        })
        .collect();
    fs::write(dir.path().join(EVENTS), lines.join("\n") + "\n").expect("the events");
    remake(dir.path()).expect("the views");
    assert_eq!(text_of(dir.path(), "report.html"), page_of(&records));
}

#[test]
fn earlier_attempts_are_told_with_links_to_their_pages() {
    let attempts = [
        attempt(10, Outcome::Failed, None),
        attempt(20, Outcome::Passed, None),
        attempt(30, Outcome::Passed, None),
    ];
    let dir = tried_again(&attempts);
    let page = text_of(dir.path(), "report.html");
    let (_, told) = page.split_once("<dt>Earlier attempts</dt>").expect("they are told");
    let told = told.split("</div>").next().unwrap_or_default();
    assert!(told.contains(r#"<a href="./attempts/1/report.html">1</a> <span class="bad">"#), "{told}");
    assert!(told.contains("failed (assertion)") && told.contains("./attempts/2/report.html"), "{told}");

    report::merge(&[dir.path().to_owned()], &dir.path().join("all.html")).expect("a page");
    assert!(text_of(dir.path(), "all.html").contains("attempt 3"));
}
