//! Needles on a machine's screen.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Node;
use super::sight::Glance;
use crate::deadline::Deadline;
use crate::error::{Cause, DriverError};
use crate::event::Level;
use crate::machine::Button;
use crate::ocr::{Frame, OcrError, Rect};
use crate::screen::{Needle, NeedleMatch, Needles, Scope};
use crate::wait::Look;

/// How long an engine may take for the text in a needle.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Words that an error names at most.
const WORDS: usize = 20;

impl Node {
    /// Waits until a needle of this name, or with this tag, is on the screen.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; [`DriverError::Usage`] when there is no such needle;
    /// [`DriverError::Unsupported`] when the backend has no screen.
    pub async fn assert_screen(&self, needle: &str, timeout: Duration) -> Result<NeedleMatch, DriverError> {
        self.wait_step(format!("waiting for the needle {needle} on the screen"), timeout, async {
            let called = self.needles_called(needle).await?;
            let seen = Mutex::default();
            let look = |glance: Glance| self.look_for(&called, &seen, glance);
            self.watch_screen(&format!("the needle {needle}"), Deadline::after(timeout), look).await
        })
        .await
    }

    /// As [`Node::assert_screen`]; a needle that is not there in time is `None`.
    ///
    /// # Errors
    /// As [`Node::assert_screen`], but for the time.
    pub async fn check_screen(
        &self,
        needle: &str,
        timeout: Duration,
    ) -> Result<Option<NeedleMatch>, DriverError> {
        self.wait_step(format!("looking for the needle {needle} on the screen"), timeout, async {
            let called = self.needles_called(needle).await?;
            let seen = Mutex::default();
            let (called, seen) = (&called, &seen);
            let look = |glance: Glance| async move {
                let is_last = glance.is_last;
                Ok(match self.look_for(called, seen, glance).await? {
                    Look::Done(found) => Look::Done(Some(found)),
                    Look::NotYet(_) if is_last => Look::Done(None),
                    Look::NotYet(seen) => Look::NotYet(seen),
                })
            };
            self.watch_screen(&format!("the needle {needle}"), Deadline::after(timeout), look).await
        })
        .await
    }

    /// As [`Node::assert_screen`], and clicks where the needle says, or else in the middle of its last area.
    ///
    /// # Errors
    /// As [`Node::assert_screen`] and [`Node::mouse_click`].
    pub async fn click_needle(
        &self,
        needle: &str,
        timeout: Duration,
        button: Button,
    ) -> Result<NeedleMatch, DriverError> {
        let found = self.assert_screen(needle, timeout).await?;
        self.mouse_click(Some(found.click), button).await?;
        Ok(found)
    }

    /// One look for needles. `seen`: what came of the look before.
    async fn look_for(
        &self,
        called: &[Arc<Needle>],
        seen: &Mutex<String>,
        glance: Glance,
    ) -> Result<Look<NeedleMatch>, DriverError> {
        let before = || seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if glance.is_same {
            return Ok(Look::NotYet(before()));
        }
        let nearest = self.nearest(called.to_vec(), glance.frame).await?;
        if nearest.is_found {
            return Ok(Look::Done(nearest));
        }
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = describe(&nearest);
        Ok(Look::NotYet(before()))
    }

    /// The first needle that is found, or else the one that lacks least.
    async fn nearest(&self, called: Vec<Arc<Needle>>, frame: Arc<Frame>) -> Result<NeedleMatch, DriverError> {
        let needles = Arc::clone(self.needles().await?);
        let (engine, memory) = (self.context.ocr.clone(), Arc::clone(&self.sight.memory));
        let within = self.context.deadline.at_most(READ_LIMIT);
        self.off_thread("look for a needle on its screen", move || {
            let reads = |frame: &Frame, rect: Rect| {
                let engine = engine.as_deref().ok_or_else(|| OcrError {
                    engine: "none".to_owned(),
                    problem: "an area of a needle is text, and the run has no OCR engine".to_owned(),
                    way_out: "choose one with `ocr` in the manifest or with --ocr".to_owned(),
                })?;
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(memory.read(engine, frame, rect, Scope::Changed, within)?.reading.text())
            };
            let mut nearest: Option<NeedleMatch> = None;
            for needle in &called {
                let picture = needles.frame(needle)?;
                let found = needle.search(&picture, &frame, &reads)?;
                if found.is_found {
                    return Ok(found);
                }
                let is_nearer = nearest.as_ref().is_none_or(|nearest| lack(&found) < lack(nearest));
                nearest = if is_nearer { Some(found) } else { nearest };
            }
            nearest.ok_or_else(|| Cause::from("there is no needle"))
        })
        .await
    }

    async fn needles_called(&self, word: &str) -> Result<Vec<Arc<Needle>>, DriverError> {
        let needles = self.needles().await?;
        let called = needles.called(word);
        if called.is_empty() {
            let words = needles.words();
            let more = if words.len() > WORDS { ", …" } else { "" };
            let words = words.into_iter().take(WORDS).collect::<Vec<_>>().join(", ");
            let known = if words.is_empty() { "none".to_owned() } else { format!("{words}{more}") };
            return Err(DriverError::usage(format!(
                "machine `{}`: no needle has the name or the tag `{word}` (there is {known}; `innkeeper needle` cuts \
                 one from a screenshot)",
                self.name()
            )));
        }
        Ok(called)
    }

    /// The run's needles, read when they are first asked for.
    async fn needles(&self) -> Result<&Arc<Needles>, DriverError> {
        let Some(dir) = &self.context.needles_dir else {
            return Err(DriverError::usage(
                "the run has no needles (name their directory with `needles` in the manifest)",
            ));
        };
        let read = || async {
            let needles = Needles::read(dir).map_err(|source| failed(dir, source))?;
            for error in needles.errors() {
                self.context.journal.log(Level::Warning, None, format!("{error}; it is left out"));
            }
            Ok(Arc::new(needles))
        };
        self.context.needles.get_or_try_init(read).await
    }
}

fn failed(dir: &Path, source: std::io::Error) -> DriverError {
    DriverError::File { operation: "read the needles in", path: dir.display().to_string(), source }
}

/// By how many percent points the area is too different that lacks most.
fn lack(found: &NeedleMatch) -> f64 {
    found.worst().map_or(f64::INFINITY, |area| area.wanted - area.similarity)
}

fn describe(found: &NeedleMatch) -> String {
    let Some(area) = found.worst() else { return String::new() };
    format!(
        "`{}` is {:.1} % similar at ({}, {}), and has to be {} % (`innkeeper needle` cuts a new one from a screen)",
        found.needle, area.similarity, area.x, area.y, area.wanted
    )
}
