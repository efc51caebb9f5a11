//! The serial console: a socket of the program's, which makes a new one for each boot of the guest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backend_kit::process::Group;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UnixStream;
use tokio::time::sleep;

/// Bytes on their way.
const BUFFER: usize = 64 << 10;

/// How soon to look again whether the program has made the socket for the next boot.
const LOOK: Duration = Duration::from_millis(20);

/// Connects to the console, for as long as the program runs. What the guest prints while nobody is connected, the
/// program keeps.
pub(crate) async fn connect(
    path: &Path,
    group: Arc<Group>,
) -> std::io::Result<(impl AsyncRead + Send + Unpin + use<>, impl AsyncWrite + Send + Sync + use<>)> {
    let first = UnixStream::connect(path).await?;
    let (near, far) = tokio::io::duplex(BUFFER);
    tokio::spawn(carry(first, path.to_owned(), far, group));
    Ok(tokio::io::split(near))
}

async fn carry(mut stream: UnixStream, path: PathBuf, far: DuplexStream, group: Arc<Group>) {
    let (mut typed, mut printed) = tokio::io::split(far);
    loop {
        let (mut output, mut input) = stream.split();
        // Both end by themselves only when the program has closed the connection.
        tokio::select! {
            _ = tokio::io::copy(&mut output, &mut printed) => {}
            _ = tokio::io::copy(&mut typed, &mut input) => {}
        }
        let again = async {
            loop {
                sleep(LOOK).await;
                if let Ok(stream) = UnixStream::connect(&path).await {
                    break stream;
                }
            }
        };
        stream = tokio::select! {
            biased;
            _ = group.ended() => return,
            stream = again => stream,
        };
    }
}
