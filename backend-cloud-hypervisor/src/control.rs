//! The REST API, by which the program is told what to do: HTTP over a Unix socket, a connection for each request.
//!
//! Endpoints and types: the program's OpenAPI description (`vmm/src/api/openapi/cloud-hypervisor.yaml`). What it
//! answers is taken apart leniently, so that a newer version breaks nothing.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use driver_core::Deadline;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::sleep;

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 4 << 20;

/// How soon to ask again whether the program listens by now.
const KNOCK: Duration = Duration::from_millis(5);

/// Why a request did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The program does not want to; it tells a chain of reasons.
    #[error("Cloud Hypervisor refused `{endpoint}`: {reasons}")]
    Refused { endpoint: &'static str, reasons: String },
    /// Nobody answers; as a rule the program has ended.
    #[error("Cloud Hypervisor did not take `{endpoint}`")]
    Closed {
        endpoint: &'static str,
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("Cloud Hypervisor did not answer `{endpoint}` within {limit:?}")]
    TimedOut { endpoint: &'static str, limit: Duration },
    /// An answer that makes no sense.
    #[error("Cloud Hypervisor's answer to `{endpoint}` makes no sense")]
    Unreadable {
        endpoint: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

/// What `vm.info` says, as far as anybody here acts on it.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    /// `Created`, `Running`, `Paused`, and what newer versions may add.
    pub(crate) state: String,
}

/// What `vmm.ping` says, as far as anybody here acts on it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ping {
    version: String,
}

impl Ping {
    /// The first number of the version, if it has one.
    pub(crate) fn release(&self) -> Option<u32> {
        self.version.trim_start_matches('v').split('.').next()?.parse().ok()
    }
}

/// A handle on the API.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    socket: PathBuf,
}

impl Control {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Waits until the program listens and answers.
    pub(crate) async fn ready(&self, within: Deadline) -> Result<Ping, ControlError> {
        loop {
            match self.get("vmm.ping", within).await {
                Ok(ping) => return Ok(ping),
                // The socket is not there yet, or nobody has called listen(2) on it.
                Err(ControlError::Closed { .. }) if !within.is_over() => sleep(KNOCK).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for something.
    pub(crate) async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        endpoint: &'static str,
        within: Deadline,
    ) -> Result<T, ControlError> {
        let answer = self.request(Method::GET, endpoint, None, within).await?;
        serde_json::from_slice(&answer).map_err(|source| ControlError::Unreadable { endpoint, source })
    }

    /// Orders something.
    pub(crate) async fn put(
        &self,
        endpoint: &'static str,
        body: Option<&Value>,
        within: Deadline,
    ) -> Result<(), ControlError> {
        self.request(Method::PUT, endpoint, body, within).await.map(drop)
    }

    async fn request(
        &self,
        method: Method,
        endpoint: &'static str,
        body: Option<&Value>,
        within: Deadline,
    ) -> Result<Bytes, ControlError> {
        let exchange = tokio::time::timeout_at(within.instant(), self.exchange(method, endpoint, body)).await;
        let limit = within.limit();
        let (status, answer) = exchange
            .map_err(|_| ControlError::TimedOut { endpoint, limit })?
            .map_err(|source| ControlError::Closed { endpoint, source })?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(ControlError::Refused { endpoint, reasons: reasons(status, &answer) })
    }

    async fn exchange(
        &self,
        method: Method,
        endpoint: &str,
        body: Option<&Value>,
    ) -> io::Result<(StatusCode, Bytes)> {
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| io::Error::other(error);
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| broken(e.into()))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        tracing::debug!(%method, endpoint, body, "to Cloud Hypervisor");
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{endpoint}"))
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(error.into()))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await.map_err(broken)?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven here, so that nothing is left of it when this future is dropped.
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                // It may have ended with the answer already on its way.
                Ok(()) => answer.await,
                Err(error) => Err(broken(error.into())),
            },
        }
    }
}

/// The reasons of a refusal in one line: the program sends an array of errors, the outermost first.
fn reasons(status: StatusCode, answer: &[u8]) -> String {
    if let Ok(chain) = serde_json::from_slice::<Vec<String>>(answer)
        && !chain.is_empty()
    {
        return chain.join(": ");
    }
    let text = String::from_utf8_lossy(answer);
    let text = text.trim();
    if text.is_empty() { status.to_string() } else { format!("{status}: {}", text.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::{Ping, reasons};

    #[test]
    fn the_release_is_told_of_every_version_that_has_a_number() {
        for (answer, release) in [
            (r#"{"build_version":"v54.0.0-12-gabc","version":"54.0.0","pid":7}"#, Some(54)),
            (r#"{"version":"v21.0"}"#, Some(21)),
            (r#"{"version":"of the future"}"#, None),
            ("{}", None),
        ] {
            let ping: Ping = serde_json::from_str(answer).unwrap();
            assert_eq!(ping.release(), release, "{answer}");
        }
    }

    #[test]
    fn a_refusal_is_told_as_a_chain_whatever_its_form() {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let chain = br#"["Error from API","The VM could not boot","Cannot open kernel"]"#;
        assert_eq!(reasons(status, chain), "Error from API: The VM could not boot: Cannot open kernel");
        assert_eq!(reasons(status, b""), "500 Internal Server Error");
        assert_eq!(reasons(status, b"old\ntext"), "500 Internal Server Error: old\\ntext");
    }
}
