//! When the guest's events happened, by the host's clock.
//!
//! The guest has a serial port that no driver knows of, and writes an event's name to it at the event. That is
//! faster than anything a driver does, it does not depend on the guest's clock, and it is the same for all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::time::{ClockId, clock_gettime};

/// How soon the listener looks whether it is to end, when the guest says nothing.
const LOOK: Duration = Duration::from_millis(200);

/// The longest line; longer ones are no names of events.
const LONGEST: usize = 1024;

/// Events, each with the moment in seconds.
#[derive(Debug, Default)]
pub(super) struct Moments(BTreeMap<String, f64>);

impl FromIterator<(String, f64)> for Moments {
    fn from_iter<T: IntoIterator<Item = (String, f64)>>(events: T) -> Self {
        Self(events.into_iter().collect())
    }
}

/// Somebody who notes moments.
#[derive(Debug)]
pub(super) struct Listener {
    port: PathBuf,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Moments>,
}

impl Moments {
    /// Waits at `port` for the hypervisor, and then for events.
    pub(super) fn listen(port: &Path) -> Result<Listener> {
        let _ = fs::remove_file(port);
        let listener =
            UnixListener::bind(port).with_context(|| format!("failed to make `{}`", port.display()))?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut moments = Self::default();
            while let Ok((stream, _)) = listener.accept() {
                if seen.load(Ordering::Acquire) {
                    break;
                }
                moments.hear(stream, &seen);
            }
            moments
        });
        Ok(Listener { port: port.to_owned(), over, thread })
    }

    /// The moment of an event, on the clock of [`now`].
    pub(super) fn of(&self, event: &str) -> Option<f64> {
        self.0.get(event).copied()
    }

    fn hear(&mut self, mut stream: UnixStream, over: &AtomicBool) {
        let mut rest = Vec::new();
        let mut chunk = [0; 4096];
        if stream.set_read_timeout(Some(LOOK)).is_err() {
            return;
        }
        while !over.load(Ordering::Acquire) {
            match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => self.note(now(), &chunk[..read], &mut rest),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }

    /// Notes the lines that a chunk has ended.
    fn note(&mut self, at: f64, chunk: &[u8], rest: &mut Vec<u8>) {
        for byte in chunk {
            if *byte != b'\n' && rest.len() < LONGEST {
                rest.push(*byte);
            } else {
                self.0.insert(String::from_utf8_lossy(rest).trim().to_owned(), at);
                rest.clear();
            }
        }
    }
}

impl Listener {
    /// What was noted until now.
    pub(super) fn end(self) -> Result<Moments> {
        self.over.store(true, Ordering::Release);
        // Wakes one that still waits for a hypervisor.
        drop(UnixStream::connect(&self.port));
        self.thread.join().map_err(|_| anyhow!("the thread that notes events has panicked"))
    }
}

/// The time on the host's monotonic clock, in seconds: that of Python's `time.monotonic()`.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds since the host's boot, told to the microsecond")]
pub(super) fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::{Moments, now};

    #[test]
    fn events_are_noted_when_they_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let port = folder.path().join("port");
        let listener = Moments::listen(&port).unwrap();
        let before = now();
        let mut guest = UnixStream::connect(&port).unwrap();
        guest.write_all(b"file-000\nunit-").unwrap();
        guest.write_all(b"001\nhalf").unwrap();
        drop(guest);
        // A second guest, as after a reboot; it is heard after the first, so all of that is noted then.
        let mut guest = UnixStream::connect(&port).unwrap();
        guest.write_all(b"tty-002\n").unwrap();
        drop(guest);
        let after = loop {
            // The listener accepts one at a time: it is through with the others when it hangs up on this.
            let mut last = UnixStream::connect(&port).unwrap();
            last.shutdown(std::net::Shutdown::Write).unwrap();
            if std::io::Read::read(&mut last, &mut [0]).is_ok_and(|read| read == 0) {
                break now();
            }
        };
        let moments = listener.end().unwrap();
        for event in ["file-000", "unit-001", "tty-002"] {
            let at = moments.of(event).unwrap();
            assert!(before <= at && at <= after, "{event}: {before} <= {at} <= {after}");
        }
        assert_eq!(moments.of("half"), None);
    }

    #[test]
    fn a_listener_that_nobody_called_ends() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Moments::listen(&folder.path().join("port")).unwrap().end().unwrap().of("x").is_none());
    }
}
