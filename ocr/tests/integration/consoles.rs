//! The console engine on screens that are drawn here.

use driver_core::{Deadline, OcrEngine as _};
use ocr::{ConsoleEngine, Lesson, UNKNOWN};

use crate::support::{BLACK, Canvas, Dice, Drawn, GREY, Rgb, characters, noise};

const TEXT: &str = "guest login: root\n\
                    Last login: Mon Nov 23\n\
                    ╔════════╗  a.b-c_d\n\
                    ║ ▌50% ▐ ║  [ OK ]\n\
                    ╚════════╝  {x|y} ~ ß";

fn engine(fonts: &[&Drawn]) -> ConsoleEngine {
    ConsoleEngine::with_fonts(fonts.iter().map(|font| font.font()).collect())
}

#[test]
fn every_size_of_cell_is_found_and_read_exactly_with_its_colours() {
    const COLOURS: [Rgb; 5] = [BLACK, GREY, [255, 255, 85], [0, 0, 170], [170, 0, 0]];
    let sizes = [
        (8, 8),
        (8, 14),
        (8, 16),
        (9, 16),
        (10, 18),
        (10, 20),
        (11, 22),
        (12, 22),
        (12, 24),
        (16, 32),
        (32, 64),
    ];
    let fonts: Vec<_> = sizes.map(|(width, height)| Drawn::new(width, height)).into();
    let engine = engine(&fonts.iter().collect::<Vec<_>>());
    for font in &fonts {
        let mut dice = Dice::new(font.height as u64);
        // What is all ink or all ground cannot be told from a blank in other colours.
        let known: Vec<_> = characters().into_iter().filter(|c| !" █▄▀▌▐".contains(*c)).collect();
        let (columns, rows) = (40, 12);
        let mut canvas = Canvas::new(columns * font.width + 7, rows * font.height + 7, BLACK);
        let mut drawn = Vec::new();
        for at in 0..columns * rows {
            let (ink, ground) = (dice.pick(&COLOURS), dice.pick(&COLOURS));
            let character = if ink == ground { ' ' } else { dice.pick(&known) };
            canvas.put(font, at % columns, at / columns, character, ink, ground);
            drawn.push((character, ink, ground));
        }
        let grid = engine.decode(&canvas.frame()).expect("a console");
        let cells =
            grid.rows().flatten().map(|cell| (cell.character.unwrap_or(UNKNOWN), cell.ink, cell.ground));
        assert_eq!((grid.size().width as usize, grid.size().height as usize), (font.width, font.height));
        assert_eq!(cells.collect::<Vec<_>>(), drawn);
    }
}

#[test]
fn the_text_keeps_its_columns_and_words_have_their_places() {
    let font = Drawn::new(9, 16);
    let grid = engine(&[&font]).decode(&Canvas::console(&font, TEXT).frame()).unwrap();
    assert_eq!(grid.text().trim_end(), TEXT);
    let reading = grid.reading("console");
    assert_eq!(reading.lines[2].text(), "╔════════╗ a.b-c_d");
    let word = &reading.lines[2].words[1];
    let rect = word.rect.unwrap();
    assert_eq!((rect.x, rect.y, rect.width, rect.height), (12 * 9, 2 * 16, 7 * 9, 16));
    assert_eq!(word.confidence, Some(1.0));
}

#[test]
fn half_blocks_are_taken_for_what_stands_on_the_ground_beside_them() {
    let font = Drawn::new(8, 16);
    let text = "x▌▐▀▄y█\nlogin";
    let grid = engine(&[&font]).decode(&Canvas::console(&font, text).frame()).unwrap();
    // A full block is a blank in other colours.
    assert_eq!(grid.text(), "x▌▐▀▄y\nlogin\n");
}

#[test]
fn a_glyph_that_differs_in_one_pixel_is_unknown_and_not_the_nearest() {
    let font = Drawn::new(8, 16);
    let mut canvas = Canvas::console(&font, TEXT);
    let colour = if canvas.at(2, 3) == BLACK { GREY } else { BLACK };
    canvas.dot(2, 3, colour);
    let grid = engine(&[&font]).decode(&canvas.frame()).unwrap();
    assert_eq!(grid.unknown_cells(), 1);
    assert_eq!(grid.text().trim_end(), TEXT.replacen('g', "\u{fffd}", 1));
    let first = grid.reading("console").lines[0].words[0].clone();
    assert_eq!((first.text.as_str(), first.confidence), ("\u{fffd}uest", Some(0.0)));
}

#[test]
fn a_third_colour_in_a_cell_makes_it_unknown() {
    let font = Drawn::new(8, 16);
    let mut canvas = Canvas::console(&font, TEXT);
    canvas.dot(0, 0, [1, 2, 3]);
    let grid = engine(&[&font]).decode(&canvas.frame()).unwrap();
    assert_eq!(grid.text().trim_end(), TEXT.replacen('g', "\u{fffd}", 1));
}

/// What each kind of cursor does to a cell: its rows, and whether they are painted or exchanged.
#[test]
fn the_cursor_is_seen_and_what_stands_under_it_is_read() {
    for (width, height, rows, painted) in [
        (9, 16, 13..15, true),
        (9, 8, 6..8, true),
        (8, 16, 14..16, false),
        (8, 8, 7..8, false),
        (8, 16, 8..16, false),
        (8, 16, 11..16, false),
    ] {
        let font = Drawn::new(width, height);
        let engine = engine(&[&font]);
        for column in [0, 5] {
            if column == 5 && rows.start * 2 == height {
                // The lower half of a blank: a cursor there looks like a half block.
                continue;
            }
            let mut canvas = Canvas::console(&font, TEXT);
            for y in rows.clone() {
                for x in column * width..(column + 1) * width {
                    let colour = if painted || canvas.at(x, y) == BLACK { GREY } else { BLACK };
                    canvas.dot(x, y, colour);
                }
            }
            let grid = engine.decode(&canvas.frame()).unwrap();
            let case = format!("{width}x{height}, rows {rows:?}, column {column}");
            assert_eq!(grid.text().trim_end(), TEXT, "{case}");
            let cursors: Vec<_> = grid.rows().flatten().map(|cell| cell.cursor).collect();
            assert_eq!(cursors.iter().position(|cursor| *cursor), Some(column), "{case}");
            assert_eq!(cursors.iter().filter(|cursor| **cursor).count(), 1, "{case}");
        }
    }
}

#[test]
fn of_two_fonts_the_one_that_knows_more_is_taken() {
    let font = Drawn::new(8, 16);
    // The same but for a few letters, as the fonts of the kernel and of Debian are.
    let mut other = Drawn::new(8, 16);
    for number in
        ["g", "e", "o"].map(|c| characters().iter().position(|known| c.starts_with(*known)).unwrap())
    {
        other.glyphs[number].rotate_left(1);
    }
    for fonts in [[&font, &other], [&other, &font]] {
        let grid = engine(&fonts).decode(&Canvas::console(&font, TEXT).frame()).unwrap();
        assert_eq!(grid.text().trim_end(), TEXT);
    }
}

#[test]
fn what_is_no_console_is_none() {
    let font = Drawn::new(8, 16);
    let engine = engine(&[&font]);
    let mut window = Canvas::new(640, 480, [60, 110, 165]);
    for (column, row) in (10..30).flat_map(|column| (10..20).map(move |row| (column, row))) {
        // Text that stands beside the grid, as a terminal's window shows it.
        let mut cell = Canvas::new(8, 16, BLACK);
        cell.put(&font, 0, 0, 'a', GREY, BLACK);
        for (x, y) in (0..8).flat_map(|x| (0..16).map(move |y| (x, y))) {
            window.dot(column * 8 + x + 3, row * 16 + y + 5, cell.at(x, y));
        }
    }
    let lines = Canvas::console(&font, "──────\n-_-_-_\n......");
    for canvas in [Canvas::new(640, 480, GREY), noise(640, 480), window, lines] {
        assert!(engine.decode(&canvas.frame()).is_none());
        assert_eq!(engine.read(&canvas.frame(), Deadline::far()).unwrap().lines, []);
    }
}

#[test]
fn a_font_is_learnt_from_frames_and_outvotes_what_was_disturbed() {
    let font = Drawn::new(8, 16);
    // A drawing that two characters share, and one that looks like a blank.
    let line: String = characters().into_iter().filter(|c| !" █".contains(*c)).collect();
    let cells = |line: &str| line.chars().map(Some).collect::<Vec<_>>();
    let lesson = |line: &str, disturbed: bool| {
        let text = format!("{line}\n ");
        let columns = line.chars().count();
        let mut canvas = Canvas::new(columns * 8, 32, BLACK);
        for (row, line) in text.lines().enumerate() {
            line.chars().enumerate().for_each(|(column, c)| canvas.put(&font, column, row, c, GREY, BLACK));
        }
        if disturbed {
            canvas.put(&font, 3, 0, 'x', GREY, BLACK);
        }
        let mut cells = cells(line);
        cells.resize(columns * 2, Some(' '));
        Lesson { frame: canvas.frame(), columns, cells }
    };
    let lessons = [lesson(&line, false), lesson(&line, true), lesson(&line, false)];
    let learnt = ocr::learn("mine", &lessons).unwrap();
    assert_eq!(learnt.name(), "mine");
    let screen = Canvas::console(&font, TEXT).frame();
    let grid = ConsoleEngine::with_fonts(vec![learnt]).decode(&screen).unwrap();
    assert_eq!(grid.text().trim_end(), TEXT);

    let problem = ocr::learn("mine", &[]).unwrap_err();
    assert_eq!(problem, "there is no frame to learn from");
    let mut wrong = lesson(&line, false);
    wrong.columns = 7;
    assert!(ocr::learn("mine", &[wrong]).is_err());
}
