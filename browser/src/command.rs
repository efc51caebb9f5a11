//! Commands of Chromium's that WebDriver itself does not have.

use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::Value;
use url::{ParseError, Url};

/// A command that takes parameters and is sent to a path of the session.
#[derive(Debug)]
pub(crate) struct Post {
    path: &'static str,
    parameters: Value,
}

impl Post {
    pub(crate) fn new(path: &'static str, parameters: Value) -> Self {
        Self { path, parameters }
    }
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _request_url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.parameters.to_string()))
    }
}
