//! When the guest's events happened, by the host's clock.
//!
//! The guest has a serial port that no driver knows of, and writes to it an event's name, the time of the event by its
//! own clock, and what that clock shows now. The quickest of these lines set one clock to the other.

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

/// How far apart two moments are by whose clocks one may set the other, in seconds: the guest's runs not quite as fast
/// as the host's.
const NEAR: f64 = 10.0;

/// Events, by name.
#[derive(Debug, Default)]
pub(super) struct Moments(BTreeMap<String, Moment>);

/// When an event was, and one moment after it by two clocks, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the guest's clock.
    pub(super) event: f64,
    pub(super) guest: f64,
    pub(super) host: f64,
}

impl FromIterator<(String, Moment)> for Moments {
    fn from_iter<T: IntoIterator<Item = (String, Moment)>>(events: T) -> Self {
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
        self.at(self.0.get(event)?.event)
    }

    /// A moment of the guest's clock, on the clock of [`now`].
    pub(super) fn at(&self, guest: f64) -> Option<f64> {
        // Of those near, the one that was noted soonest.
        let near = self.0.values().filter(|moment| (moment.guest - guest).abs() < NEAR);
        near.map(|moment| moment.host - moment.guest).min_by(f64::total_cmp).map(|apart| guest + apart)
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

    /// Notes the lines that a chunk has ended: a name, and two times.
    fn note(&mut self, host: f64, chunk: &[u8], rest: &mut Vec<u8>) {
        for byte in chunk {
            if *byte != b'\n' && rest.len() < LONGEST {
                rest.push(*byte);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(rest)).into_owned();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if let [name, event, guest] = words[..]
                && let (Ok(event), Ok(guest)) = (event.parse(), guest.parse())
            {
                self.0.insert(name.to_owned(), Moment { event, guest, host });
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

    use super::{Moment, Moments, now};

    #[test]
    fn events_are_noted_when_they_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let port = folder.path().join("port");
        let listener = Moments::listen(&port).unwrap();
        let before = now();
        let mut guest = UnixStream::connect(&port).unwrap();
        guest.write_all(b"file-000 5.25 5.25\nunit-").unwrap();
        guest.write_all(b"001 5.25 5.25\nhalf").unwrap();
        drop(guest);
        // A second guest, as after a reboot; it is heard after the first, so all of that is noted then.
        let mut guest = UnixStream::connect(&port).unwrap();
        guest.write_all(b"tty-002 5.25 5.25\nno time now\nnone 5\n").unwrap();
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
        for line in ["half", "no", "none"] {
            assert_eq!(moments.of(line), None);
        }
    }

    #[test]
    fn the_guests_clock_is_told_by_who_was_noted_soonest_of_those_near() {
        let moment = |host, event, guest| Moment { event, guest, host };
        let events = [moment(130.5, 29.0, 30.0), moment(132.25, 31.5, 32.0), moment(140.0, 49.0, 50.0)];
        let moments: Moments = ["a", "b", "c"].map(str::to_owned).into_iter().zip(events).collect();
        assert_eq!(moments.at(31.0), Some(131.25));
        assert_eq!(moments.at(55.0), Some(145.0));
        assert_eq!(moments.at(70.0), None);
        assert_eq!(["a", "b", "c"].map(|event| moments.of(event)), [129.25, 131.75, 139.0].map(Some));
    }

    #[test]
    fn a_listener_that_nobody_called_ends() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Moments::listen(&folder.path().join("port")).unwrap().end().unwrap().of("x").is_none());
    }
}
