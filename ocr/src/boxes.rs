//! A picture with a box around each word.

use driver_core::{Frame, Reading, Rect, Word};

/// Red: seldom a colour of text.
const COLOUR: [u8; 3] = [255, 0, 0];

/// The frame as a PNG with a box around each word of which the engine says where it stands.
///
/// # Errors
/// When the picture has no pixels: a PNG has some.
pub fn boxes(frame: &Frame, reading: &Reading) -> Result<Vec<u8>, png::EncodingError> {
    let mut rgb = frame.rgb().to_owned();
    for word in reading.lines.iter().flat_map(|line| &line.words) {
        draw(frame, word, &mut rgb);
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, frame.width(), frame.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&rgb)?;
    Ok(bytes)
}

fn draw(frame: &Frame, word: &Word, rgb: &mut [u8]) {
    let Some(Rect { x, y, width, height }) = word.rect else { return };
    let (right, bottom) = (x.saturating_add(width), y.saturating_add(height));
    let mut dot = |x: u32, y: u32| {
        // What lies beyond the edge is left out.
        if x < frame.width() && y < frame.height() {
            let at = (y as usize * frame.width() as usize + x as usize) * 3;
            rgb[at..at + 3].copy_from_slice(&COLOUR);
        }
    };
    for x in x..right.min(frame.width()) {
        dot(x, y);
        dot(x, bottom.saturating_sub(1));
    }
    for y in y..bottom.min(frame.height()) {
        dot(x, y);
        dot(right.saturating_sub(1), y);
    }
}
