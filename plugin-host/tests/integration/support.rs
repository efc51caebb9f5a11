//! Plugins to load: one in Rust that cargo builds, and as many in C as there are ways to break one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use driver_core::event::{Event, Level, Record};
use driver_core::{Boot, MachineLog, MachineSpec};
use plugin_host::{Limits, Plugin};
use tempfile::TempDir;
use test_skip::skip_or_fail;

/// Enough for every call that works, and little to wait for those that do not.
pub(crate) const SHORT: Limits =
    Limits { call: Duration::from_millis(300), grace: Duration::from_millis(200) };

/// The plugin in Rust.
pub(crate) fn rust_plugin() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--package=plugin-host", "--example=fixture_fake"]);
        command.arg("--message-format=json-render-diagnostics");
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let built = command.stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(built.status.success(), "the plugin does not compile");
        let messages = String::from_utf8_lossy(&built.stdout);
        let file = messages.lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_ours = message["target"]["name"] == "fixture_fake";
            message["filenames"][0].as_str().filter(|_| is_ours).map(PathBuf::from)
        });
        file.expect("cargo says where the plugin is")
    })
}

/// A plugin in C, built with these definitions. `None` where there is no compiler, which is said; with
/// `REQUIRE_VM=1`, as in CI, that is a failure.
pub(crate) fn c_plugin(definitions: &[&str]) -> Option<(TempDir, PathBuf)> {
    c_plugin_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-abi/include"), definitions)
}

/// The same with the header in another folder.
pub(crate) fn c_plugin_with(include: PathBuf, definitions: &[&str]) -> Option<(TempDir, PathBuf)> {
    let compiler = env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("libbroken.so");
    let mut command = Command::new(compiler);
    command
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-z,lazy", "-I"])
        .arg(include);
    command.args(definitions.iter().map(|definition| format!("-D{definition}")));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plugin.c")).arg("-o").arg(&file);
    match command.output() {
        Ok(built) => {
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            Some((place, file))
        }
        Err(error) => {
            skip_or_fail("REQUIRE_VM", format!("there is no C compiler (install the package `gcc`): {error}"))
        }
    }
}

/// A plugin in C that can be loaded.
pub(crate) fn loaded(definitions: &[&str]) -> Option<(TempDir, Plugin)> {
    let (place, file) = c_plugin(definitions)?;
    Some((place, Plugin::load_with(&file, SHORT).expect("it can be loaded")))
}

/// A machine in a directory.
pub(crate) fn spec(state_dir: &Path) -> MachineSpec {
    MachineSpec {
        name: "server".to_owned(),
        boot: Boot::Firmware { disks: Vec::new() },
        memory_mib: 512,
        cores: 1,
        state_dir: state_dir.to_owned(),
        shared_dir: state_dir.to_owned(),
        shares: Vec::new(),
        nics: Vec::new(),
        snapshot: None,
        allow_reboot: false,
        options: serde_json::Value::Null,
    }
}

/// An event.
pub(crate) fn record(seq: u64) -> Record {
    let event = Event::Log { level: Level::Info, text: "a line".to_owned() };
    Record { seq, t_us: seq, scope: 0, machine: None, event }
}

/// Remembers what a plugin says.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<String>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl MachineLog for Log {
    fn info(&self, text: &str) {
        self.add(format!("info {text}"));
    }

    fn warning(&self, text: &str) {
        self.add(format!("warning {text}"));
    }

    fn guard_group(&self, pgid: u32) {
        self.add(format!("guard {pgid}"));
    }

    fn release_group(&self, pgid: u32) {
        self.add(format!("release {pgid}"));
    }

    fn guest_reset(&self) {
        self.add("reset".to_owned());
    }
}
