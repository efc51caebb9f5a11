//! `report.html` in a browser: it opens without a complaint, and what a reader clicks and types works.

use std::path::{Path, PathBuf};
use std::time::Duration;

use browser::{Browser, Screen};
use driver_core::event::{Event, Level, Outcome, Record, ScopeKind};
use report::{Doctor, EVENTS, HtmlPage, remake};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{console, feed, run};

/// A page on the disk, and a browser.
struct Opened {
    browser: Browser,
    page: PathBuf,
    _dir: TempDir,
}

impl Opened {
    fn of(records: &[Record]) -> Option<Self> {
        let browser = Browser::start()?;
        let dir = tempfile::tempdir().expect("a directory");
        feed(&mut HtmlPage::new(dir.path()), records);
        let opened = Self { browser, page: dir.path().join("report.html"), _dir: dir };
        opened.at("");
        Some(opened)
    }

    /// Opens the page at a place of it, and waits until it has read its log.
    fn at(&self, place: &str) {
        self.browser.open(&self.page, place);
        self.browser.wait_until("'ready' in document.documentElement.dataset");
    }

    fn assert_no_complaint(&self) {
        assert_eq!(self.browser.complaints(), [""; 0]);
    }

    /// The texts of the rows that are drawn.
    fn rows(&self) -> Vec<String> {
        self.texts(".row .text")
    }

    fn texts(&self, selector: &str) -> Vec<String> {
        let script =
            format!("return [...document.querySelectorAll({selector:?})].map((e) => e.textContent);");
        serde_json::from_value(self.browser.ask(&script)).expect("texts")
    }

    fn wait_for_row(&self, selector: &str, text: &str) {
        let script = format!(
            "[...document.querySelectorAll({:?})].some((e) => e.textContent.includes({text:?}))",
            format!("{selector} .text")
        );
        self.browser.wait_until(&script);
    }

    fn address(&self) -> String {
        self.browser.ask("return location.hash;").as_str().expect("an address").to_owned()
    }
}

fn step(id: u64, text: &str) -> Event {
    Event::ScopeStarted { id, kind: ScopeKind::Step, text: text.to_owned(), file: None }
}

fn end(id: u64, error: Option<&str>) -> Event {
    Event::ScopeEnded { id, duration_us: 5_000, error: error.map(str::to_owned) }
}

/// Two machines; a step in a step that passed, one that failed, console lines, an error.
fn two_machines() -> Vec<Record> {
    let log = |level, text: &str| Event::Log { level, text: text.to_owned() };
    let line = |text: &str| Event::Console { line: text.to_owned() };
    run([
        (0, None, step(1, "run the VM test script")),
        console("server: the kernel starts"),
        (0, Some("client"), line("client: the kernel starts")),
        (1, Some("server"), step(2, "waiting for unit web")),
        (2, Some("server"), log(Level::Info, "deep inside")),
        (1, Some("server"), end(2, None)),
        (1, Some("client"), step(3, "must succeed: curl server")),
        (1, Some("client"), end(3, Some("exit code 7"))),
        console("server: the last words"),
        (1, None, log(Level::Error, "Traceback\n  in line 3\nno")),
        (0, None, end(1, Some("no"))),
    ])
}

#[test]
fn steps_fold_machines_and_kinds_are_chosen_and_the_address_says_so() {
    let Some(page) = Opened::of(&two_machines()) else { return };
    page.wait_for_row(".row", "exit code 7");
    assert!(
        !page.rows().iter().any(|row| row == "deep inside" || row.contains("kernel")),
        "{:?}",
        page.rows()
    );

    page.browser.click(".row.k-step:nth-child(2) .text");
    page.wait_for_row(".row", "deep inside");

    page.browser.click("#kinds label:nth-child(4)");
    page.wait_for_row(".k-console", "client: the kernel starts");
    page.browser.click("#machine option:nth-child(2)");
    page.browser.wait_until("!document.querySelector('#space').textContent.includes('client: the')");
    page.wait_for_row(".k-console", "server: the kernel starts");
    page.browser.wait_until("location.hash.includes('m=server') && location.hash.includes('console')");

    let address = page.address();
    page.at(&address);
    page.wait_for_row(".k-console", "server: the kernel starts");
    assert!(!page.rows().iter().any(|row| row.contains("client")), "{:?}", page.rows());

    let heights = page
        .browser
        .ask("return [...new Set([...document.querySelectorAll('.row')].map((r) => r.offsetHeight))];");
    assert_eq!(heights, json!([20]), "rows are as high as the list takes them for");

    page.browser.click("#level option[value=error]");
    page.browser.wait_until("!document.querySelector('#space .k-console')");
    page.assert_no_complaint();
}

#[test]
fn the_search_finds_folded_lines_and_offers_those_that_are_not_shown() {
    let Some(page) = Opened::of(&two_machines()) else { return };
    page.browser.press("#query", "deep");
    page.wait_for_row(".row.hit", "deep inside");
    assert_eq!(page.texts("mark"), ["deep"]);
    assert_eq!(page.browser.text("#matches"), "1 of 1");

    page.browser.ask("document.querySelector('#query').select();");
    page.browser.press("#query", "THE KERNEL");
    page.browser.wait_until("document.querySelector('#matches').textContent == 'nothing found'");
    assert_eq!(page.browser.text("#hidden-matches"), "2 more in hidden lines");
    page.browser.click("#hidden-matches");
    page.wait_for_row(".row.hit", "server: the kernel starts");
    page.browser.click("#next");
    page.wait_for_row(".row.hit", "client: the kernel starts");
    page.browser.click("#only");
    page.browser.wait_until("document.querySelectorAll('.row').length == 2");
    page.assert_no_complaint();
}

#[test]
fn a_link_leads_to_its_line_whatever_hides_it() {
    let Some(page) = Opened::of(&two_machines()) else { return };
    // Folded in a step; a console line, which no box lets through at first; an error from the first screen.
    for (place, text) in [("#l=5", "deep inside"), ("#l=2", "server: the kernel starts")] {
        page.at(place);
        page.wait_for_row(".row.picked", text);
        assert_eq!(page.browser.text("#detail-text"), text);
    }
    page.at("");
    page.browser.click(".what a[href='#l=7']");
    page.wait_for_row(".row.picked", "must succeed: curl server");
    page.assert_no_complaint();
}

#[test]
fn the_first_screen_leads_to_the_line_on_the_console_that_failed_the_test() {
    let mut records = run([console("[    4.2] Oops: 0002 [#1] PREEMPT SMP"), console("and on it goes")]);
    if let Event::RunStarted(run) = &mut records[0].event {
        run.console.fail.push("oops".to_owned());
    }
    let mut doctor = Doctor::default();
    records.iter().for_each(|record| doctor.observe(record));
    let message = doctor.objection();
    if let Some(Event::RunEnded(end)) = records.last_mut().map(|record| &mut record.event) {
        (end.outcome, end.message) = (Outcome::Failed, message);
    }
    let Some(page) = Opened::of(&records) else { return };
    assert!(page.browser.text(".reason .kind").contains("a console shows what the test does not allow"));
    page.browser.click("#to-problem");
    page.wait_for_row(".row.picked", "Oops: 0002");
    page.assert_no_complaint();
}

#[test]
fn the_keyboard_is_enough() {
    let Some(page) = Opened::of(&two_machines()) else { return };
    page.browser.press("body", "e");
    page.wait_for_row(".row.picked", "exit code 7");
    page.browser.press("body", "e");
    page.wait_for_row(".row.picked", "Traceback");
    assert_eq!(page.browser.text("#detail-text"), "Traceback\n  in line 3\nno");
    // Home, down, right: the first step inside opens.
    page.browser.press("#rows", "\u{e011}\u{e015}\u{e014}");
    page.wait_for_row(".row", "deep inside");
    page.browser.press("#rows", "\u{e012}");
    page.browser.wait_until("!document.querySelector('#space').textContent.includes('deep inside')");
    page.browser.press("body", "/");
    page.browser.wait_until("document.activeElement.id == 'query'");
    page.browser.press("#rows", "?");
    page.browser.wait_until("document.querySelector('#help').open");
    page.assert_no_complaint();
}

#[test]
fn the_time_line_grows_around_what_happens_or_the_mouse() {
    // A boot of a second, and three short steps after it.
    let mut records = run([
        (0, Some("server"), step(1, "waiting for the boot")),
        (0, Some("server"), end(1, None)),
        (0, Some("server"), step(2, "one")),
        (0, Some("server"), end(2, None)),
        (0, Some("server"), step(3, "two")),
        (0, Some("server"), end(3, None)),
        (0, Some("server"), step(4, "three")),
        (0, Some("server"), end(4, None)),
    ]);
    for record in &mut records {
        if record.seq > 1 {
            record.t_us += 1_000_000;
        }
        if let Event::RunEnded(end) = &mut record.event {
            end.duration_us = record.t_us;
        }
    }
    let Some(page) = Opened::of(&records) else { return };
    let in_sight = "return [...document.querySelectorAll('.bar')].map((bar) => {
        const [frame, box] = [document.querySelector('.drawings'), bar.querySelector('rect')].map((e) => e.getBoundingClientRect());
        return box.left >= frame.left - 1 && box.right <= frame.right + 1; });";
    assert_eq!(page.browser.ask(in_sight), json!([true, true, true, true]));
    page.browser.ask(
        "const zoom = document.querySelector('#zoom'); zoom.value = 3; zoom.dispatchEvent(new Event('input'));",
    );
    assert_eq!(page.browser.ask(in_sight), json!([false, true, true, true]), "the boot is out of sight");

    page.at("");
    page.browser.ask(
        "const frame = document.querySelector('.drawings');
        for (let turn = 0; turn < 6; turn += 1) frame.dispatchEvent(new WheelEvent('wheel', { ctrlKey: true, deltaY: -1,
            clientX: frame.getBoundingClientRect().left + 2, cancelable: true }));",
    );
    assert_eq!(page.browser.ask(in_sight), json!([false, false, false, false]), "they are right of it");
    assert_eq!(page.browser.ask("return document.querySelector('.drawings').scrollLeft < 20;"), json!(true));
    page.assert_no_complaint();
}

#[test]
fn what_guests_print_stays_text() {
    let nasty = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\u{1b}[2J\u{202e}";
    let text = || nasty.to_owned();
    let records = run([
        console(nasty),
        (0, None, Event::ScopeStarted { id: 1, kind: ScopeKind::Subtest, text: text(), file: None }),
        (1, Some("server"), Event::Log { level: Level::Error, text: text() }),
        (0, None, end(1, Some(nasty))),
    ]);
    let Some(page) = Opened::of(&records) else { return };
    page.at("#k=steps.log.console");
    page.wait_for_row(".k-console", r"onerror=");
    page.browser.press("#query", "<img");
    page.wait_for_row(".row.hit", "<img src=x");
    let found = page.browser.ask(
        "return [document.title, document.querySelectorAll('[src=x]').length, \
         document.querySelector('.k-console .text').textContent];",
    );
    let shown = nasty.replace('\u{1b}', r"\u{1b}").replace('\u{202e}', r"\u{202e}");
    assert_eq!(found, json!(["example: passed", 0, shown]));
    page.assert_no_complaint();
}

#[test]
fn recorded_runs_open_on_every_screen_without_a_complaint() {
    let Some(browser) = Browser::start() else { return };
    for name in ["failed", "killed"] {
        let dir = tempfile::tempdir().expect("a directory");
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        std::fs::copy(golden.join(EVENTS), dir.path().join(EVENTS)).expect("the recorded events");
        remake(dir.path()).expect("the views");
        for (width, dark) in [(1280, false), (390, true)] {
            browser.screen(Screen { width, height: 800, dark });
            browser.open(&dir.path().join("report.html"), "");
            browser.wait_until("'ready' in document.documentElement.dataset");
            let wide = browser.ask("return document.documentElement.scrollWidth;");
            assert!(wide.as_u64().is_some_and(|wide| wide <= u64::from(width)), "{name} is {wide} wide");
            assert_eq!(faint_texts(&browser), [""; 0], "{name}, dark: {dark}");
        }
        // Its pictures were not recorded with it.
        let complaints = browser.complaints();
        assert!(complaints.iter().all(|line| line.contains(".png")), "{complaints:?}");
    }
}

/// Texts whose contrast with what is behind them is below 4.5 to 1.
fn faint_texts(browser: &Browser) -> Vec<String> {
    let script = "
        const channels = (colour) => {
            const canvas = faint.canvas ??= document.createElement('canvas').getContext('2d', { willReadFrequently: true });
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = (rgb) => rgb.slice(0, 3)
            .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        function faint(element) {
            const ink = channels(getComputedStyle(element).color);
            let behind = element;
            let paper;
            do {
                paper = channels(getComputedStyle(behind).backgroundColor);
                behind = behind.parentElement;
            } while (paper[3] === 0 && behind);
            const [a, b] = [light(ink), light(paper)].sort((one, other) => other - one);
            return (a + 0.05) / (b + 0.05) < 4.5;
        }
        const written = [...document.querySelectorAll('body *:not(svg *)')].filter((element) =>
            element.checkVisibility() && [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
        return written.filter(faint).map((e) => `${e.className}: ${e.textContent.slice(0, 40)}`);";
    serde_json::from_value(browser.ask(script)).expect("texts")
}

#[test]
fn two_hundred_thousand_lines_scroll_and_search_without_a_pause() {
    let line = |number: u32| {
        console(&format!(
            "[{:>12}] service[{}]: request {number} took {} ms",
            number * 7,
            number % 977,
            number % 89
        ))
    };
    let steps = (1..2_000).flat_map(|id| {
        let lines = (0..100).map(move |number| line(u32::try_from(id).unwrap_or_default() * 100 + number));
        let text = format!("must succeed: command {id}");
        let start = (0, Some("server"), Event::ScopeStarted { id, kind: ScopeKind::Step, text, file: None });
        std::iter::once(start).chain(lines).chain([(0, Some("server"), end(id, None))])
    });
    let Some(page) = Opened::of(&run(steps)) else { return };
    page.at("#k=steps.log.output.console.debug");
    page.browser.wait_until("document.querySelector('#state').textContent.startsWith('201,')");
    let within = |limit_ms: u64, what: &str, script: &str| {
        let effort = page.browser.effort(script);
        assert!(effort < Duration::from_millis(limit_ms), "{what} takes {effort:?}");
    };
    let quick = |what: &str, script: &str| within(100, what, script);
    // A host that has other things to do makes pauses of its own, but not each time.
    let calm = |what: &str, script: &str| {
        let shortest =
            (0..10).map(|_| page.browser.longest_pause(script)).find(|pause| pause.as_millis() <= 100);
        assert!(shortest.is_some(), "{what}: the page does not answer for over 100 ms, each time");
    };
    for tenth in 1..=10 {
        let script =
            format!("const r = document.querySelector('#rows'); r.scrollTop = r.scrollHeight * {tenth} / 10");
        quick("scrolling", &script);
        calm("scrolling", &script);
    }
    for (text, told) in [
        ("request 1234", "1 of 111"),
        ("e", "of 201,"),
        ("no such text", "nothing"),
        ("took 88 ms", "of 2,2"),
    ] {
        let script = format!(
            "const query = document.querySelector('#query');
            document.querySelector('#matches').textContent = '';
            query.value = {text:?};
            query.dispatchEvent(new Event('input', {{ bubbles: true }}));
            while (!document.querySelector('#matches').textContent.includes({told:?})) await frame();"
        );
        // In pieces of 12 ms, between which the page answers.
        within(500, "searching", &script);
        calm("searching", &script);
    }
    for _ in 0..10 {
        quick("going to the next match", "document.querySelector('#next').click()");
    }
    quick("showing matches alone", "document.querySelector('#only').click()");
    quick("showing all again", "document.querySelector('#only').click()");
    quick("hiding steps", "document.querySelector('#kinds input').click()");
    page.assert_no_complaint();
}

#[test]
fn a_line_full_of_matches_has_a_bounded_number_of_marks() {
    let many = Event::Log { level: Level::Info, text: "a".repeat(5_000) };
    let Some(page) = Opened::of(&run([(0, None, many)])) else { return };
    page.browser.press("#query", "a");
    page.browser.wait_until("document.querySelectorAll('mark').length > 0");
    let marks = page.browser.ask("return document.querySelectorAll('mark').length;");
    assert_eq!(marks, json!(200));
    page.assert_no_complaint();
}
