//! Lines as the model wants them: of its height, of full contrast, bright on black. `training/lines.py` scales alike.

use super::plane::{Area, Plane};

/// Rows of a line's picture.
pub(super) const HEIGHT: usize = 32;
/// Ink below this is none; the finder counts from it.
pub(super) const FAINT: u8 = 36;

/// A line's picture: `HEIGHT` rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Strip {
    pub(super) width: usize,
    pub(super) pixels: Vec<u8>,
}

/// Cuts a line out and scales it.
pub(super) fn strip(ink: &Plane, area: Area) -> Strip {
    let full = full(ink, area);
    let rows: Vec<f32> = (area.top..area.bottom)
        .flat_map(|y| ink.row(y, area).iter().map(move |pixel| (f32::from(*pixel) * 255.0 / full).min(255.0)))
        .collect();
    let width = (area.width() * HEIGHT).div_ceil(area.height()).max(1);
    let tall = resize(&rows, area.width(), area.height(), HEIGHT);
    let turned = transpose(&tall, area.width(), HEIGHT);
    let wide = transpose(&resize(&turned, HEIGHT, area.width(), width), HEIGHT, width);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was a byte before it was blended"
    )]
    let pixels = wide.iter().map(|value| value.round() as u8).collect();
    Strip { width, pixels }
}

/// The strength that all but a twentieth of the ink stay below: what white becomes.
fn full(ink: &Plane, area: Area) -> f32 {
    let mut counts = [0_usize; 256];
    for y in area.top..area.bottom {
        for pixel in ink.row(y, area) {
            counts[usize::from(*pixel)] += 1;
        }
    }
    let all: usize = counts[usize::from(FAINT)..].iter().sum();
    let mut above = 0;
    for strength in (FAINT..=u8::MAX).rev() {
        above += counts[usize::from(strength)];
        if above * 20 >= all.max(1) {
            return f32::from(strength);
        }
    }
    f32::from(FAINT)
}

/// Rows and columns exchanged.
fn transpose(pixels: &[f32], width: usize, height: usize) -> Vec<f32> {
    (0..width).flat_map(|x| (0..height).map(move |y| pixels[y * width + x])).collect()
}

/// A picture with another number of rows: averaged by area when it shrinks, blended when it grows.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rows of a line"
)]
fn resize(pixels: &[f32], width: usize, height: usize, rows: usize) -> Vec<f32> {
    let step = height as f32 / rows as f32;
    let mut out = vec![0.0; width * rows];
    for (row, line) in out.chunks_exact_mut(width).enumerate() {
        let mut add = |source: usize, part: f32| {
            let source = source.min(height - 1) * width;
            for (to, from) in line.iter_mut().zip(&pixels[source..source + width]) {
                *to += from * part;
            }
        };
        if rows < height {
            let (first, last) = (row as f32 * step, ((row + 1) as f32 * step).min(height as f32));
            let mut at = first;
            while at + 1e-4 < last {
                let next = (at.floor() + 1.0).min(last);
                add(at as usize, (next - at) / step);
                at = next;
            }
        } else {
            let at = ((row as f32 + 0.5) * step - 0.5).clamp(0.0, (height - 1) as f32);
            add(at as usize, 1.0 - at.fract());
            add(at as usize + 1, at.fract());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{HEIGHT, strip};
    use crate::screen::plane::{Area, Plane};

    #[test]
    fn faint_ink_becomes_white_and_keeps_its_place() {
        let mut ink = Plane::black(40, 16);
        for y in 4..12 {
            ink.pixels[y * 40 + 10] = 60;
        }
        let strip = strip(&ink, Area { left: 0, top: 0, right: 40, bottom: 16 });
        assert_eq!((strip.width, strip.pixels.len()), (80, 80 * HEIGHT));
        let brightest = strip.pixels.iter().max().unwrap();
        assert!(*brightest > 180, "{brightest}");
        let column: Vec<usize> = (0..80).filter(|x| strip.pixels[16 * 80 + x] > 100).collect();
        assert_eq!(column, [20, 21]);
        assert_eq!(strip.pixels[80 + 20], 0, "above the ink");
    }

    #[test]
    fn large_text_is_averaged() {
        let mut ink = Plane::black(64, 64);
        for (index, pixel) in ink.pixels.iter_mut().enumerate() {
            *pixel = if index % 2 == 0 { 200 } else { 0 };
        }
        let strip = strip(&ink, Area { left: 0, top: 0, right: 64, bottom: 64 });
        assert_eq!(strip.width, 32);
        assert!(strip.pixels.iter().all(|pixel| (126..=128).contains(pixel)), "{:?}", &strip.pixels[..8]);
    }
}
