//! A program at a terminal of its own, as a person has it: what it shows, and what is typed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// The longest that a test waits for anything to be shown: a boot on a busy host without KVM.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program and its terminal. Dropping it kills the program.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    shown: mpsc::Receiver<Vec<u8>>,
    /// All that was shown, and how much of it was waited for.
    text: String,
    seen: usize,
}

impl Terminal {
    /// Starts what `command` says, in a session of its own with a terminal of 24 lines of 200 characters.
    ///
    /// # Panics
    /// When it cannot be started, as all of these do.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("a terminal of ours");
        unlockpt(&master).expect("a terminal that can be used");
        let size = Winsize { ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a terminal that can be resized");
        let name = OsString::from_vec(ptsname(&master, Vec::new()).expect("its name").into_bytes());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let stdio = || Stdio::from(open(&name, flags, Mode::empty()).expect("its other side"));
        let mut at_terminal = Command::new("setsid");
        at_terminal.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => at_terminal.env(name, value),
                None => at_terminal.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            at_terminal.current_dir(dir);
        }
        // Python's own prompt, whichever others this host may have.
        at_terminal.env("TERM", "xterm").env("PYTHON_BASIC_REPL", "1");
        let child = at_terminal.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn();
        let child = child.expect("setsid starts");
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().expect("the terminal again");
        let (sender, shown) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer)
                && sender.send(buffer[..count].to_vec()).is_ok()
            {}
        });
        Self { child, keyboard, shown, text: String::new(), seen: 0 }
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("the terminal is there");
    }

    /// Waits until `text` is shown after what was waited for last, and returns what is shown before it.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text[self.seen..].find(text) {
                let before = self.text[self.seen..self.seen + at].to_owned();
                self.seen += at + text.len();
                return before;
            }
            match self.shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(problem) => panic!("{text:?} was not shown ({problem}); what was:\n{}", self.text),
            }
        }
    }

    /// Whether what is typed is shown by the terminal itself, as a shell leaves it.
    ///
    /// # Panics
    /// When the terminal is gone.
    #[must_use]
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard)
            .expect("its settings")
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for the program's end, and returns its status, and all that was shown.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn finish(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                // Nobody has the terminal any more.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on; what it showed:\n{}", self.text),
            }
        }
        let status = self.child.wait().expect("it can be waited for");
        (status.code(), std::mem::take(&mut self.text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // `setsid` has become the program, unless it waits for it; then the terminal's end ends it.
        if let (Some(pid), Ok(None)) = (Pid::from_raw(self.child.id().cast_signed()), self.child.try_wait()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
