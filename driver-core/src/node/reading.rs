//! The text on a machine's screen, as the run's OCR engine reads it.

use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::facet::Facet;
use crate::ocr::{Frame, OcrEngine, Reading};
use crate::pattern::PatternEngine;
use crate::text::python_repr;
use crate::wait::{Look, Wait};

/// How long an engine may take for one look at a screen.
const READ_LIMIT: Duration = Duration::from_secs(120);

impl Node {
    /// The text on the screen, in lines.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the run has no OCR engine or the machine is off, [`DriverError::LacksFacet`]
    /// when the backend has no screen, [`DriverError::Control`] when the engine cannot read.
    pub async fn get_screen_text(&self) -> Result<String, DriverError> {
        Ok(self.read_screen().await?.text())
    }

    /// The text on the screen, once for each way in which it was read.
    ///
    /// # Errors
    /// As [`Node::get_screen_text`].
    pub async fn get_screen_text_variants(&self) -> Result<Vec<String>, DriverError> {
        Ok(vec![self.get_screen_text().await?])
    }

    /// Waits until `pattern` is found in the text on the screen.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; as [`Node::get_screen_text`].
    pub async fn wait_for_text(
        &self,
        pattern: &str,
        timeout: Duration,
        patterns: &dyn PatternEngine,
    ) -> Result<(), DriverError> {
        self.step(format!("waiting for {pattern} to appear on screen"), async {
            self.engine()?;
            Wait::new(format!("/{pattern}/ on the screen"), timeout)
                .until(|last| self.look_at_screen(pattern, patterns, last))
                .await
        })
        .await
    }

    async fn look_at_screen(
        &self,
        pattern: &str,
        patterns: &dyn PatternEngine,
        last: bool,
    ) -> Result<Look<()>, DriverError> {
        let variants = self.get_screen_text_variants().await?;
        for text in &variants {
            if patterns.is_found(pattern, text).await? {
                return Ok(Look::Done(()));
            }
        }
        if last {
            let list: Vec<_> = variants.iter().map(|text| python_repr(text)).collect();
            self.log(format!("Last OCR attempt failed. Text was: [{}]", list.join(", ")));
        }
        let seen = variants.first().map(|text| super::command::excerpt(text.trim_end()));
        Ok(Look::NotYet(
            seen.filter(|seen| !seen.is_empty()).map_or_else(String::new, |seen| format!("`{seen}`")),
        ))
    }

    async fn read_screen(&self) -> Result<Reading, DriverError> {
        let engine = Arc::clone(self.engine()?);
        let png = self.screen_png().await?;
        let within = self.context.deadline.at_most(READ_LIMIT);
        let read = tokio::task::spawn_blocking(move || read(engine.as_ref(), &png, within));
        let read = read.await.unwrap_or_else(|error| Err(Box::new(error)));
        read.map_err(|source| DriverError::Control {
            machine: self.name().to_owned(),
            operation: "read the text on its screen".to_owned(),
            source,
        })
    }

    fn engine(&self) -> Result<&Arc<dyn OcrEngine>, DriverError> {
        self.context.ocr.as_ref().ok_or_else(|| {
            DriverError::usage(format!(
                "machine `{}`: the text on its screen cannot be read, because the run has no OCR engine (choose one \
                 with `ocr` in the manifest or with --ocr; engines come as plugins)",
                self.name()
            ))
        })
    }

    /// The screen as a PNG.
    async fn screen_png(&self) -> Result<Vec<u8>, DriverError> {
        let running = self.must_run("be looked at")?;
        let screen = running.machine.screen().ok_or_else(|| self.lacks(Facet::Screen))?;
        let failed = |operation| {
            let path = self.state_dir().display().to_string();
            move |source| DriverError::File { operation, path, source }
        };
        let place = tempfile::tempdir_in(self.state_dir()).map_err(failed("make a directory in"))?;
        let file = place.path().join("screen.png");
        let captured = screen.capture(&file, self.soon());
        self.while_it_runs(&running, || "reading the screen".to_owned(), captured).await?;
        std::fs::read(&file).map_err(failed("read the picture in"))
    }
}

fn read(engine: &dyn OcrEngine, png: &[u8], within: Deadline) -> Result<Reading, crate::error::Cause> {
    Ok(engine.read(&Frame::from_png(png)?, within)?)
}
