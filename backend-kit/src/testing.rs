//! What tests of backends have in common: when they can run, a machine to start, a guest to talk to.
//!
//! It panics where a test fails, and is there with the feature `testing` only.

use std::future::Future;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver_core::{
    Backend, Boot, Deadline, Disk, DiskFormat, DriverError, GuestPort, GuestStream, Machine, MachineLog,
    MachineSpec,
};
use serde_json::Value;
use tempfile::TempDir;
pub use test_skip::skip_or_fail;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The longest that any test may take, on a host that is busy and has no KVM.
const TEST_LIMIT: Duration = Duration::from_secs(300);

/// Set to a number by who runs the tests where all is slower still: every limit here is that many times as long.
const PATIENCE: &str = "TEST_PATIENCE";

/// A time limit, where the tests run now.
pub fn patient(limit: Duration) -> Duration {
    let times = std::env::var(PATIENCE).map_or(1, |times| times.parse().expect("TEST_PATIENCE is a number"));
    limit * times
}

/// Runs a test under its time limit.
pub async fn within_limit(test: impl Future<Output = ()>) {
    tokio::time::timeout(patient(TEST_LIMIT), test).await.expect("the test ends in time");
}

/// Time enough for a step that takes seconds at most.
pub fn soon() -> Deadline {
    Deadline::after(patient(Duration::from_secs(30)))
}

/// Time enough to boot.
pub fn boot() -> Deadline {
    Deadline::after(patient(Duration::from_secs(180)))
}

/// The guest image `base`.
#[derive(Debug)]
pub struct Image {
    /// Its kernel.
    pub kernel: PathBuf,
    /// Its initial RAM disk.
    pub initrd: PathBuf,
    /// Its kernel's command line.
    pub cmdline: String,
    /// Its one disk, an ext4 in a raw file.
    pub disk: PathBuf,
}

/// The image, or the reason to skip.
#[must_use]
pub fn image() -> Option<Image> {
    let directory = image_directory()?;
    let Ok(text) = std::fs::read_to_string(directory.join("image.toml")) else {
        return skip_or_fail(
            "REQUIRE_VM",
            "the guest image `base` has not been built (`cargo xtask guests`)",
        );
    };
    let about: Value = toml::from_str(&text).expect("image.toml is TOML");
    let string = |value: &Value| value.as_str().expect("a string in image.toml").to_owned();
    let image = Image {
        kernel: directory.join(string(&about["kernel"])),
        initrd: directory.join(string(&about["initrd"])),
        cmdline: string(&about["cmdline"]),
        disk: directory.join(string(&about["disks"][0]["path"])),
    };
    assert_eq!(about["disks"][0]["format"], "raw");
    Some(image)
}

fn image_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("INNKEEPER_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("innkeeper")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/innkeeper")));
    match cache {
        Some(cache) => Some(cache.join("images/base")),
        None => skip_or_fail("REQUIRE_VM", "there is no HOME to look for guest images in"),
    }
}

impl Image {
    /// The image, booted by its kernel.
    pub fn boot(&self) -> Boot {
        Boot::Kernel {
            kernel: self.kernel.clone(),
            initrd: Some(self.initrd.clone()),
            cmdline: self.cmdline.clone(),
            disks: vec![Disk { path: self.disk.clone(), format: DiskFormat::Raw }],
        }
    }
}

/// A place for one machine: its directories, and what is said about it.
#[derive(Debug)]
pub struct Place {
    root: TempDir,
    /// What was said about the machine.
    pub log: Arc<Log>,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Fresh directories.
    #[must_use]
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        for name in ["state", "shared"] {
            std::fs::create_dir(root.path().join(name)).expect("an empty directory");
        }
        Self { root, log: Arc::default() }
    }

    /// The machine's own directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// The directory that machines and host share.
    #[must_use]
    pub fn shared_dir(&self) -> PathBuf {
        self.root.path().join("shared")
    }

    /// The machine `web`: 512 MiB, one processor.
    #[must_use]
    pub fn spec(&self, boot: Boot) -> MachineSpec {
        MachineSpec::new("web", boot, 512, self.state_dir(), self.shared_dir())
    }

    /// Launches a machine here.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn launch(
        &self,
        backend: &dyn Backend,
        spec: &MachineSpec,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let log: Arc<dyn MachineLog> = Arc::clone(&self.log) as _;
        backend.launch(spec, log, soon()).await
    }

    /// Fails if anything is left of the machines that were launched here.
    pub fn assert_nothing_left(&self) {
        let groups = self.log.groups.lock().expect("no test has panicked");
        assert_eq!(groups.as_slice(), [0; 0], "process groups that were not released");
        let files = std::fs::read_dir(self.state_dir()).expect("the directory is there");
        for file in files.map(|file| file.expect("a readable directory")) {
            let kind = file.file_type().expect("a file of some type");
            assert!(!kind.is_socket() && !kind.is_fifo(), "{:?} is left", file.file_name());
        }
        assert_eq!(processes_that_mention(self.root.path()), [""; 0]);
    }
}

/// The command lines of running processes that have a path in them.
fn processes_that_mention(path: &Path) -> Vec<String> {
    let path = path.to_str().expect("a path in UTF-8");
    std::fs::read_dir("/proc")
        .expect("there is a /proc")
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|cmdline| String::from_utf8_lossy(&cmdline).replace('\0', " "))
        .filter(|cmdline| cmdline.contains(path))
        .collect()
}

/// Remembers what a backend says.
#[derive(Debug, Default)]
pub struct Log {
    /// All lines, warnings too.
    pub lines: Mutex<Vec<String>>,
    groups: Mutex<Vec<u32>>,
    released: tokio::sync::Notify,
}

impl Log {
    /// Waits for a group to end that nobody waits for.
    pub async fn wait_until_released(&self) {
        self.released.notified().await;
    }

    /// Whether a line has this text in it.
    pub fn says(&self, text: &str) -> bool {
        self.lines.lock().expect("no test has panicked").iter().any(|line| line.contains(text))
    }
}

impl MachineLog for Log {
    fn info(&self, text: &str) {
        self.lines.lock().expect("no test has panicked").push(text.to_owned());
    }
    fn warning(&self, text: &str) {
        self.info(text);
    }
    fn guard_group(&self, pgid: u32) {
        self.groups.lock().expect("no test has panicked").push(pgid);
    }
    fn release_group(&self, pgid: u32) {
        self.groups.lock().expect("no test has panicked").retain(|group| *group != pgid);
        self.released.notify_one();
    }
    fn guest_reset(&self) {
        self.info("the guest reboots");
    }
}

/// The guest's side of a stream: reads until it has seen something.
#[derive(Debug)]
pub struct Guest {
    stream: Box<dyn GuestStream>,
    unread: String,
}

impl Guest {
    /// A port that has not been opened yet.
    pub async fn on(machine: &dyn Machine, port: GuestPort) -> Self {
        let stream = machine.connect(port, soon()).await.expect("the port has not been opened yet");
        Self { stream, unread: String::new() }
    }

    /// The root shell, as soon as it is there.
    pub async fn shell(machine: &dyn Machine) -> Self {
        let mut shell = Self::on(machine, GuestPort::Shell).await;
        shell.wait_for("Spawning backdoor root shell...\n", boot()).await;
        shell
    }

    /// Reads up to and including `text`, and returns what came before it.
    pub async fn wait_for(&mut self, text: &str, within: Deadline) -> String {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                let mut seen = std::mem::replace(&mut self.unread, rest);
                seen.truncate(at);
                return seen;
            }
            let length = tokio::time::timeout_at(within.instant(), self.stream.read(&mut buffer)).await;
            match length.map(|length| length.unwrap_or(0)) {
                Ok(length @ 1..) => self.unread.push_str(&String::from_utf8_lossy(&buffer[..length])),
                ended => panic!("no `{text}` ({ended:?}), but: {}", self.unread),
            }
        }
    }

    /// Reads until the stream ends.
    pub async fn wait_for_end(&mut self, within: Deadline) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout_at(within.instant(), self.stream.read_to_end(&mut rest));
        end.await.expect("the stream ends").expect("and does so orderly");
    }

    /// Writes to the guest.
    pub async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("the guest listens");
    }

    /// Runs a command in the shell and returns what it printed.
    pub async fn run(&mut self, command: &str) -> String {
        self.say(&format!("( {command} ) 2>&1; echo \"|!=EOF\" $?\n")).await;
        let output = self.wait_for("|!=EOF ", soon()).await;
        let status = self.wait_for("\n", soon()).await;
        assert_eq!(status, "0", "`{command}` printed: {output}");
        output
    }
}
