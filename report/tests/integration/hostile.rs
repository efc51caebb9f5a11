//! Guests that print what they should not: nothing of it reaches a terminal or breaks a report.

use std::time::{Duration, Instant};

use driver_core::event::{Event, Level, ScopeKind};
use quick_xml::Reader;
use quick_xml::events::Event as Xml;
use report::{Verbosity, file_views};

use crate::support::{console, feed, run, show, text_of};

/// Every character below U+0300 and the odd ones above, in one line.
fn everything() -> String {
    let odd =
        ['\u{61c}', '\u{200e}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{fffe}', '\u{ffff}', '🦀'];
    (0..0x300).filter_map(char::from_u32).chain(odd).collect::<String>()
        + "\u{1b}]0;title\u{7}]]></system-out>"
}

fn hostile_run() -> Vec<driver_core::event::Record> {
    let text = everything;
    run([
        console(&text()),
        (
            0,
            Some("server"),
            Event::ScopeStarted { id: 1, kind: ScopeKind::Subtest, text: text(), file: None },
        ),
        (1, Some("server"), Event::Log { level: Level::Error, text: text() }),
        (0, Some("server"), Event::ScopeEnded { id: 1, duration_us: 1, error: Some(text()) }),
    ])
}

#[test]
fn nothing_that_a_terminal_obeys_reaches_it() {
    let (log, _) = show(&hostile_run(), false, Verbosity::Verbose);
    let obeyed: Vec<char> = log.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t')).collect();
    assert!(obeyed.is_empty(), "{obeyed:?}");
    assert!(!log.contains(['\u{61c}', '\u{200e}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{feff}']));
    assert!(log.contains(r"\u{1b}]0;title\u{7}") && log.contains('🦀') && log.contains("äåæ"));
}

#[test]
fn junit_stays_well_formed() {
    let dir = tempfile::tempdir().expect("a directory");
    for mut view in file_views(dir.path()).expect("the views") {
        feed(view.as_mut(), &hostile_run());
    }
    let xml = text_of(dir.path(), "junit.xml");
    let invalid =
        |c: char| (c < ' ' && !matches!(c, '\n' | '\t' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!xml.contains(invalid));
    let mut reader = Reader::from_str(&xml);
    reader.config_mut().check_end_names = true;
    let mut cases = 0;
    loop {
        match reader.read_event().expect("well-formed XML") {
            Xml::Start(tag) if tag.name().as_ref() == b"testcase" => cases += 1,
            Xml::Eof => break,
            _ => {}
        }
    }
    assert_eq!(cases, 2);
    assert!(text_of(dir.path(), "console/server.log").starts_with(&everything()));
}

#[test]
fn a_guest_that_prints_without_end_slows_nothing_down_and_bloats_no_report() {
    let records = run((0..100_000).map(|number| console(&format!("[{number:>9}] {}", "x".repeat(80)))));
    let dir = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    for mut view in file_views(dir.path()).expect("the views") {
        feed(view.as_mut(), &records);
    }
    show(&records, true, Verbosity::Normal);
    // Two seconds in an unoptimised build on a busy machine; quadratic work would take minutes.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let xml = text_of(dir.path(), "junit.xml");
    assert!(xml.len() < 2 << 20, "{} bytes", xml.len());
    assert!(xml.contains("earlier entries are left out here; see log.txt"), "the reader is told");
    assert_eq!(text_of(dir.path(), "console/server.log").lines().count(), 100_000);
}
