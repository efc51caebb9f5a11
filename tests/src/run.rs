//! One run of the program: a manifest, a script, an environment of its own, and what comes out.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use browser::Browser;
use driver_core::event::{Event, Record, RunEnded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::leaks::Leaks;
use crate::program::program;
use crate::schema;
use crate::slot::Slot;

/// The longest that any test waits for anything: a boot on a busy host without KVM.
const PATIENCE: Duration = Duration::from_secs(300);

/// A place for a run, before it begins.
#[derive(Debug)]
pub struct Setup {
    dir: Arc<TempDir>,
    manifest: PathBuf,
    mark: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    machines: usize,
}

impl Setup {
    /// A place with a manifest of its own: `machines` in TOML, and a script in Python.
    ///
    /// # Panics
    /// When there is no room for it, as all of these do.
    #[must_use]
    pub fn new(machines: &str, script: &str) -> Self {
        let mut setup = Self::with_manifest(Path::new("test.toml"));
        setup.manifest = setup.dir.path().join("test.toml");
        let manifest = format!("name = \"test\"\nscript = \"script.py\"\ntimeout = \"10m\"\n{machines}");
        fs::write(&setup.manifest, manifest).expect("a manifest");
        fs::write(setup.dir.path().join("script.py"), script).expect("a script");
        setup
    }

    /// A place for the run of a manifest that is there.
    #[must_use]
    pub fn with_manifest(manifest: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("product-test-").tempdir().expect("a directory");
        for name in ["temp", "out"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let mark = format!("INNKEEPER_TEST={}", dir.path().display());
        Self {
            dir: Arc::new(dir),
            manifest: manifest.to_owned(),
            mark,
            environment: Vec::new(),
            arguments: Vec::new(),
            machines: 1,
        }
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument of `innkeeper run`.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds arguments of `innkeeper run`.
    #[must_use]
    pub fn args(self, arguments: &[&str]) -> Self {
        arguments.iter().fold(self, |setup, argument| setup.arg(argument))
    }

    /// Says how many machines run at once, if more than one.
    #[must_use]
    pub fn machines(mut self, machines: usize) -> Self {
        self.machines = machines;
        self
    }

    /// The directory of the manifest, for further files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory that the program takes for temporary files.
    #[must_use]
    pub fn temp(&self) -> PathBuf {
        self.dir.path().join("temp")
    }

    /// Starts the program. Waits for its turn: machines are heavy.
    #[must_use]
    pub fn start(self) -> Run {
        let slot = Slot::take(self.machines);
        let out = self.dir.path().join("out");
        let (name, value) = self.mark.split_once('=').expect("a mark has a name");
        let child = Command::new(program())
            .args(["run", "-o"])
            .arg(&out)
            .arg(&self.manifest)
            .args(&self.arguments)
            .env("TMPDIR", self.temp())
            // What the user has configured is no business of a test.
            .env("XDG_CONFIG_HOME", self.dir.path())
            .env(name, value)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let pid = Pid::from_child(&child);
        let (sender, output) = mpsc::channel();
        thread::spawn(move || sender.send(collect(child)));
        Run { setup: self, out, pid, output, ended: false, _slot: slot }
    }

    /// Runs the program to its end.
    #[must_use]
    pub fn run(self) -> Finished {
        self.start().finish_within(PATIENCE * 2)
    }
}

fn collect(child: Child) -> Output {
    let output = child.wait_with_output().expect("the program can be waited for");
    Output {
        status: output.status.code(),
        signal: output.status.signal(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[derive(Debug)]
struct Output {
    status: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The program while it runs. Killed when dropped before its end, so that a failed test leaves nothing.
#[derive(Debug)]
pub struct Run {
    setup: Setup,
    out: PathBuf,
    pid: Pid,
    output: mpsc::Receiver<Output>,
    ended: bool,
    _slot: Slot,
}

impl Run {
    /// The result directory.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The mark in the environment of all processes of the run.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.setup.mark
    }

    /// Waits for an event that `wanted` says yes to, from the beginning of the run on.
    ///
    /// # Panics
    /// When the run ends without it, or it takes too long.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        let deadline = Instant::now() + PATIENCE;
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
        inotify::add_watch(&watch, &self.out, inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE)
            .expect("the result directory can be watched");
        let mut events = Events::of(&self.out);
        loop {
            if let Some(record) = events.find(&wanted) {
                return record;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !events.ended && !left.is_zero(),
                "{what} never came; the last event: {:#?}",
                events.last
            );
            let mut fds = [PollFd::new(&watch, PollFlags::IN)];
            let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut changes = inotify::Reader::new(&watch, &mut buffer);
            while changes.next().is_ok() {}
        }
    }

    /// Waits until the script has printed `line`.
    pub fn wait_for_script(&self, line: &str) {
        self.wait_for(
            &format!("the script's line {line:?}"),
            |record| matches!(&record.event, Event::ScriptOutput { line: printed, .. } if printed == line),
        );
    }

    /// Sends a signal to the program.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the program still runs");
    }

    /// Sends a signal to the machine's hypervisor.
    ///
    /// # Panics
    /// When there is none.
    pub fn signal_qemu(&self, signal: Signal) {
        let is_qemu = |pid: &i32| {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("qemu-system"))
        };
        let pid = crate::leaks::processes_with(&self.setup.mark).into_iter().find(is_qemu);
        let pid = pid.and_then(Pid::from_raw).expect("QEMU runs, with our mark in its environment");
        kill_process(pid, signal).expect("QEMU can be sent a signal");
    }

    /// Waits for the end, and checks that nothing of the run is left.
    ///
    /// # Panics
    /// When it does not come in time, or something is left.
    #[must_use]
    pub fn finish_within(mut self, limit: Duration) -> Finished {
        let output = self.output.recv_timeout(limit).unwrap_or_else(|_| {
            let mut events = Events::of(&self.out);
            events.find(|_| false);
            panic!("the program still runs after {limit:?}; its last event: {:#?}", events.last)
        });
        self.ended = true;
        // The guard may outlive the program by a moment.
        Leaks::assert_none(&self.setup.mark, &self.setup.temp(), Duration::from_secs(2));
        schema::assert_kept(&self.out);
        Finished { out: self.out.clone(), output, _dir: Arc::clone(&self.setup.dir) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// What came out of a run.
#[derive(Debug)]
pub struct Finished {
    out: PathBuf,
    output: Output,
    _dir: Arc<TempDir>,
}

impl Finished {
    /// The exit status; a signal that killed the program counts as in a shell.
    #[must_use]
    pub fn status(&self) -> i32 {
        self.output.status.or(self.output.signal.map(|number| 128 + number)).unwrap_or(-1)
    }

    /// Fails the test unless the exit status is `status`.
    ///
    /// # Panics
    /// Then, with all that the program said.
    #[track_caller]
    pub fn assert_status(&self, status: i32) {
        assert_eq!(self.status(), status, "{}{}", self.output.stdout, self.output.stderr);
    }

    /// Fails the test unless the program said each of `texts`.
    ///
    /// # Panics
    /// Then.
    #[track_caller]
    pub fn assert_says(&self, texts: &[&str]) {
        let said = self.said();
        for text in texts {
            assert!(said.contains(text), "{text:?} is missing in:\n{said}");
        }
    }

    /// Fails the test unless the failure has this kind, in the events and on the first screen of the page, and
    /// the page opens in a browser without a complaint; `None` is a run that passed.
    ///
    /// # Panics
    /// Then.
    #[track_caller]
    pub fn assert_kind(&self, kind: Option<&str>) {
        assert_eq!(self.ended().kind.as_deref(), kind);
        let Some(browser) = Browser::start() else { return };
        browser.open(&self.out.join("report.html"), "");
        browser.wait_until("'ready' in document.documentElement.dataset");
        let shown = browser.ask("return document.querySelector('.reason .kind code')?.textContent ?? null;");
        assert_eq!(shown.as_str(), kind, "{}", browser.text("#summary"));
        if kind.is_some() {
            browser.click("#to-problem");
            browser.wait_until("document.querySelector('.row.picked')");
        }
        assert_eq!(browser.complaints(), [""; 0]);
    }

    /// All that the program said, on both of its outputs.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.output.stdout, self.output.stderr)
    }

    /// The result directory.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// A file of the result directory, as text.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All events of the run.
    #[must_use]
    pub fn events(&self) -> Vec<Record> {
        let mut all = Vec::new();
        Events::of(&self.out).find(|record| {
            all.push(record.clone());
            false
        });
        all
    }

    /// How the run ended, by its last event.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn ended(&self) -> RunEnded {
        let last = self.events().pop().expect("there are events");
        let Event::RunEnded(ended) = last.event else { panic!("the last event is {last:?}") };
        ended
    }
}

/// The event file, read as it grows.
struct Events {
    path: PathBuf,
    file: Option<File>,
    text: Vec<u8>,
    last: Option<Record>,
    ended: bool,
}

impl Events {
    fn of(out: &Path) -> Self {
        Self { path: out.join("events.jsonl"), file: None, text: Vec::new(), last: None, ended: false }
    }

    /// The first event that was not looked at yet and that `wanted` says yes to.
    fn find(&mut self, mut wanted: impl FnMut(&Record) -> bool) -> Option<Record> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        self.file.as_mut()?.read_to_end(&mut self.text).expect("the event file can be read");
        while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            let record: Record = serde_json::from_slice(&line).expect("a line is a record");
            self.ended |= matches!(record.event, Event::RunEnded(_));
            self.last = Some(record.clone());
            if wanted(&record) {
                return Some(record);
            }
        }
        None
    }
}
