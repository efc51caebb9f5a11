//! Scopes of several threads: starts and ends pair up, and times are counted once.

use driver_core::Journal;
use driver_core::event::{Event, ScopeKind};
use report::{Verbosity, remake};

use crate::support::{Written, console, run, show, terminal, text_of};

#[test]
fn starts_and_ends_pair_up_whatever_the_order() {
    let log = Written::default();
    let view = terminal(&log, &Written::default(), false, Verbosity::Normal);
    let journal = Journal::in_memory(vec![Box::new(view)]);
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let journal = journal.clone();
            threads.spawn(move || {
                for step in 0..50 {
                    let text = format!("step {thread}-{step}");
                    let outer = journal.open_scope(0, Some("server"), ScopeKind::Step, text, None);
                    let text = format!("inner {thread}-{step}");
                    let inner = journal.open_scope(outer.id(), Some("server"), ScopeKind::Step, text, None);
                    journal.close_scope(&inner, (step % 2 == 1).then(|| "broken".to_owned()));
                    journal.close_scope(&outer, None);
                }
            });
        }
    });
    journal.close().expect("everything was shown");
    let log = log.text();
    let position = |line: &str| {
        let found: Vec<_> = log.match_indices(line).collect();
        assert_eq!(found.len(), 1, "{line}");
        found[0].0
    };
    for (thread, step) in (0..8).flat_map(|thread| (0..50).map(move |step| (thread, step))) {
        let verb = if step % 2 == 1 { "failed" } else { "finished" };
        let order = [
            position(&format!("server: step {thread}-{step}\n")),
            position(&format!("server: inner {thread}-{step}\n")),
            position(&format!("server: ({verb}: inner {thread}-{step}, in 0.")),
            position(&format!("server: (finished: step {thread}-{step}, in 0.")),
        ];
        assert!(order.is_sorted(), "{thread}-{step}: {order:?}");
    }
}

fn subtest(id: u64, name: &str) -> Event {
    Event::ScopeStarted { id, kind: ScopeKind::Subtest, text: name.to_owned(), file: None }
}

fn end(id: u64, error: Option<&str>) -> Event {
    Event::ScopeEnded { id, duration_us: 1, error: error.map(str::to_owned) }
}

/// Two subtests at the same time, one of them with another inside; and a name that comes twice. Records
/// are ten milliseconds apart.
#[test]
fn own_times_leave_inner_subtests_out_and_equal_names_are_one_case() {
    let records = run([
        (0, None, subtest(1, "left")),
        (0, None, subtest(2, "right")),
        (2, None, subtest(3, "inner")),
        console("while inner runs"),
        (2, None, end(3, None)),
        (0, None, end(1, None)),
        (0, None, end(2, None)),
        (0, None, subtest(4, "left")),
        (0, None, end(4, Some("second time unlucky"))),
    ]);
    let dir = tempfile::tempdir().expect("a directory");
    let lines: Vec<_> = records.iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    std::fs::write(dir.path().join(report::EVENTS), lines.join("\n")).expect("the events");
    let (summary, _) = remake(dir.path()).expect("the views");
    let times: Vec<_> = summary
        .subtests
        .iter()
        .map(|subtest| {
            (subtest.name.as_str(), subtest.depth, subtest.duration.as_millis(), subtest.own_time.as_millis())
        })
        .collect();
    assert_eq!(times, [("left", 0, 60, 60), ("right", 0, 50, 30), ("inner", 1, 20, 20)]);
    assert_eq!(summary.main_time.as_millis(), 60_000 - 60 - 10);
    assert_eq!(summary.subtests[0].outcome.message(), Some("second time unlucky"));

    let xml = text_of(dir.path(), "junit.xml");
    assert!(xml.contains(r#"tests="4" failures="1" errors="0""#), "{xml}");
    let inner =
        xml.split_once("name=\"inner\"").expect("the case").1.split_once("</testcase>").expect("its end").0;
    assert!(inner.contains("while inner runs"), "console lines belong to the subtest that began last: {xml}");
    assert!(show(&records, false, Verbosity::Quiet).0.contains("2 of 3 subtests passed"));
}
