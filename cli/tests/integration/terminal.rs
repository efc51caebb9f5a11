//! The program on a terminal: what its user sees while a test runs, and what is left on the screen afterwards.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::Place;

/// The longest wait for something to appear, on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: u16 = 24;

/// A terminal with the program on it, whose machine is about to start until it is let go.
struct Session {
    _place: Place,
    child: Child,
    /// What the machine's start waits for.
    go: File,
    terminal: File,
    /// All that came.
    bytes: Vec<u8>,
    screen: vt100::Parser,
}

impl Session {
    fn start(columns: u16, variables: &[(&str, &str)], args: &[&str]) -> Self {
        let manifest = "name = \"test\"\nscript = \"test.py\"\n[machines.server]\nstart_script = \"start\"\n";
        let script = "log.info('x' * 150)\nserver.start()\n";
        let place = Place::with(&[("test.toml", manifest), ("test.py", script)]);
        let (start, go) = (place.path().join("start"), place.path().join("go"));
        fs::write(&start, format!("#!/bin/sh\nread line < '{}'\nexit 1\n", go.display())).expect("a file");
        fs::set_permissions(&start, fs::Permissions::from_mode(0o755)).expect("its mode");
        mknodat(CWD, &go, FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        let go = File::options().read(true).write(true).open(go).expect("the pipe");

        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("a terminal");
        unlockpt(&terminal).expect("a terminal");
        resize(&terminal, columns);
        let name = ptsname(&terminal, Vec::new()).expect("its name");
        let end = || {
            File::from(
                open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end"),
            )
        };
        let mut program = place.program();
        program
            .args(["run", "test.toml", "-o", "out"])
            .args(args)
            .env_remove("NO_COLOR")
            .env_remove("COLUMNS");
        program.env("TERM", "xterm").envs(variables.iter().copied());
        let child = program.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the program starts");
        let screen = vt100::Parser::new(ROWS, columns, 1_000);
        Self { _place: place, child, go, terminal: terminal.into(), bytes: Vec::new(), screen }
    }

    fn rows(&self) -> Vec<String> {
        let (_, columns) = self.screen.screen().size();
        self.screen.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect()
    }

    fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// Reads what comes until the screen is like this; false at the end of it all.
    fn wait_for(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is(self) {
            assert!(began.elapsed() < PATIENCE, "{what} never came:\n{}", self.contents());
            assert!(self.read(), "{what} did not come before the end:\n{}", self.contents());
        }
    }

    /// Reads some of what comes; false at the end.
    fn read(&mut self) -> bool {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut ready = [PollFd::new(&self.terminal, PollFlags::IN)];
        if poll(&mut ready, Some(&second)).expect("poll") == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        // Nobody has the other end any more: an error, on Linux.
        let Ok(count @ 1..) = self.terminal.read(&mut buffer) else { return false };
        self.bytes.extend_from_slice(&buffer[..count]);
        self.screen.process(&buffer[..count]);
        true
    }

    fn resize(&mut self, columns: u16) {
        resize(&self.terminal, columns);
        self.screen.screen_mut().set_size(ROWS, columns);
    }

    /// Lets the machine's start fail, and reads to the end.
    fn finish(&mut self) -> ExitStatus {
        self.go.write_all(b"go\n").expect("the pipe takes it");
        let began = Instant::now();
        while self.read() {
            assert!(began.elapsed() < PATIENCE, "it never ends:\n{}", self.contents());
        }
        self.child.wait().expect("its status")
    }

    fn has_colours(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes);
        let endings =
            text.split("\u{1b}[").skip(1).filter_map(|rest| rest.chars().find(|c| c.is_ascii_alphabetic()));
        endings.into_iter().any(|ending| ending == 'm')
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &impl std::os::fd::AsFd, columns: u16) {
    let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("its size");
}

/// Whether the live area is at the bottom of what is on the screen, each of its lines in one row.
fn has_area(session: &Session) -> bool {
    let rows = session.rows();
    let shown: Vec<&String> = rows.iter().filter(|row| !row.is_empty()).collect();
    let [.., machine, test] = shown.as_slice() else { return false };
    machine.starts_with("server  starting  ") && test.starts_with("test") && test.contains("s / ")
}

#[test]
fn a_live_area_stays_below_the_log_fits_the_terminal_and_is_gone_at_the_end() {
    let mut session = Session::start(60, &[], &[]);
    session.wait_for("the live area", has_area);
    let log = "x".repeat(60);
    assert!(session.rows().contains(&log), "the log is above it:\n{}", session.contents());

    // The times go on, in their place.
    let shown = session.contents();
    session.wait_for("a later time", |session| has_area(session) && session.contents() != shown);
    assert_eq!(session.contents().matches("server  starting").count(), 1, "{}", session.contents());

    // A terminal too narrow for the line: what is done is cut, the time is not.
    session.resize(20);
    session.wait_for("a narrow area", |session| {
        session
            .rows()
            .iter()
            .any(|row| row.starts_with("server  ") && row.contains('…') && row.ends_with('s'))
    });

    session.resize(60);
    assert_eq!(session.finish().code(), Some(3));
    let shown = session.contents();
    assert!(shown.contains("Summary") && shown.contains("Results out"), "{shown}");
    let last = shown.lines().rev().find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    assert!(last.contains("Results out"), "nothing of the area is left below: {shown}");
    assert!(!session.screen.screen().hide_cursor(), "the cursor is there again");
    assert!(session.has_colours());
}

#[test]
fn no_color_takes_the_colours_and_leaves_the_area() {
    let mut session = Session::start(80, &[("NO_COLOR", "1")], &[]);
    session.wait_for("the live area", has_area);
    assert_eq!(session.finish().code(), Some(3));
    assert!(!session.has_colours(), "{}", String::from_utf8_lossy(&session.bytes));
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let mut session = Session::start(80, &[("TERM", "dumb")], &[]);
    session.wait_for("the step", |session| session.contents().contains("starting vm"));
    assert_eq!(session.finish().code(), Some(3));
    assert!(!session.bytes.contains(&0x1b), "{}", String::from_utf8_lossy(&session.bytes));
}

#[test]
fn a_quiet_run_shows_the_area_and_the_summary_alone() {
    let mut session = Session::start(80, &[], &["--quiet"]);
    session.wait_for("the live area", has_area);
    assert!(!session.contents().contains("xxx"), "{}", session.contents());
    assert_eq!(session.finish().code(), Some(3));
    let shown = session.contents();
    assert!(shown.contains("Summary") && !shown.contains("starting vm"), "{shown}");
}
