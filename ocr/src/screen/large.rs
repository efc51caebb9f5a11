//! Large text: its strokes are so wide that they look like background. In a smaller frame they are strokes again.

use driver_core::Frame;

use super::ink::Ground;
use super::plane::{Area, Plane};

/// How much smaller the frame is made: for headings, and for the clocks of login screens.
pub(super) const FACTORS: [usize; 2] = [3, 6];
/// Rows of a line in the smaller frame: what is lower was read in the frame itself.
pub(super) const LEAST: usize = 11;

/// The frame with its sides divided by `factor`, each pixel a mean. `None` when it is too small for large text.
pub(super) fn smaller(frame: &Frame, factor: usize) -> Option<Frame> {
    let across = frame.width() as usize;
    let (width, height) = (across / factor, frame.height() as usize / factor);
    if width < LEAST || height < LEAST {
        return None;
    }
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let mut sums = [0_usize; 3];
            for row in y * factor..(y + 1) * factor {
                let start = (row * across + x * factor) * 3;
                for pixel in frame.rgb()[start..start + factor * 3].chunks_exact(3) {
                    for (sum, part) in sums.iter_mut().zip(pixel) {
                        *sum += usize::from(*part);
                    }
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes")]
            rgb.extend(sums.map(|sum| (sum / (factor * factor)) as u8));
        }
    }
    Frame::new(u32::try_from(width).ok()?, u32::try_from(height).ok()?, rgb)
}

/// A line of the smaller frame in the frame itself: its ink on the backgrounds that the smaller one has.
pub(super) fn sharp(frame: &Frame, ground: &[Ground], factor: usize, line: Area) -> Plane {
    let (whole, across) = (line.times(factor), frame.width() as usize / factor);
    let pixels = (whole.top..whole.bottom)
        .flat_map(|y| (whole.left..whole.right).map(move |x| (x, y)))
        .map(|(x, y)| {
            let below = ground[y / factor * across + x / factor];
            below.ink(frame, y * frame.width() as usize + x)
        })
        .collect();
    Plane { width: whole.width(), height: whole.height(), pixels }
}
