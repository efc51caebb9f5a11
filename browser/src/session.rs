//! WebDriver, as far as it is needed: commands are JSON over HTTP, below the address of a session
//! (<https://www.w3.org/TR/webdriver2/>).

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// What the answers of elements call the element's number.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with a browser; ends with the value.
#[derive(Debug)]
pub(crate) struct Session {
    agent: Agent,
    address: String,
}

impl Session {
    /// Starts a browser by the driver at `port`.
    pub(crate) fn start(port: u16, capabilities: &Value, patience: Duration) -> Self {
        // An answer that tells of an error has a body that says which.
        let config = Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
        let mut session =
            Self { agent: config.build().into(), address: format!("http://127.0.0.1:{port}/session") };
        let capabilities = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let started = session.command("", &capabilities).expect("a session with the browser");
        let id = started["sessionId"].as_str().expect("a session has a number");
        session.address = format!("{}/{id}", session.address);
        session
    }

    /// Runs a command, and returns its value; an error is in the browser's words.
    pub(crate) fn command(&self, path: &str, parameters: &Value) -> Result<Value, String> {
        let answer = self.agent.post(format!("{}{path}", self.address)).send_json(parameters);
        Self::value(answer)
    }

    /// Runs a command on the first element that a CSS selector finds.
    pub(crate) fn on_element(&self, selector: &str, path: &str, parameters: &Value) -> Result<Value, String> {
        let found = self.command("/element", &json!({ "using": "css selector", "value": selector }))?;
        let id = found[ELEMENT].as_str().ok_or("an element has no number")?;
        self.command(&format!("/element/{id}{path}"), parameters)
    }

    fn value(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
        let mut answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body: Value =
            answer.body_mut().with_config().limit(64 << 20).read_json().map_err(|error| error.to_string())?;
        if status.is_success() {
            Ok(body["value"].clone())
        } else {
            Err(body["value"]["message"].to_string())
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What does not end by this, the driver's end takes along.
        let _ = self.agent.delete(&self.address).call();
    }
}
