//! Pictures for screens.

use driver_core::Frame;

/// The size of a screen.
pub(super) const WIDTH: u32 = 32;
pub(super) const HEIGHT: u32 = 60;

/// A black screen with a grey pixel of these shades in every tenth row, as a PNG.
pub(super) fn screen(shades: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; (WIDTH * HEIGHT * 3) as usize];
    for (line, shade) in shades.iter().enumerate() {
        rgb[line * 10 * (WIDTH as usize) * 3..][..3].fill(*shade);
    }
    frame(rgb).to_png().expect("a picture")
}

/// A black screen with a checkerboard at a place.
pub(super) fn board(left: u32, top: u32) -> Frame {
    let light = |x: u32, y: u32| {
        (left..left + 8).contains(&x) && (top..top + 8).contains(&y) && (x / 2 + y / 2).is_multiple_of(2)
    };
    let shade = |at: u32| if light(at % WIDTH, at / WIDTH) { [220; 3] } else { [0; 3] };
    frame((0..WIDTH * HEIGHT).flat_map(shade).collect())
}

fn frame(rgb: Vec<u8>) -> Frame {
    Frame::new(WIDTH, HEIGHT, rgb).expect("so many pixels")
}
