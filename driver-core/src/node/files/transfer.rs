//! The way of contents between host and guest, whatever commands go through, and what is told of it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as Socket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::fs::File;
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::io::{InspectReader, InspectWriter};

use super::super::Node;
use super::super::life::Running;
use crate::agent::How;
use crate::channel::{Channel, Words};
use crate::error::DriverError;
use crate::event::Level;
use crate::shell::{ShellOutput, quote};

/// The most that a guest may send in one copy.
const DOWNLOAD_LIMIT: u64 = 64 << 30;

/// When a copy is first mentioned in the log, and then how often at most.
const FIRST_WORD: Duration = Duration::from_secs(1);
const NEXT_WORD: Duration = Duration::from_secs(5);

/// What became of one side's work.
type Outcome<T> = io::Result<T>;

impl Node {
    /// Runs a script in the guest with what `write` writes as its standard input. Returns what the script
    /// came to, and what `write` returned.
    pub(super) async fn pour<T: Send + 'static>(
        &self,
        running: &Running,
        script: &str,
        total: Option<u64>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T> + Send + 'static,
    ) -> Result<(ShellOutput, Outcome<T>), DriverError> {
        let channel = running.line.channel();
        let count = Arc::new(AtomicU64::new(0));
        match channel.as_ref() {
            Channel::Agent(agent) => {
                let (reader, mut writer) = sockets().map_err(|error| self.no_way(error))?;
                let work = spawn_blocking(move || write(&mut writer));
                let content = InspectReader::new(reader, counting(&count));
                let fed = agent.feed(script, content, self.bulk());
                let fed = self.telling(total, &count, Box::pin(fed)).await;
                let written = work.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                Ok((fed?, written))
            }
            Channel::Shell(shell) => {
                let mut file = tempfile::tempfile_in(&self.state_dir).map_err(|error| self.no_way(error))?;
                let work = spawn_blocking(move || {
                    let result = write(&mut file)?;
                    io::Seek::rewind(&mut file)?;
                    Ok((result, file.metadata()?.len(), file))
                });
                let (result, length, file) =
                    match work.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                        Ok(packed) => packed,
                        Err(error) => return Ok((ShellOutput { status: 0, stdout: Vec::new() }, Err(error))),
                    };
                let scratch = self.make_scratch().await?;
                let archive = format!("{scratch}/archive");
                let poured = async {
                    let content = InspectReader::new(File::from_std(file), counting(&count));
                    let uploaded = shell.upload(&archive, 0o600, content, length, self.context.deadline);
                    self.telling(Some(length), &count, Box::pin(uploaded)).await?;
                    shell
                        .run(&format!("exec <{}; {script}", quote(&archive)), None, self.context.deadline)
                        .await
                };
                let poured = poured.await;
                self.remove_scratch(&scratch).await?;
                Ok((poured?, Ok(result)))
            }
        }
    }

    /// Runs a script in the guest and has `read` read its standard output. Returns its status, what it said
    /// on its standard error as far as that is known, and what `read` returned.
    pub(super) async fn draw<T: Send + 'static>(
        &self,
        running: &Running,
        script: &str,
        total: Option<u64>,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T> + Send + 'static,
    ) -> Result<(i32, String, Outcome<T>), DriverError> {
        let channel = running.line.channel();
        let count = Arc::new(AtomicU64::new(0));
        match channel.as_ref() {
            Channel::Agent(agent) => {
                let (writer, mut reader) = sockets().map_err(|error| self.no_way(error))?;
                let work = spawn_blocking(move || read(&mut reader));
                let mut words = Words::default();
                let drawn = async {
                    // Its end is the reader's end of file.
                    let mut target = InspectWriter::new(writer, counting(&count));
                    agent.run(script, self.bulk(), &mut target, DOWNLOAD_LIMIT, &mut words).await
                };
                let drawn = self.telling(total, &count, Box::pin(drawn)).await;
                let result = work.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                match (drawn, result) {
                    // Nobody read on, and knows why.
                    (Err(DriverError::File { .. }), Err(error)) => Ok((0, words.text(), Err(error))),
                    (drawn, result) => Ok((drawn?, words.text(), result)),
                }
            }
            Channel::Shell(shell) => {
                let scratch = self.make_scratch().await?;
                let archive = format!("{scratch}/archive");
                let drawn = async {
                    let words = format!("{scratch}/words");
                    let packing = format!(
                        "({script}) >{} 2>{words} || {{ s=$?; cat {words}; exit $s; }}; cat {words}",
                        quote(&archive),
                        words = quote(&words)
                    );
                    let packed = shell.run(&packing, None, self.context.deadline).await?;
                    let words = String::from_utf8_lossy(&packed.stdout).trim().to_owned();
                    let local = tempfile::tempfile_in(&self.state_dir).map_err(|error| self.no_way(error))?;
                    let mut file = local.try_clone().map_err(|error| self.no_way(error))?;
                    if packed.status == 0 {
                        let target = InspectWriter::new(File::from_std(local), counting(&count));
                        let fetched = shell.download(&archive, target, DOWNLOAD_LIMIT, self.context.deadline);
                        self.telling(total, &count, Box::pin(fetched)).await?;
                    }
                    let work = spawn_blocking(move || {
                        io::Seek::rewind(&mut file)?;
                        read(&mut file)
                    });
                    let result = work.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                    Ok((packed.status, words, result))
                };
                let drawn = drawn.await;
                self.remove_scratch(&scratch).await?;
                drawn
            }
        }
    }

    fn bulk(&self) -> How {
        How { timeout: None, grace: None, within: self.context.deadline, bulk: true }
    }

    /// Tells in the log how a copy that takes longer comes along: seldom, and ever more seldom.
    pub(super) async fn telling<T>(
        &self,
        total: Option<u64>,
        count: &AtomicU64,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let began = Instant::now();
        let mut work = std::pin::pin!(work);
        let mut next = FIRST_WORD;
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = tokio::time::sleep_until(began + next) => {
                    let text = progress(count.load(Ordering::Relaxed), total, began.elapsed());
                    self.context.journal.log(Level::Info, Some(self.name()), text);
                    next = began.elapsed() + NEXT_WORD.max(began.elapsed() / 5);
                }
            }
        }
    }

    fn no_way(&self, source: io::Error) -> DriverError {
        let path = self.state_dir.display().to_string();
        DriverError::File { operation: "copy through", path, source }
    }

    async fn make_scratch(&self) -> Result<String, DriverError> {
        let made = self.succeed(&["mktemp -d /tmp/innkeeper.XXXXXXXX"], None).await?;
        Ok(made.trim_end().to_owned())
    }

    async fn remove_scratch(&self, scratch: &str) -> Result<(), DriverError> {
        self.succeed(&[format!("rm -rf {}", quote(scratch))], None).await.map(drop)
    }
}

/// One end for tasks, one for a thread.
fn sockets() -> io::Result<(UnixStream, Socket)> {
    let (ours, theirs) = Socket::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}

/// Adds up what passes by.
pub(super) fn counting(count: &Arc<AtomicU64>) -> impl FnMut(&[u8]) + Send + use<> {
    let count = Arc::clone(count);
    move |bytes| {
        count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

/// Whether the other side would not go on; it knows why.
pub(super) fn broken_off(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn progress(done: u64, total: Option<u64>, time: Duration) -> String {
    const MIB: f64 = 1_048_576.0;
    let (done, total) = (done as f64 / MIB, total.map(|total| total as f64 / MIB));
    let of = total.map_or_else(String::new, |total| format!(" of {total:.0} MiB"));
    format!("copied {done:.0} MiB{of} ({:.1} MiB/s)", done / time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn progress_is_told_in_megabytes() {
        let time = Duration::from_secs(4);
        assert_eq!(super::progress(48 << 20, Some(100 << 20), time), "copied 48 MiB of 100 MiB (12.0 MiB/s)");
        assert_eq!(super::progress(1 << 19, None, time), "copied 0 MiB (0.1 MiB/s)");
    }
}
