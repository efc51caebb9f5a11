//! The terminal: who gets colours and a live area, and what each verbosity shows.

use std::io::{self, Write};
use std::path::Path;

use driver_core::Reporter as _;
use driver_core::event::{Event, Level, OutputStream, ScopeKind};
use report::{Look, Terminal, Verbosity};

use crate::support::{Written, console, run, show};

#[test]
fn colours_and_live_area_follow_the_conventions() {
    let (full, plain, colours, live) = (
        Look { colours: true, live: true },
        Look::default(),
        Look { colours: true, live: false },
        Look { colours: false, live: true },
    );
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(bool, Variables, Look); 11] = [
        (true, &[("TERM", "xterm")], full),
        (false, &[("TERM", "xterm")], plain),
        (true, &[], full),
        (true, &[("NO_COLOR", "1")], live),
        (true, &[("NO_COLOR", "")], full),
        (true, &[("TERM", "dumb")], plain),
        (true, &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], colours),
        (false, &[("CLICOLOR_FORCE", "1")], colours),
        (false, &[("CLICOLOR_FORCE", "0")], plain),
        (false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], plain),
        (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], live),
    ];
    for (is_terminal, variables, expected) in cases {
        let look = Look::detect(is_terminal, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!(look, expected, "terminal: {is_terminal}, {variables:?}");
    }
}

#[test]
fn verbosity_decides_what_is_shown() {
    let records = run([
        (
            0,
            None,
            Event::ScopeStarted { id: 1, kind: ScopeKind::Step, text: "a step".to_owned(), file: None },
        ),
        console("a console line"),
        (1, None, Event::Log { level: Level::Debug, text: "a detail".to_owned() }),
        (1, None, Event::Log { level: Level::Error, text: "an error".to_owned() }),
        (1, None, Event::ScriptOutput { stream: OutputStream::Stdout, line: "printed".to_owned() }),
    ]);
    let shown = [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose].map(|verbosity| {
        let (log, script) = show(&records, false, verbosity);
        assert_eq!(script, "printed\n");
        assert!(!log.contains('\u{1b}'));
        ["an error", "a step", "a console line", "a detail"].map(|text| log.contains(text))
    });
    assert_eq!(shown, [[true, false, false, false], [true, true, true, false], [true; 4]]);
}

/// A pipe whose reader has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_standard_output_does_not_end_the_log() {
    let line =
        |text: &str| (0, None, Event::ScriptOutput { stream: OutputStream::Stdout, line: text.to_owned() });
    let log = Written::default();
    let path = Path::new("result");
    let mut terminal = Terminal::new(Box::new(log.clone()), Box::new(Closed), false, Verbosity::Normal, path);
    for record in run([line("lost"), console("still shown")]) {
        terminal.record(&record).expect("the log goes on");
    }
    let error = terminal.finish().expect_err("the loss is told");
    assert_eq!(error.to_string(), "failed to write `standard output`");
    assert!(log.text().contains("server # still shown") && log.text().contains("example: passed"));
}
