//! A headless Chromium for the tests of pages: opens a file, clicks, types, asks the page, and hears what
//! went wrong in it. Driven over WebDriver.
//!
//! A test that needs it says aloud when it is skipped for want of one; `REQUIRE_BROWSER=1` makes that a
//! failure. Every call panics when the browser does not answer as it should: the test has failed then.

mod driver;
mod session;

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::driver::Driver;
use crate::session::Session;

/// The longest that anything may take in the page.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time between two looks at a page that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// A browser with one empty page. Gone, with all that it started, when it is dropped.
pub struct Browser {
    session: Session,
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
            Err(missing) => return test_skip::skip_or_fail("REQUIRE_BROWSER", missing),
        };
        let driver = Driver::start(&programs);
        Some(Self { session: driver.connect(&programs, PATIENCE), _driver: driver })
    }

    /// Opens a file, at a place of it such as `#log`, or at its beginning if that is empty.
    pub fn open(&self, file: &Path, place: &str) {
        let file = file.canonicalize().expect("the page is there");
        // A page that is open already would only be scrolled.
        self.command("/url", &json!({ "url": "about:blank" }));
        self.command("/url", &json!({ "url": format!("file://{}{place}", file.display()) }));
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
        self.command("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs `script` in the page, the body of an asynchronous function, and returns what it comes to.
    #[must_use]
    pub fn ask_later(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];\n(async () => {{ {script} }})().then(done, (error) => done(`${{error}}`));"
        );
        self.command("/execute/async", &json!({ "script": script, "args": [] }))
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

    /// Runs `script` in the page as [`Browser::effort`] does, and returns the longest time meanwhile in which the page
    /// could not have answered; zero if none was over 50 ms. Other programs count: a busy host makes it longer.
    #[must_use]
    pub fn longest_pause(&self, script: &str) -> Duration {
        let script = format!(
            "const frame = () => new Promise((done) => requestAnimationFrame(done));
            const tasks = [];
            const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries()));
            watch.observe({{ type: 'longtask' }});
            {script};
            for (let number = 0; number < 4; number += 1) await frame();
            tasks.push(...watch.takeRecords());
            watch.disconnect();
            return Math.max(0, ...tasks.map((task) => task.duration));"
        );
        let pause = self.ask_later(&script);
        Duration::from_secs_f64(pause.as_f64().expect("the browser measures its tasks") / 1e3)
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
        let parameters = json!({ "script": format!("return Boolean({expression});"), "args": [] });
        let began = Instant::now();
        while self.session.command("/execute/sync", &parameters) != Ok(Value::Bool(true)) {
            assert!(began.elapsed() < PATIENCE, "`{expression}` never came true in the page");
            thread::sleep(LOOK);
        }
    }

    /// The text that can be seen of the first element that a CSS selector finds.
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        let text = self.command(
            "/execute/sync",
            &json!({ "script": "return document.querySelector(arguments[0]).innerText;", "args": [selector] }),
        );
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on the first element that a CSS selector finds.
    pub fn click(&self, selector: &str) {
        self.on_element(selector, "/click", &json!({}));
    }

    /// Presses the keys of `text` while the first element that a CSS selector finds has the focus.
    pub fn press(&self, selector: &str, text: &str) {
        self.on_element(selector, "/value", &json!({ "text": text }));
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
        let log = self.command("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.command("/goog/cdp/execute", &json!({ "cmd": method, "params": parameters }))
    }

    fn command(&self, path: &str, parameters: &Value) -> Value {
        self.session.command(path, parameters).unwrap_or_else(|error| panic!("{path} {parameters}: {error}"))
    }

    fn on_element(&self, selector: &str, path: &str, parameters: &Value) {
        let done = self.session.on_element(selector, path, parameters);
        done.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}
