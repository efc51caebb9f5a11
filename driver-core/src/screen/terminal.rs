//! What a text terminal shows, as a picture: for machines that have a console and no screen.

use embedded_graphics::geometry::Point;
use embedded_graphics::image::GetPixel as _;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_9X15, FONT_9X15_BOLD};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::OriginDimensions as _;
use vt100::{Cell, Color, Parser};

use crate::ocr::Frame;

/// The size of a text screen, which programs take a terminal to have that they cannot ask.
const ROWS: u16 = 25;
const COLUMNS: u16 = 80;
/// Pixels of a character, from left to right and from top to bottom.
const WIDTH: u32 = 9;
const HEIGHT: u32 = 15;

/// Draws what a terminal shows to which these bytes were printed.
pub(crate) fn draw(printed: &[u8]) -> Frame {
    let mut terminal = Parser::new(ROWS, COLUMNS, 0);
    terminal.process(printed);
    let screen = terminal.screen();
    let cells: Vec<_> =
        (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| screen.cell(row, column))).collect();
    let (rows, columns) = (u32::from(ROWS), u32::from(COLUMNS));
    Frame::drawn(columns * WIDTH, rows * HEIGHT, |x, y| {
        let cell = cells[(y / HEIGHT * columns + x / WIDTH) as usize];
        cell.map_or([0; 3], |cell| colour(cell, x % WIDTH, y % HEIGHT))
    })
}

/// The colour of a pixel of a character.
fn colour(cell: &Cell, x: u32, y: u32) -> [u8; 3] {
    if has_ink(cell, x, y) == cell.inverse() { rgb(cell.bgcolor(), 0) } else { rgb(cell.fgcolor(), 7) }
}

/// Whether a character has ink at a pixel of its own.
fn has_ink(cell: &Cell, x: u32, y: u32) -> bool {
    let font: &MonoFont = if cell.bold() { &FONT_9X15_BOLD } else { &FONT_9X15 };
    let Some(character) = cell.contents().chars().next() else { return false };
    // What the font does not have is a question mark.
    let glyph = u32::try_from(font.glyph_mapping.index(character)).unwrap_or_default();
    let in_row = font.image.size().width / WIDTH;
    let place =
        Point::new((glyph % in_row * WIDTH + x).cast_signed(), (glyph / in_row * HEIGHT + y).cast_signed());
    font.image.pixel(place) == Some(BinaryColor::On)
}

/// Red, green and blue of a colour as xterm has it; `default` is the number of the one that nobody has chosen.
fn rgb(colour: Color, default: u8) -> [u8; 3] {
    let number = match colour {
        Color::Rgb(red, green, blue) => return [red, green, blue],
        Color::Idx(number) => number,
        Color::Default => default,
    };
    let cube = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match number {
        0..16 => {
            [1, 2, 4].map(|bit| if number & bit == 0 { 0 } else { 0xaa } + if number < 8 { 0 } else { 0x55 })
        }
        16..232 => [36, 6, 1].map(|place| cube((number - 16) / place % 6)),
        232.. => [8 + 10 * (number - 232); 3],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HEIGHT, WIDTH, draw};
    use crate::ocr::{Frame, Rect};

    /// The colours of a character's pixels.
    fn colours(frame: &Frame, row: u32, column: u32) -> Vec<[u8; 3]> {
        let cell = frame.part(Rect { x: column * WIDTH, y: row * HEIGHT, width: WIDTH, height: HEIGHT });
        let mut colours: Vec<[u8; 3]> = cell.rgb().chunks(3).map(|it| [it[0], it[1], it[2]]).collect();
        colours.sort_unstable();
        colours.dedup();
        colours
    }

    #[test]
    fn a_character_is_drawn_where_the_terminal_has_it_in_its_colours() {
        let frame = draw(b"one\r\ntwo\x1b[5;9H\x1b[31;44m#\x1b[0;7m#\x1b[0;1;38;5;196;48;2;1;2;3m#");
        assert_eq!((frame.width(), frame.height()), (720, 375));
        assert_eq!(colours(&frame, 1, 0), [[0; 3], [0xaa; 3]]);
        assert_eq!(colours(&frame, 4, 8), [[0, 0, 0xaa], [0xaa, 0, 0]]);
        assert_eq!(colours(&frame, 4, 9), [[0; 3], [0xaa; 3]]);
        assert_eq!(colours(&frame, 4, 10), [[1, 2, 3], [255, 0, 0]]);
        assert_eq!(colours(&frame, 4, 11), [[0; 3]], "nothing is there");
    }

    #[test]
    fn what_is_shown_counts_and_not_how_it_came() {
        assert_eq!(draw(b"20 %\r100 %"), draw(b"\x1b[?25lgone\x1b[2J\x1b[H100 %"));
        assert_ne!(draw(b"login:"), draw(b"login;"));
        let scrolled: Vec<u8> = (0..100).flat_map(|line| format!("line {line}\r\n").into_bytes()).collect();
        assert_eq!(
            draw(&scrolled),
            draw(&scrolled[scrolled.len() / 2..]),
            "an older half makes no difference"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_a_guest_prints_is_drawn(
            text in "([ -~\\u{301}\\u{754c}\r\n\t\x08]|\x1b[78DEMHc=>]|\x1b\\[[?>]?[0-9]{0,6}(;[0-9]{0,6}){0,3}[@-~]){0,200}",
            bytes in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            draw(&[text.as_bytes(), &bytes].concat());
        }
    }
}
