//! What the tests have in common: when they can run, a machine to start, a guest to talk to.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_qemu::Qemu;
use driver_core::{
    Backend as _, Boot, Deadline, Disk, DiskFormat, DriverError, GuestPort, GuestStream, Machine, MachineLog,
    MachineSpec,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The longest that any test may take, on a host that is busy and has no KVM.
const TEST_LIMIT: Duration = Duration::from_secs(300);

/// Runs a test under its time limit.
pub(crate) async fn within_limit(test: impl Future<Output = ()>) {
    tokio::time::timeout(TEST_LIMIT, test).await.expect("the test ends in time");
}

/// Time enough for a step that takes seconds at most.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Time enough to boot.
pub(crate) fn boot() -> Deadline {
    Deadline::after(Duration::from_secs(180))
}

/// Says that a test is skipped and why; with `REQUIRE_VM=1` that is a failure.
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn skip<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("REQUIRE_VM").is_none_or(|value| value != "1"), "cannot run: {why}");
    eprintln!("skipped: {why}");
    None
}

/// QEMU, or the reason to skip.
pub(crate) async fn qemu() -> Option<Qemu> {
    let backend = Qemu::new();
    match backend.probe().await {
        Ok(()) => Some(backend),
        Err(error) => skip(&error.to_string()),
    }
}

/// The guest image `base`.
pub(crate) struct Image {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    pub(crate) cmdline: String,
    pub(crate) disk: PathBuf,
}

/// QEMU and the image, or the reason to skip.
pub(crate) async fn qemu_and_image() -> Option<(Qemu, Image)> {
    let backend = qemu().await?;
    let directory = image_directory()?;
    let Ok(text) = std::fs::read_to_string(directory.join("image.toml")) else {
        return skip("the guest image `base` has not been built (`cargo xtask guests`)");
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
    Some((backend, image))
}

fn image_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("INNKEEPER_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("innkeeper")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/innkeeper")));
    match cache {
        Some(cache) => Some(cache.join("images/base")),
        None => skip("there is no HOME to look for guest images in"),
    }
}

impl Image {
    /// The image, booted by its kernel.
    pub(crate) fn boot(&self) -> Boot {
        Boot::Kernel {
            kernel: self.kernel.clone(),
            initrd: Some(self.initrd.clone()),
            cmdline: self.cmdline.clone(),
            disks: vec![Disk { path: self.disk.clone(), format: DiskFormat::Raw }],
        }
    }
}

/// A place for one machine: its directories, and what is said about it.
pub(crate) struct Place {
    root: TempDir,
    pub(crate) log: Arc<Log>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        for name in ["state", "shared"] {
            std::fs::create_dir(root.path().join(name)).expect("an empty directory");
        }
        Self { root, log: Arc::default() }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub(crate) fn shared_dir(&self) -> PathBuf {
        self.root.path().join("shared")
    }

    pub(crate) fn spec(&self, boot: Boot) -> MachineSpec {
        MachineSpec {
            name: "web".to_owned(),
            boot,
            memory_mib: 512,
            cores: 1,
            state_dir: self.state_dir(),
            shared_dir: self.shared_dir(),
            shares: Vec::new(),
            nics: Vec::new(),
            allow_reboot: false,
            options: json!({}),
        }
    }

    pub(crate) async fn launch(
        &self,
        backend: &Qemu,
        spec: &MachineSpec,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let log: Arc<dyn MachineLog> = Arc::clone(&self.log) as _;
        backend.launch(spec, log, soon()).await
    }

    /// Fails if anything is left of the machines that were launched here.
    pub(crate) fn assert_nothing_left(&self) {
        let groups = self.log.groups.lock().expect("no test has panicked");
        assert_eq!(groups.as_slice(), [0; 0], "process groups that were not released");
        for name in ["qmp", "shell"] {
            assert!(!self.state_dir().join(name).exists(), "the socket `{name}` is left");
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
pub(crate) struct Log {
    pub(crate) lines: Mutex<Vec<String>>,
    groups: Mutex<Vec<u32>>,
    released: tokio::sync::Notify,
}

impl Log {
    /// Waits for a group to end that nobody waits for.
    pub(crate) async fn wait_until_released(&self) {
        self.released.notified().await;
    }

    pub(crate) fn says(&self, text: &str) -> bool {
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
pub(crate) struct Guest {
    stream: Box<dyn GuestStream>,
    unread: String,
}

impl Guest {
    pub(crate) async fn on(machine: &dyn Machine, port: GuestPort) -> Self {
        let stream = machine.connect(port, soon()).await.expect("the port has not been opened yet");
        Self { stream, unread: String::new() }
    }

    /// The root shell, as soon as it is there.
    pub(crate) async fn shell(machine: &dyn Machine) -> Self {
        let mut shell = Self::on(machine, GuestPort::Shell).await;
        shell.wait_for("Spawning backdoor root shell...\n", boot()).await;
        shell
    }

    /// Reads up to and including `text`, and returns what came before it.
    pub(crate) async fn wait_for(&mut self, text: &str, within: Deadline) -> String {
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
    pub(crate) async fn wait_for_end(&mut self, within: Deadline) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout_at(within.instant(), self.stream.read_to_end(&mut rest));
        end.await.expect("the stream ends").expect("and does so orderly");
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("the guest listens");
    }

    /// Runs a command in the shell and returns what it printed.
    pub(crate) async fn run(&mut self, command: &str) -> String {
        self.say(&format!("( {command} ) 2>&1; echo \"|!=EOF\" $?\n")).await;
        let output = self.wait_for("|!=EOF ", soon()).await;
        let status = self.wait_for("\n", soon()).await;
        assert_eq!(status, "0", "`{command}` printed: {output}");
        output
    }
}
