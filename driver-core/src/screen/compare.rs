//! How much two pictures differ.

use crate::ocr::Frame;

/// The peak signal-to-noise ratio of two pictures in decibels, as openQA's `similarity_level` has it: infinite when
/// they are the same, zero when they are not of one size.
pub(crate) fn psnr(one: &Frame, other: &Frame) -> f64 {
    if (one.width(), one.height()) != (other.width(), other.height()) {
        return 0.0;
    }
    if one.rgb() == other.rgb() {
        return f64::INFINITY;
    }
    let squares = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
    let noise: u64 = one.rgb().iter().zip(other.rgb()).map(squares).sum();
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more")]
    let ratio = 255.0_f64.powi(2) * one.rgb().len() as f64 / noise as f64;
    10.0 * ratio.log10()
}

#[cfg(test)]
mod tests {
    use super::psnr;
    use crate::ocr::Frame;

    #[test]
    fn a_cursor_is_a_small_difference_and_another_screen_a_large_one() {
        let screen = |white: usize| {
            let mut rgb = vec![0; 720 * 400 * 3];
            rgb[..white * 3].fill(255);
            Frame::new(720, 400, rgb).unwrap()
        };
        assert!(psnr(&screen(0), &screen(0)).is_infinite());
        let cursor = psnr(&screen(0), &screen(18));
        assert!((41.0..43.0).contains(&cursor), "{cursor}");
        assert!(psnr(&screen(0), &screen(100_000)) < 10.0);
        assert!(psnr(&screen(0), &Frame::new(1, 1, vec![0; 3]).unwrap()) < 1.0);
    }
}
