//! A directory with start scripts, a configuration and the program under its NixOS name.

use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration_tests::{processes_with, program};
use serde::Deserialize;
use serde_json::json;
use test_skip::skip_or_fail;

/// What plays machines.
pub(super) const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/stand-in-vm");

/// A line of the table.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) differs: Option<String>,
    pub(super) missing: Option<String>,
    /// Why it is not so.
    pub(super) problem: Option<String>,
}

/// Checks one thing, and makes a row of it.
pub(super) fn check(name: &str, work: impl FnOnce()) -> Row {
    let problem = panic::catch_unwind(AssertUnwindSafe(work)).err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    Row { name: name.to_owned(), differs: None, missing: None, problem }
}

impl Row {
    /// With what is not as in the NixOS driver, and why.
    pub(super) fn differs(self, reason: &str) -> Self {
        Self { differs: Some(reason.to_owned()), ..self }
    }
}

/// Whether there is that interpreter to run scripts.
pub(crate) fn has(interpreter: &str) -> bool {
    let found = Command::new(interpreter).arg("--version").stdout(Stdio::null()).status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        let _: Option<()> = skip_or_fail("REQUIRE_VM", format!("there is no {interpreter}"));
    }
    is_there
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Finished {
    /// The log as a reader without colours sees it.
    pub(super) fn log(&self) -> String {
        let mut text = self.stderr.clone();
        for colour in
            ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[22m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"]
        {
            text = text.replace(colour, "");
        }
        text
    }

    pub(super) fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.stderr);
        self
    }

    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.log().contains(text), "no `{text}` in: {}\n{}", self.stdout, self.stderr);
        self
    }
}

/// The directory.
pub(super) struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    /// With two machines and two VLANs, and `script` to run.
    pub(super) fn new(script: &str) -> Self {
        Self::with(script, &["server", "client"])
    }

    pub(super) fn with(script: &str, machines: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("nix-").tempdir().expect("a directory");
        let path = dir.path();
        symlink(program(), path.join("nixos-test-driver")).expect("a link");
        symlink(program(), path.join("generate-driver-symbols")).expect("a link");
        for folder in ["out", "tmp"] {
            fs::create_dir(path.join(folder)).expect("a directory");
        }
        let mut vms = serde_json::Map::new();
        for name in machines {
            let start_script = path.join(format!("run-{name}-vm"));
            symlink(STAND_IN, &start_script).expect("a link");
            vms.insert((*name).to_owned(), json!({ "name": name, "start_script": start_script }));
        }
        fs::write(path.join("script"), script).expect("the script");
        let stage = Self { dir };
        stage.configure(&json!({
            "vms": vms, "containers": {}, "vlans": [1, 2], "global_timeout": 120, "enable_ssh_backdoor": false,
            "test_script": stage.path().join("script"), "a_key_of_the_future": true,
        }));
        stage
    }

    pub(super) fn configure(&self, config: &serde_json::Value) {
        fs::write(self.path().join("conformance-config.json"), config.to_string())
            .expect("the configuration");
    }

    pub(super) fn config(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.path().join("conformance-config.json"));
        serde_json::from_str(&text.expect("the configuration")).expect("JSON")
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    pub(super) fn log_xml(&self) -> String {
        fs::read_to_string(self.path().join("log.xml")).expect("log.xml")
    }

    /// The program, to be run here.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.path().join("nixos-test-driver"));
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("DISPLAY")
            .env("TMPDIR", self.path().join("tmp"))
            .env("LOGFILE", self.path().join("log.xml"))
            .env("STAND_IN_VM", STAND_IN)
            .env("CONFORMANCE_ROWS", self.path().join("rows"));
        command
    }

    /// Runs the present command line with `more`.
    pub(super) fn run(&self, more: &[&str]) -> Finished {
        let mut command = self.command();
        command
            .args(["--config", "conformance-config.json", "-o", "out", "--without-agent", "--with-accel=tcg"])
            .args(more);
        self.finish(command)
    }

    /// Runs with the old flags.
    pub(super) fn run_old(&self, more: &[&str]) -> Finished {
        let mut command = self.command();
        command.args(["--without-agent", "--with-accel=tcg", "-oout"]).args(more);
        self.finish(command)
    }

    pub(super) fn finish(&self, mut command: Command) -> Finished {
        let output = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mark = self.path().display().to_string();
        let left = processes_with(&mark);
        assert!(left.is_empty(), "left behind: {left:#?}");
        Finished { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
