//! Waits for a screen that comes to rest, or that changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Node;
use super::sight::Glance;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::ocr::{Frame, Rect};
use crate::screen::psnr;
use crate::wait::Look;

/// Screens that a script can mark; older ones are forgotten.
const MARKS: usize = 4;

impl Node {
    /// Waits until the screen, or a part of it, has been still for `still`: as similar to what it showed at the start
    /// of that time as `similarity` says, in decibels.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; [`DriverError::Unsupported`] when the backend has no screen.
    pub async fn wait_still_screen(
        &self,
        still: Duration,
        timeout: Duration,
        similarity: f64,
        region: Option<Rect>,
    ) -> Result<(), DriverError> {
        let heading = format!("waiting for the screen to be still for {still:?}");
        self.wait_step(heading, timeout, async {
            let since: Mutex<Option<(Arc<Frame>, Instant)>> = Mutex::default();
            let look = |glance: Glance| {
                let mut since = since.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let at_rest = match since.take() {
                    Some((frame, start))
                        if glance.is_same || alike(&frame, &glance.frame, region, similarity) =>
                    {
                        (frame, start)
                    }
                    _ => (glance.frame, now),
                };
                let rested = now - at_rest.1;
                *since = Some(at_rest);
                let seen = format!("still for {rested:.1?}");
                std::future::ready(Ok(if rested >= still { Look::Done(()) } else { Look::NotYet(seen) }))
            };
            let awaited = format!("a screen that is still for {still:?}");
            self.watch_screen(&awaited, Deadline::after(timeout), look).await
        })
        .await
    }

    /// Remembers what the screen shows now, for [`Node::wait_screen_change`]. Returns a number for it.
    ///
    /// # Errors
    /// [`DriverError::Unsupported`] when the backend has no screen, [`DriverError::Usage`] when the machine is off.
    pub async fn mark_screen(&self) -> Result<usize, DriverError> {
        let frame = self.frame().await?;
        let mut marks = self.sight.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.add(frame);
        Ok(marks.count)
    }

    /// Waits until the screen, or a part of it, is less similar to what it showed at a mark, or at the call, than
    /// `similarity` says, in decibels.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; [`DriverError::Usage`] for a mark that was never made or is
    /// too old; as [`Node::mark_screen`].
    pub async fn wait_screen_change(
        &self,
        since: Option<usize>,
        timeout: Duration,
        similarity: f64,
        region: Option<Rect>,
    ) -> Result<(), DriverError> {
        self.wait_step("waiting for the screen to change", timeout, async {
            let before = match since {
                None => self.frame().await?,
                Some(number) => {
                    let marks = self.sight.marks.lock().unwrap_or_else(PoisonError::into_inner);
                    marks.get(number).ok_or_else(|| {
                        DriverError::usage(format!(
                            "machine `{}`: there is no mark {number} of its screen (mark_screen() makes one; the last \
                             {MARKS} are kept)",
                            self.name()
                        ))
                    })?
                }
            };
            let look = |glance: Glance| {
                let is_alike = alike(&before, &glance.frame, region, similarity);
                let seen = "the same".to_owned();
                std::future::ready(Ok(if is_alike { Look::NotYet(seen) } else { Look::Done(()) }))
            };
            self.watch_screen("a change of the screen", Deadline::after(timeout), look).await
        })
        .await
    }
}

/// The screens that a script has marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    count: usize,
    frames: Vec<(usize, Arc<Frame>)>,
}

impl Marks {
    fn add(&mut self, frame: Arc<Frame>) {
        self.count += 1;
        if self.frames.len() == MARKS {
            self.frames.remove(0);
        }
        self.frames.push((self.count, frame));
    }

    fn get(&self, number: usize) -> Option<Arc<Frame>> {
        self.frames.iter().find(|(known, _)| *known == number).map(|(_, frame)| Arc::clone(frame))
    }
}

fn alike(one: &Frame, other: &Frame, region: Option<Rect>, similarity: f64) -> bool {
    let ratio = match region {
        Some(region) if one.whole() == other.whole() => psnr(&one.part(region), &other.part(region)),
        _ => psnr(one, other),
    };
    ratio >= similarity
}
