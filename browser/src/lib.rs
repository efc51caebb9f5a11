//! A headless Chromium for the tests of pages: opens a file, clicks, types, asks the page, and hears what
//! went wrong in it. Driven over WebDriver.
//!
//! A test that needs it says aloud when it is skipped for want of one; `REQUIRE_BROWSER=1` makes that a
//! failure. Every call panics when the browser does not answer as it should: the test has failed then.

mod command;
mod driver;

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::command::Post;
use crate::driver::Driver;

/// The longest that anything may take in the page.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one empty page. Gone, with all that it started, when it is dropped.
pub struct Browser {
    runtime: Runtime,
    client: Client,
    // Dropped last: the session ends before its driver does.
    _driver: Driver,
}

/// What the screen is like.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Whether the user prefers dark pages.
    pub dark: bool,
}

impl Browser {
    /// Starts a browser; `None` when this host has none, which has been said then.
    ///
    /// # Panics
    /// When there is none and `REQUIRE_BROWSER=1` forbids to skip, or when it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let programs = match driver::find() {
            Ok(programs) => programs,
            Err(missing) if std::env::var_os("REQUIRE_BROWSER").is_some_and(|value| value == "1") => {
                panic!("{missing}, and REQUIRE_BROWSER=1 forbids to skip the test")
            }
            Err(missing) => {
                // Not `eprintln!`, which the test harness swallows in tests that pass.
                let test = std::thread::current().name().unwrap_or("a test").to_owned();
                let _ = writeln!(io::stderr().lock(), "SKIPPED {test}: {missing}");
                return None;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let driver = Driver::start(&programs);
        let client = runtime.block_on(driver.connect(&programs));
        Some(Self { runtime, client, _driver: driver })
    }

    /// Opens a file, at a place of it such as `#log`, or at its beginning if that is empty.
    pub fn open(&self, file: &Path, place: &str) {
        let file = file.canonicalize().expect("the page is there");
        // A page that is open already would only be scrolled.
        self.run(self.client.goto("about:blank")).expect("a blank page");
        self.run(self.client.goto(&format!("file://{}{place}", file.display()))).expect("the page opens");
    }

    /// Gives the browser another screen.
    pub fn screen(&self, screen: Screen) {
        let Screen { width, height, dark } = screen;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Runs `script` in the page, a function's body, and returns what it returns.
    pub fn ask(&self, script: &str) -> Value {
        self.run(self.client.execute(script, Vec::new())).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs `script` in the page, the body of an asynchronous function, and returns what it comes to.
    #[must_use]
    pub fn ask_later(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];\n(async () => {{ {script} }})().then(done, (error) => done(`${{error}}`));"
        );
        self.run(self.client.execute_async(&script, Vec::new())).expect("the script ends")
    }

    /// Runs `script` in the page, the body of an asynchronous function, until the page is drawn again, and
    /// returns for how long the page's own thread computed meanwhile. Other programs do not count, so that is
    /// the longest that the page could not have answered on a processor of its own.
    #[must_use]
    pub fn effort(&self, script: &str) -> Duration {
        self.devtools("Performance.enable", json!({ "timeDomain": "threadTicks" }));
        let before = self.computed();
        let frame = "const frame = () => new Promise((done) => requestAnimationFrame(done));";
        let _ = self.ask_later(&format!("{frame} {script}; await frame(); await frame();"));
        self.computed().saturating_sub(before)
    }

    fn computed(&self) -> Duration {
        let metrics = self.devtools("Performance.getMetrics", json!({}));
        let metrics = metrics["metrics"].as_array().cloned().unwrap_or_default();
        let tasks = metrics.iter().find(|metric| metric["name"] == "TaskDuration");
        let seconds =
            tasks.and_then(|metric| metric["value"].as_f64()).expect("the browser measures its tasks");
        Duration::from_secs_f64(seconds)
    }

    /// Waits until an expression is true in the page.
    pub fn wait_until(&self, expression: &str) {
        let script = format!("return Boolean({expression});");
        let came = self.runtime.block_on(async {
            let looks = async {
                while self.client.execute(&script, Vec::new()).await.ok() != Some(Value::Bool(true)) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, looks).await.is_ok()
        });
        assert!(came, "`{expression}` never came true in the page");
    }

    /// The text that can be seen of the first element that a CSS selector finds.
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        let text = async { self.client.find(Locator::Css(selector)).await?.text().await };
        self.run(text).unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks on the first element that a CSS selector finds.
    pub fn click(&self, selector: &str) {
        let click = async { self.client.find(Locator::Css(selector)).await?.click().await };
        self.run(click).unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses the keys of `text` while the first element that a CSS selector finds has the focus.
    pub fn press(&self, selector: &str, text: &str) {
        let press = async { self.client.find(Locator::Css(selector)).await?.send_keys(text).await };
        self.run(press).unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// A picture of what the screen shows, as a PNG.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let shot = self.devtools("Page.captureScreenshot", json!({ "format": "png" }));
        STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What the page has complained about since this was last asked: errors of scripts, refusals, files that
    /// are not there.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.run(self.client.issue_cmd(Post::new("se/log", json!({ "type": "browser" }))));
        let log = log.expect("the browser's log");
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    fn devtools(&self, method: &str, parameters: Value) -> Value {
        let command = Post::new("goog/cdp/execute", json!({ "cmd": method, "params": parameters }));
        self.run(self.client.issue_cmd(command)).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let within = async { tokio::time::timeout(PATIENCE, work).await };
        self.runtime.block_on(within).expect("the browser answers in time")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = self.client.clone().close();
        // What does not end by itself, the driver's end takes along.
        let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), close).await });
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}
