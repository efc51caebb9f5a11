//! Pictures of any size end in text.

use driver_core::{Deadline, OcrEngine as _};

use crate::support::{BLACK, Canvas, Drawn, noise};

#[test]
fn pictures_from_one_pixel_to_8k_are_read() {
    let engine = ocr::ConsoleEngine::builtin();
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (7, 7), (31, 63), (1366, 768), (7680, 4320)] {
        for canvas in [Canvas::new(width, height, BLACK), noise(width, height)] {
            let reading = engine.read(&canvas.frame(), Deadline::far()).unwrap();
            assert_eq!(reading.text(), "", "{width}x{height}");
        }
    }
}

#[test]
fn a_console_of_8k_is_read_to_its_last_cell() {
    let font = Drawn::new(8, 16);
    let mut canvas = Canvas::new(7680, 4320, BLACK);
    for (at, character) in "login".chars().enumerate() {
        canvas.put(&font, 955 + at, 269, character, [255; 3], BLACK);
    }
    let engine = ocr::ConsoleEngine::with_fonts(vec![font.font()]);
    assert_eq!(engine.read(&canvas.frame(), Deadline::far()).unwrap().text(), "login\n");
}
