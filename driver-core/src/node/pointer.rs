//! The pointer: what a person does with a mouse, at places given in pixels of the screen.

use std::time::Duration;

use tokio::time::Instant;

use super::Node;
use crate::error::DriverError;
use crate::facet::Facet;
use crate::machine::{Button, PointerAct};

/// How old a picture may be that tells how large the screen is.
const FRESH: Duration = Duration::from_secs(1);
/// How long a button is held, and the pause after what is done: long enough for a guest that looks once a frame.
const HOLD: Duration = Duration::from_millis(30);
/// The pause between the two clicks of a double click.
const BETWEEN: Duration = Duration::from_millis(60);
/// Steps of a drag: programs take one for a drag when the pointer has moved a little.
const STEPS: u32 = 10;

impl Node {
    /// Moves the pointer to a place: pixels from the left and from above.
    ///
    /// # Errors
    /// [`DriverError::Unsupported`] when the backend has no pointer or no screen, [`DriverError::Usage`] for a place
    /// outside of the screen or a machine that is off, [`DriverError::Control`] when the machine has no tablet.
    pub async fn mouse_move(&self, to: (u32, u32)) -> Result<(), DriverError> {
        self.step(format!("moving the pointer to {}", place(to)), self.put(to)).await
    }

    /// Clicks, where the pointer is or at a place.
    ///
    /// # Errors
    /// As [`Node::mouse_move`].
    pub async fn mouse_click(&self, at: Option<(u32, u32)>, button: Button) -> Result<(), DriverError> {
        self.step(format!("clicking{}", at_place(at)), self.click(at, button, 1)).await
    }

    /// Clicks twice.
    ///
    /// # Errors
    /// As [`Node::mouse_move`].
    pub async fn mouse_double_click(
        &self,
        at: Option<(u32, u32)>,
        button: Button,
    ) -> Result<(), DriverError> {
        self.step(format!("clicking twice{}", at_place(at)), self.click(at, button, 2)).await
    }

    /// Presses a button (`down`) or releases it, where the pointer is.
    ///
    /// # Errors
    /// As [`Node::mouse_move`].
    pub async fn mouse_button(&self, button: Button, down: bool) -> Result<(), DriverError> {
        let (word, act) = if down {
            ("pressing", PointerAct::Press(button))
        } else {
            ("releasing", PointerAct::Release(button))
        };
        self.step(format!("{word} a button of the mouse"), self.act(act)).await
    }

    /// Turns the wheel: notches down, or up when negative.
    ///
    /// # Errors
    /// As [`Node::mouse_move`].
    pub async fn mouse_scroll(&self, notches: i32) -> Result<(), DriverError> {
        self.step(format!("scrolling by {notches}"), self.act(PointerAct::Scroll(notches))).await
    }

    /// Presses a button at a place, moves the pointer to another, and releases the button there.
    ///
    /// # Errors
    /// As [`Node::mouse_move`].
    pub async fn mouse_drag(
        &self,
        from: (u32, u32),
        to: (u32, u32),
        button: Button,
    ) -> Result<(), DriverError> {
        self.step(format!("dragging from {} to {}", place(from), place(to)), async {
            // Before anything is pressed.
            self.fraction(to).await?;
            self.put(from).await?;
            self.act(PointerAct::Press(button)).await?;
            for step in 1..=STEPS {
                self.put((between(from.0, to.0, step), between(from.1, to.1, step))).await?;
            }
            self.act(PointerAct::Release(button)).await
        })
        .await
    }

    async fn click(&self, at: Option<(u32, u32)>, button: Button, times: u32) -> Result<(), DriverError> {
        if let Some(at) = at {
            self.put(at).await?;
        }
        for time in 0..times {
            if time > 0 {
                tokio::time::sleep(BETWEEN).await;
            }
            self.act(PointerAct::Press(button)).await?;
            self.act(PointerAct::Release(button)).await?;
        }
        Ok(())
    }

    async fn put(&self, to: (u32, u32)) -> Result<(), DriverError> {
        let (x, y) = self.fraction(to).await?;
        self.act(PointerAct::Move { x, y }).await
    }

    /// The middle of a pixel, as parts of the screen's size.
    async fn fraction(&self, (x, y): (u32, u32)) -> Result<(f64, f64), DriverError> {
        let now = Instant::now();
        let frame = self.shot(now.checked_sub(FRESH).unwrap_or(now)).await?.frame;
        let (width, height) = (frame.width(), frame.height());
        if x >= width || y >= height {
            return Err(DriverError::usage(format!(
                "machine `{}`: {} is outside of its screen, which has {width}x{height} pixels",
                self.name(),
                place((x, y))
            )));
        }
        let part = |at: u32, of: u32| (f64::from(at) + 0.5) / f64::from(of);
        Ok((part(x, width), part(y, height)))
    }

    async fn act(&self, act: PointerAct) -> Result<(), DriverError> {
        let running = self.must_run("be pointed at")?;
        let pointer = running.machine.pointer().ok_or_else(|| self.lacks(Facet::Pointer))?;
        let done = pointer.act(act, self.soon());
        self.while_it_runs(&running, || "moving the pointer".to_owned(), done).await?;
        tokio::time::sleep(HOLD).await;
        Ok(())
    }
}

fn between(from: u32, to: u32, step: u32) -> u32 {
    let (from, to) = (i64::from(from), i64::from(to));
    let at = from + (to - from) * i64::from(step) / i64::from(STEPS);
    u32::try_from(at).unwrap_or_default()
}

fn place((x, y): (u32, u32)) -> String {
    format!("({x}, {y})")
}

fn at_place(at: Option<(u32, u32)>) -> String {
    at.map_or_else(String::new, |at| format!(" at {}", place(at)))
}
