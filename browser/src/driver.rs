//! chromedriver: found, started, and ended with all that it has started.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;

use crate::session::Session;

/// The programs that are needed.
#[derive(Debug)]
pub(crate) struct Programs {
    browser: PathBuf,
    driver: PathBuf,
}

/// Looks for the programs; the error says which one is missing, and which package has it.
pub(crate) fn find() -> Result<Programs, String> {
    let find = |program: &str, package: &str| {
        which::which(program)
            .map_err(|_| format!("there is no `{program}` (install the package `{package}`)"))
    };
    Ok(Programs { browser: find("chromium", "chromium")?, driver: find("chromedriver", "chromium-driver")? })
}

/// chromedriver while it runs.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    port: u16,
    profile: TempDir,
}

impl Driver {
    pub(crate) fn start(programs: &Programs) -> Self {
        let profile = tempfile::Builder::new().prefix("browser-").tempdir().expect("a directory");
        let mut child = Command::new(&programs.driver)
            .arg("--port=0")
            // What the browser leaves lying about goes with the directory.
            .env("TMPDIR", profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        Self { child, port: port.expect("chromedriver says its port"), profile }
    }

    /// Starts a browser, and a session with it.
    pub(crate) fn connect(&self, programs: &Programs, patience: Duration) -> Session {
        let profile = format!("--user-data-dir={}", self.profile.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            &profile,
        ];
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let capabilities = json!({
            "goog:chromeOptions": { "binary": programs.browser, "args": arguments },
            "goog:loggingPrefs": { "browser": "WARNING" },
            "timeouts": { "script": milliseconds, "pageLoad": milliseconds },
        });
        Session::start(self.port, &capabilities, patience)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
