//! The text on a machine's screen, as the run's OCR engine reads it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Node;
use super::sight::Glance;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::Button;
use crate::ocr::{Frame, OcrEngine, Reading, Rect};
use crate::pattern::PatternEngine;
use crate::screen::{Found, Scope, find};
use crate::text::python_repr;
use crate::wait::Look;

/// How long an engine may take for one look at a screen.
const READ_LIMIT: Duration = Duration::from_secs(120);

/// What is looked for in the text on a screen.
#[derive(Debug, Clone, Copy)]
struct Sought<'a> {
    pattern: &'a str,
    patterns: &'a dyn PatternEngine,
    /// The part of the screen that counts; all of it if there is none.
    region: Option<Rect>,
}

impl Node {
    /// The text on the screen, in lines.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the run has no OCR engine or the machine is off, [`DriverError::LacksFacet`]
    /// when the backend has no screen, [`DriverError::Control`] when the engine cannot read.
    pub async fn get_screen_text(&self) -> Result<String, DriverError> {
        Ok(self.read_screen(None).await?.text())
    }

    /// The text on the screen, once for each way in which it was read.
    ///
    /// # Errors
    /// As [`Node::get_screen_text`].
    pub async fn get_screen_text_variants(&self) -> Result<Vec<String>, DriverError> {
        Ok(vec![self.get_screen_text().await?])
    }

    /// Waits until `pattern` is found in the text on the screen, or in a part of it.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; as [`Node::get_screen_text`].
    pub async fn wait_for_text(
        &self,
        pattern: &str,
        timeout: Duration,
        region: Option<Rect>,
        patterns: &dyn PatternEngine,
    ) -> Result<(), DriverError> {
        let sought = Sought { pattern, patterns, region };
        let judge = |reading: Arc<Reading>| async move {
            Ok(patterns.is_found(pattern, &reading.text()).await?.then_some(()))
        };
        self.wait_for_reading(sought, timeout, judge).await
    }

    /// Where `pattern` is found in the text that is on the screen now, or in a part of it.
    ///
    /// # Errors
    /// As [`Node::get_screen_text`].
    pub async fn find_text(
        &self,
        pattern: &str,
        region: Option<Rect>,
        patterns: &dyn PatternEngine,
    ) -> Result<Vec<Found>, DriverError> {
        let reading = self.read_screen(region).await?;
        find_in(&reading, Sought { pattern, patterns, region }).await
    }

    /// Waits until `pattern` is found in the text on the screen, or in a part of it, and clicks in the middle of the
    /// first place.
    ///
    /// # Errors
    /// As [`Node::wait_for_text`] and [`Node::mouse_click`]; [`DriverError::Usage`] when the engine does not say where
    /// it is.
    pub async fn click_text(
        &self,
        pattern: &str,
        timeout: Duration,
        button: Button,
        region: Option<Rect>,
        patterns: &dyn PatternEngine,
    ) -> Result<Found, DriverError> {
        let sought = Sought { pattern, patterns, region };
        let judge = |reading: Arc<Reading>| async move {
            let found = find_in(&reading, sought).await?;
            Ok(found.into_iter().next().map(|found| (found, reading.engine.clone())))
        };
        let (found, engine) = self.wait_for_reading(sought, timeout, judge).await?;
        let rect = found.rect.ok_or_else(|| {
            DriverError::usage(format!(
                "machine `{}`: `{}` is on the screen, but the OCR engine `{engine}` does not say where (click at a \
                 place with mouse_click, or choose another engine)",
                self.name(),
                found.text
            ))
        })?;
        self.mouse_click(Some(rect.centre()), button).await?;
        Ok(found)
    }

    /// Waits until `judge` finds what it wants in the text on the screen. It is given each reading once.
    async fn wait_for_reading<T, F>(
        &self,
        sought: Sought<'_>,
        timeout: Duration,
        judge: impl Fn(Arc<Reading>) -> F,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = Result<Option<T>, DriverError>>,
    {
        let pattern = sought.pattern;
        self.step(format!("waiting for {pattern} to appear on screen"), async {
            self.engine()?;
            let judge = &judge;
            let look = |glance: Glance| async move {
                // What stays on the screen is read once as a whole: what was put together of parts may be wrong where
                // they meet.
                let scope = if glance.is_same || glance.is_last { Scope::Whole } else { Scope::Changed };
                let reading = self.read(&glance.frame, sought.region, scope).await?;
                if let Some(value) = judge(Arc::clone(&reading)).await? {
                    return Ok(Look::Done(value));
                }
                let text = reading.text();
                if glance.is_last {
                    self.log(format!("Last OCR attempt failed. Text was: [{}]", python_repr(&text)));
                }
                let seen = super::command::excerpt(text.trim_end());
                Ok(Look::NotYet(if seen.is_empty() { String::new() } else { format!("`{seen}`") }))
            };
            self.watch_screen(&format!("/{pattern}/ on the screen"), Deadline::after(timeout), look).await
        })
        .await
    }

    async fn read_screen(&self, region: Option<Rect>) -> Result<Arc<Reading>, DriverError> {
        self.engine()?;
        self.read(&self.frame().await?, region, Scope::Whole).await
    }

    /// Reads a frame of the screen, or a part of it.
    async fn read(
        &self,
        frame: &Arc<Frame>,
        region: Option<Rect>,
        scope: Scope,
    ) -> Result<Arc<Reading>, DriverError> {
        let (engine, frame) = (Arc::clone(self.engine()?), Arc::clone(frame));
        let memory = Arc::clone(&self.sight.memory);
        let within = self.context.deadline.at_most(READ_LIMIT);
        self.off_thread("read the text on its screen", move || {
            let area = region.unwrap_or_else(|| frame.whole());
            // Who waits for the same text is given what the one before has read.
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(memory.read(engine.as_ref(), &frame, area, scope, within)?.reading)
        })
        .await
    }

    pub(super) fn engine(&self) -> Result<&Arc<dyn OcrEngine>, DriverError> {
        self.context.ocr.as_ref().ok_or_else(|| {
            DriverError::usage(format!(
                "machine `{}`: the text on its screen cannot be read, because the run has no OCR engine (choose one \
                 with `ocr` in the manifest or with --ocr)",
                self.name()
            ))
        })
    }
}

async fn find_in(reading: &Reading, sought: Sought<'_>) -> Result<Vec<Found>, DriverError> {
    let spans = sought.patterns.find_all(sought.pattern, &reading.text()).await?;
    Ok(find(reading, &spans))
}
