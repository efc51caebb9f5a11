//! What real machines leave behind after a failure.

use std::fs;
use std::process::Command;

use browser::Browser;
use driver_core::event::{Event, Record};
use integration_tests::{Finished, Setup, need_vm, program};
use rustix::process::Signal;

use crate::{SOON, machine};

/// Boots to the end.
const UP: &str = "server.wait_for_unit(\"multi-user.target\")\n";

fn has(run: &Finished, name: &str, text: &str) {
    let content = run.text(&format!("evidence/server.{name}"));
    assert!(content.contains(text), "{text:?} is missing in {name}:\n{content}");
}

#[test]
fn a_failed_test_leaves_journal_units_screen_memory_and_a_video() {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!(
        "{UP}server.execute(\"systemd-run -u boom false\")\n\
         server.succeed(\"echo something new > /dev/tty1; sleep 3; false\")\n"
    );
    let run = Setup::new(&machine("base"), &script).args(&["--evidence", "full", "--video"]).run();
    run.assert_status(1);
    run.assert_kind(Some("command_failed"));
    has(&run, "journal.txt", "boom.service: Failed with result 'exit-code'");
    has(&run, "units.txt", "boom.service");
    has(&run, "dmesg.txt", "Linux version");
    has(&run, "processes.txt", "/sbin/init");
    has(&run, "control.txt", "qmp_capabilities");
    assert!(run.text("evidence/host.txt").contains("server: pid "));
    let memory = fs::read(run.out().join("evidence/server.memory.kdump")).unwrap();
    assert!(memory.starts_with(b"makedumpfile") && memory.len() > 10 << 20, "{} bytes", memory.len());
    assert!(fs::read(run.out().join("video/server.apng")).unwrap().starts_with(b"\x89PNG"));
    assert!(run.text("video/server.vtt").contains("must succeed: echo something new"));
    page_has_it(&run);
    a_killed_driver_would_have_left_the_same(&run);
}

/// The page of the events without their end is that of all of them, but for what the end says.
fn a_killed_driver_would_have_left_the_same(run: &Finished) {
    let events = run.text("events.jsonl");
    let mut lines: Vec<&str> = events.lines().collect();
    let end = lines.pop().expect("an end");
    let last: Record = serde_json::from_str(lines.last().expect("a record")).expect("a record");
    let mut end: Record = serde_json::from_str(end).expect("a record");
    // At the moment of the last event, or the time line would be longer.
    end.t_us = last.t_us;
    let Event::RunEnded(ended) = &mut end.event else { panic!("{end:?}") };
    ended.duration_us = last.t_us;
    let cut = lines.join("\n") + "\n";
    let whole = cut.clone() + &serde_json::to_string(&end).expect("JSON") + "\n";
    let [whole, cut] = [whole, cut].map(|events| {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("events.jsonl"), events).expect("the events");
        Command::new(program()).arg("report").arg(dir.path()).output().expect("the program starts");
        fs::read_to_string(dir.path().join("report.html")).expect("a page")
    });
    assert_ne!(whole, cut);
    for (from, to) in [
        ("<h2>Machine</h2>", "</section>"),
        ("<section id=\"timeline\"", "</section>"),
        ("<section id=\"films\"", "</section>"),
        ("<div id=\"data\"", "</html>"),
    ] {
        let part =
            |page: &str| page.split_once(from).and_then(|(_, rest)| Some(rest.split_once(to)?.0.to_owned()));
        assert!(part(&whole).is_some_and(|text| Some(text) == part(&cut)), "{from} differs");
    }
}

/// The page links to the evidence, and its reader can leaf through the screens.
fn page_has_it(run: &Finished) {
    let Some(browser) = Browser::start() else { return };
    browser.open(&run.out().join("report.html"), "");
    browser.wait_until("'ready' in document.documentElement.dataset");
    assert!(browser.text(".evidence").contains("journal.txt"), "{}", browser.text(".evidence"));
    let first = browser.ask("return document.querySelector('.film img').src;");
    // To the first picture by the keyboard.
    browser.press(".film input", "\u{e011}");
    browser.wait_until(&format!("document.querySelector('.film img').src != {first}"));
    browser.wait_until("document.querySelector('.film img').naturalWidth > 100");
    browser.wait_until("document.querySelector('.film .caption').textContent != ''");
    // A video is a picture to a browser.
    browser.ask(
        "const video = new Image(); video.src = document.querySelector('figcaption a[href$=apng]').href; \
         video.onload = () => { document.body.dataset.video = video.naturalWidth; };",
    );
    browser.wait_until("Number(document.body.dataset.video) > 100");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_guest_that_panicked_left_its_last_screen_and_a_killed_driver_the_frames() {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("{UP}print('up', flush=True)\nserver.succeed(\"sleep 600\")\n");
    let run = Setup::new(&machine("base"), &script).arg("--video").start();
    run.wait_for_script("up");
    run.wait_for("a frame", |record: &Record| matches!(record.event, Event::Frame { .. }));
    run.signal(Signal::KILL);
    let run = run.finish_within(SOON);
    run.assert_status(137);
    let report = Command::new(program()).arg("report").arg(run.out()).output().unwrap();
    assert_eq!(report.status.code(), Some(3), "{report:?}");
    assert!(fs::read(run.out().join("video/server.apng")).unwrap().starts_with(b"\x89PNG"));
    assert!(run.text("report.html").contains("class=\"film\""));

    let script = format!("{UP}server.succeed(\"echo c > /proc/sysrq-trigger; sleep 600\")\n");
    let run = Setup::new(&machine("base"), &script).run();
    run.assert_kind(Some("guest_panic"));
    assert!(fs::read(run.out().join("evidence/server.screen.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(!run.out().join("evidence/server.journal.txt").exists());
    has(&run, "control.txt", "GUEST_PANICKED");
}
