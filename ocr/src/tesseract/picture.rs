//! The picture for tesseract: a grey one (PGM), enlarged, dark on light.

use driver_core::Frame;

/// Pixels that an enlarged picture may have.
const LIMIT: u64 = 40 << 20;

/// The picture as a file's bytes, and how many times larger it is.
pub(super) fn prepare(frame: &Frame) -> (Vec<u8>, u32) {
    let (width, height) = (frame.width(), frame.height());
    let pixels = u64::from(width) * u64::from(height);
    let scale = [3, 2].into_iter().find(|scale| pixels * scale * scale <= LIMIT).unwrap_or(1);
    let scale = u32::try_from(scale).unwrap_or(1);
    let mut grey: Vec<u8> = frame.rgb().chunks_exact(3).map(grey).collect();
    let sum: u64 = grey.iter().map(|value| u64::from(*value)).sum();
    if sum < pixels * 128 {
        grey.iter_mut().for_each(|value| *value = 255 - *value);
    }
    let mut file = format!("P5\n{} {}\n255\n", width * scale, height * scale).into_bytes();
    enlarge(&grey, width as usize, height as usize, scale as usize, &mut file);
    (file, scale)
}

/// The weights of ITU-R BT.601.
fn grey(rgb: &[u8]) -> u8 {
    let sum = u32::from(rgb[0]) * 299 + u32::from(rgb[1]) * 587 + u32::from(rgb[2]) * 114;
    u8::try_from(sum / 1000).unwrap_or(u8::MAX)
}

/// Between the pixels the values change evenly: steps would be read as serifs.
fn enlarge(grey: &[u8], width: usize, height: usize, scale: usize, into: &mut Vec<u8>) {
    // Positions count in halves of a target's pixel, so that they are whole numbers.
    let source = |target: usize, length: usize| {
        let position = (target * 2 + 1).saturating_sub(scale).min((length - 1) * 2 * scale);
        (position / (2 * scale), position % (2 * scale))
    };
    let whole = 2 * scale;
    into.reserve(width * height * scale * scale);
    for y in 0..height * scale {
        let (row, below) = source(y, height);
        let upper = &grey[row * width..][..width];
        let lower = &grey[(row + 1).min(height - 1) * width..][..width];
        for x in 0..width * scale {
            let (column, beside) = source(x, width);
            let next = (column + 1).min(width - 1);
            let mix =
                |line: &[u8]| usize::from(line[column]) * (whole - beside) + usize::from(line[next]) * beside;
            let value = (mix(upper) * (whole - below) + mix(lower) * below) / (whole * whole);
            into.push(u8::try_from(value).unwrap_or(u8::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use driver_core::Frame;

    use super::prepare;

    #[test]
    fn a_dark_screen_is_enlarged_and_turned_light_with_even_steps() {
        let frame = Frame::new(3, 1, vec![0, 0, 0, 90, 90, 90, 0, 0, 0]).unwrap();
        let (file, scale) = prepare(&frame);
        assert_eq!(scale, 3);
        let row = [255, 255, 225, 195, 165, 195, 225, 255, 255];
        assert_eq!(file, [b"P5\n9 3\n255\n".as_slice(), &row, &row, &row].concat());
    }

    #[test]
    fn pictures_of_any_size_are_bounded() {
        for (width, height) in [(1, 1), (7680, 4320), (1, 5000), (0, 0), (0, 3)] {
            let frame = Frame::new(width, height, vec![255; (width * height * 3) as usize]).unwrap();
            assert!(prepare(&frame).0.len() <= 41 << 20, "{width}x{height}");
        }
    }
}
