//! Views made again from the event file, in whatever state a killed driver left it.

use std::fs;
use std::path::Path;

use driver_core::Journal;
use driver_core::event::{Event, Level, Outcome, Record, ScopeKind};
use report::{EVENTS, ReportError, SubtestOutcome, Verdict, file_views, remake};

use crate::support::{console, feed, records, run, text_of};

const FILES: [&str; 4] = ["junit.xml", "log.txt", "console/server.log", "report.html"];

/// Four lines of a run that was killed with a subtest open.
fn killed_run() -> Vec<String> {
    let subtest =
        Event::ScopeStarted { id: 1, kind: ScopeKind::Subtest, text: "größe 🦀".to_owned(), file: None };
    let mut records = run([(0, None, subtest), console("booting"), console("größe \u{1b}[31m🦀")]);
    records.pop();
    records.iter().map(|record| serde_json::to_string(record).expect("JSON") + "\n").collect()
}

fn views_of(make: impl FnOnce(&Path)) -> [String; 4] {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path());
    FILES.map(|file| text_of(dir.path(), file))
}

#[test]
fn a_last_line_torn_anywhere_gives_the_views_up_to_there() {
    let lines = killed_run();
    let (last, before) = lines.split_last().expect("lines");
    let before = before.concat();
    let live = |text: &str| {
        views_of(|dir| {
            for mut view in file_views(dir).expect("the views") {
                feed(view.as_mut(), &records(text));
            }
        })
    };
    let (without, with) = (live(&before), live(&(before.clone() + last)));
    assert_ne!(without, with);
    for cut in 0..=last.len() {
        let whole = cut >= last.len() - 1;
        let remade = views_of(|dir| {
            let bytes = [before.as_bytes(), &last.as_bytes()[..cut]].concat();
            fs::write(dir.join(EVENTS), bytes).expect("the events");
            let (summary, unread) = remake(dir).expect("the views");
            assert_eq!(summary.verdict, Verdict::CutOff);
            assert_eq!(summary.subtests[0].outcome, SubtestOutcome::CutOff);
            assert_eq!((unread.torn, unread.broken), (!whole && cut > 0, 0), "cut at {cut}");
        });
        assert_eq!(&remade, if whole { &with } else { &without }, "cut at {cut}");
    }
}

#[test]
fn what_the_journal_wrote_gives_the_views_that_were_live() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::create(&dir.path().join(EVENTS), file_views(dir.path()).expect("the views"))
        .expect("a journal");
    for record in run([console("one"), console("two")]) {
        journal.emit(record.machine.as_deref(), record.event);
    }
    journal.close().expect("everything was written");
    let live = FILES.map(|file| text_of(dir.path(), file));
    for file in FILES {
        fs::remove_file(dir.path().join(file)).expect("the view was there");
    }
    let (summary, _) = remake(dir.path()).expect("the views");
    assert_eq!(summary.verdict, Verdict::Ended(Outcome::Passed));
    assert_eq!(summary.exit_status, Some(0));
    assert_eq!(FILES.map(|file| text_of(dir.path(), file)), live);
}

#[test]
fn broken_lines_are_counted_and_the_first_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lines = killed_run();
    lines.insert(2, "\u{0}\u{0}\u{0}\n".to_owned());
    lines.push("{}\n".to_owned());
    fs::write(dir.path().join(EVENTS), lines.concat()).expect("the events");
    let (_, unread) = remake(dir.path()).expect("the views");
    assert_eq!(unread.warnings(), ["lines that are no records were left out (2, first line 3)"]);
    assert!(text_of(dir.path(), "console/server.log").starts_with("booting\n"));
}

#[test]
fn a_directory_without_a_run_says_so_and_keeps_its_files() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(remake(dir.path()), Err(ReportError::Read { .. })));
    fs::write(dir.path().join("log.txt"), "mine").expect("a file");
    let log_line = &run([(0, None, Event::Log { level: Level::Info, text: "hi".to_owned() })])[1];
    for events in
        [String::new(), "{\"seq\":0,\"t_us\"".to_owned(), serde_json::to_string(log_line).expect("JSON")]
    {
        fs::write(dir.path().join(EVENTS), events).expect("the events");
        assert!(matches!(remake(dir.path()), Err(ReportError::NoRun { .. })));
    }
    let newer = killed_run()[0].replace("\"format\":1", "\"format\":99");
    fs::write(dir.path().join(EVENTS), newer).expect("the events");
    let error = remake(dir.path()).expect_err("a newer format").to_string();
    assert!(error.contains("has format 99") && error.contains("version 0.1.0"), "{error}");
    assert_eq!(text_of(dir.path(), "log.txt"), "mine");
}

#[test]
fn the_reports_of_a_run_that_goes_on_are_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines: Vec<String> =
        run([]).iter().map(|record| serde_json::to_string(record).expect("JSON") + "\n").collect();
    fs::write(dir.path().join(EVENTS), lines.concat()).expect("the events");
    fs::write(dir.path().join("log.txt"), "half a log").expect("a log");
    let lock = report::lock(dir.path()).expect("a lock").expect("nobody else has it");
    let error = remake(dir.path()).expect_err("it is being written to");
    assert_eq!(
        error.to_string(),
        format!("a run is writing to `{}` (wait for its end)", dir.path().display())
    );
    let page = dir.path().join("all.html");
    let summaries = report::merge(&[dir.path().to_owned()], &page).expect("a page");
    assert_eq!(summaries[0].test, "example");
    assert_eq!(text_of(dir.path(), "log.txt"), "half a log");
    drop(lock);
    remake(dir.path()).expect("the views");
    assert_ne!(text_of(dir.path(), "log.txt"), "half a log");
}

/// What lies between two texts of a page.
fn part<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("{from} is missing"));
    rest.split_once(to).unwrap_or_else(|| panic!("{to} is missing")).0
}

#[test]
fn the_page_of_a_killed_run_is_that_of_one_that_ended_but_for_the_end() {
    let picture = Event::Frame { path: "frames/server.0001.png".to_owned() };
    let mut whole = run([
        (
            0,
            None,
            Event::ScopeStarted { id: 1, kind: ScopeKind::Subtest, text: "one".to_owned(), file: None },
        ),
        console("booting"),
        (1, Some("server"), Event::Log { level: Level::Warning, text: "odd".to_owned() }),
        (0, Some("server"), picture),
        (0, None, Event::ScopeEnded { id: 1, duration_us: 5, error: None }),
        console("[    4.2] Oops: 0002"),
    ]);
    // The end comes at the moment of the last event, or the time line would be longer.
    let [.., last, end] = whole.as_mut_slice() else { panic!("a run has an end") };
    end.t_us = last.t_us;
    if let Event::RunEnded(ended) = &mut end.event {
        ended.duration_us = last.t_us;
    }
    let cut_off = &whole[..whole.len() - 1];
    let page = |records: &[Record]| {
        let dir = tempfile::tempdir().expect("a directory");
        let lines: String =
            records.iter().map(|record| serde_json::to_string(record).expect("JSON") + "\n").collect();
        fs::write(dir.path().join(EVENTS), lines).expect("the events");
        remake(dir.path()).expect("the views");
        text_of(dir.path(), "report.html")
    };
    let (clean, killed) = (page(&whole), page(cut_off));
    assert_ne!(clean, killed);
    for (from, to) in [
        ("<h2>Found on the consoles</h2>", "<h2>Machine</h2>"),
        ("<pre class=\"console\"", "</pre>"),
        ("<section id=\"timeline\"", "</section>"),
        ("<section id=\"log\"", "</section>"),
        ("<section id=\"films\"", "</section>"),
        ("<div id=\"data\"", "</html>"),
    ] {
        assert_eq!(part(&clean, from, to), part(&killed, from, to), "{from}");
    }
    let verdict = |page| part(page, "<title>", "</title>").to_owned();
    assert_eq!([verdict(&clean), verdict(&killed)], ["example: passed", "example: cut off"]);
}
