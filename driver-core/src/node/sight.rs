//! What a machine's screen shows, for all who look at once: pictures are taken only while somebody wants one, and
//! those who want one at the same time are given the same.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Node;
use super::stillness::Marks;
use crate::deadline::Deadline;
use crate::error::{Cause, DriverError};
use crate::event::FileKind;
use crate::facet::Facet;
use crate::ocr::Frame;
use crate::screen::Memory;
use crate::wait::{Look, timed_out};

/// The shortest and the longest pause between two pictures.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The longest pause where pictures are cheap.
const LONGEST_CHEAP: Duration = Duration::from_millis(150);
/// Screens of waits in vain that are kept of one machine: a script may try again and again.
const KEPT: usize = 20;

/// What is known of a machine's screen.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// The last picture. Who takes one holds it.
    last: tokio::sync::Mutex<Option<Shot>>,
    /// What has been read. A thread that reads holds it.
    pub(super) memory: Arc<Mutex<Memory>>,
    kept: Mutex<Kept>,
    /// The screens that a script has marked.
    pub(super) marks: Mutex<Marks>,
}

/// The screens of waits in vain that were kept: how many, and the last one.
#[derive(Debug, Default)]
struct Kept {
    count: usize,
    last: Option<Arc<Frame>>,
}

/// A picture of the screen.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    /// What it shows. As long as the screen does not change it is the same one.
    pub(super) frame: Arc<Frame>,
    /// When it was asked for.
    taken: Instant,
    /// How long that took.
    cost: Duration,
    /// Since when the screen has shown this.
    since: Instant,
}

impl Shot {
    /// When the next one is due: soon after a change, and later while the screen is still. Pictures take no more than
    /// a fifth of the time of whoever makes them.
    fn next(&self) -> Instant {
        let still = (self.taken - self.since) / 20;
        self.taken + still.min(LONGEST_CHEAP).max(self.cost.saturating_mul(4)).clamp(PAUSES.0, PAUSES.1)
    }
}

/// One look of a wait at the screen.
#[derive(Debug)]
pub(super) struct Glance {
    /// What it shows.
    pub(super) frame: Arc<Frame>,
    /// Whether it is what the look before showed.
    pub(super) is_same: bool,
    /// Whether the time is over.
    pub(super) is_last: bool,
}

impl Node {
    /// What the screen shows now.
    pub(super) async fn frame(&self) -> Result<Arc<Frame>, DriverError> {
        Ok(self.shot(Instant::now()).await?.frame)
    }

    /// A picture that is not older than `oldest`.
    pub(super) async fn shot(&self, oldest: Instant) -> Result<Shot, DriverError> {
        let mut last = self.sight.last.lock().await;
        if let Some(shot) = last.as_ref().filter(|shot| shot.taken >= oldest) {
            return Ok(shot.clone());
        }
        let taken = Instant::now();
        let frame = Arc::new(self.capture().await?);
        let cost = taken.elapsed();
        let (frame, since) = match last.take() {
            Some(before) if before.frame == frame => (before.frame, before.since),
            _ => (frame, taken),
        };
        let shot = Shot { frame, taken, cost, since };
        *last = Some(shot.clone());
        Ok(shot)
    }

    async fn capture(&self) -> Result<Frame, DriverError> {
        let running = self.must_run("be looked at")?;
        let screen = running.machine.screen().ok_or_else(|| self.lacks(Facet::Screen))?;
        let failed = |operation, path: &Path| {
            let path = path.display().to_string();
            move |source| DriverError::File { operation, path, source }
        };
        let dir = self.state_dir();
        let place = tempfile::tempdir_in(dir).map_err(failed("make a directory in", dir))?;
        let file = place.path().join("screen");
        let captured = screen.capture_quickly(&file, self.soon());
        self.while_it_runs(&running, || "looking at the screen".to_owned(), captured).await?;
        let bytes = tokio::fs::read(&file).await.map_err(failed("read the picture in", &file))?;
        self.off_thread("understand what its screen shows", move || Ok(Frame::from_bytes(bytes)?)).await
    }

    /// Runs what takes a while where it holds nobody up; `operation` is a verb for messages.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        operation: &str,
        work: impl FnOnce() -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, DriverError> {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Box::new(error))).map_err(|source| DriverError::Control {
            machine: self.name().to_owned(),
            operation: operation.to_owned(),
            source,
        })
    }

    /// Looks at the screen until `look` says that what was `awaited` is there. In vain, the screen is kept as a file of
    /// the result, and the error names it.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; what `look` returns.
    pub(super) async fn watch_screen<T, F>(
        &self,
        awaited: &str,
        deadline: Deadline,
        mut look: impl FnMut(Glance) -> F,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = Result<Look<T>, DriverError>>,
    {
        let mut before: Option<Arc<Frame>> = None;
        let mut oldest = Instant::now();
        loop {
            let is_last = deadline.is_over();
            let shot = self.shot(oldest).await?;
            let is_same = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &shot.frame));
            match look(Glance { frame: Arc::clone(&shot.frame), is_same, is_last }).await? {
                Look::Done(value) => return Ok(value),
                Look::NotYet(seen) if is_last => {
                    let error = timed_out(awaited, deadline, &seen);
                    return Err(self.with_screen(error, &shot.frame));
                }
                Look::NotYet(_) => {}
            }
            tokio::time::sleep_until(shot.next().min(deadline.instant())).await;
            // One that somebody else has taken meanwhile will do, so that all who wait fall into step; not for the last
            // look.
            oldest =
                if deadline.is_over() { deadline.instant() } else { shot.taken + Duration::from_nanos(1) };
            before = Some(shot.frame);
        }
    }

    /// The error of a wait in vain, with the name of a file that shows the screen.
    fn with_screen(&self, error: DriverError, frame: &Arc<Frame>) -> DriverError {
        match (self.keep_missed(frame), error) {
            (Ok(Some(name)), DriverError::Assertion { message }) => {
                DriverError::assertion(format!("{message}\nthe screen is kept in `{name}` of the result"))
            }
            (Err(problem), error) => {
                self.log(format!("the screen could not be kept: {}", problem.chain()));
                error
            }
            (_, error) => error,
        }
    }

    /// Writes a screen into the result directory, unless it is there or there are enough. Returns the file's name.
    fn keep_missed(&self, frame: &Arc<Frame>) -> Result<Option<String>, DriverError> {
        let mut kept = self.sight.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let name = |number: usize| format!("{}-missed-{number}.png", self.name());
        if kept.last.as_ref() == Some(frame) {
            return Ok(Some(name(kept.count)));
        }
        if kept.count == KEPT {
            return Ok(None);
        }
        let name = name(kept.count + 1);
        let file = self.context.out_dir.join(&name);
        let written =
            frame.to_png().map_err(std::io::Error::other).and_then(|png| std::fs::write(&file, png));
        let path = file.display().to_string();
        written.map_err(|source| DriverError::File { operation: "write", path, source })?;
        *kept = Kept { count: kept.count + 1, last: Some(Arc::clone(frame)) };
        self.saved(FileKind::Screenshot, &file);
        Ok(Some(name))
    }
}
