//! Which engine reads what.

use std::sync::{Arc, Mutex};

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading, Rect, TextLine, Word};
use ocr::{AutoEngine, ConsoleEngine, ScreenEngine};

use crate::support::{BLACK, Canvas, Drawn, GREY, noise};

/// Says the same of every picture, and remembers what it was shown.
#[derive(Debug, Default)]
struct Parrot(Mutex<Vec<(u32, u32)>>);

impl OcrEngine for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn read(&self, frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
        self.0.lock().expect("nobody has panicked").push((frame.width(), frame.height()));
        let word = |text: &str, x| Word {
            text: text.to_owned(),
            rect: Some(Rect { x, y: 2, width: 20, height: 10 }),
            confidence: Some(0.5),
        };
        let words = vec![word("first", 0), word("second", 48)];
        Ok(Reading { engine: "parrot".to_owned(), lines: vec![TextLine { words }] })
    }
}

fn with_parrot(font: &Drawn) -> (AutoEngine, Arc<Parrot>) {
    let parrot = Arc::new(Parrot::default());
    let console = ConsoleEngine::with_fonts(vec![font.font()]);
    (AutoEngine::new(console, Some(Arc::clone(&parrot) as _)), parrot)
}

#[test]
fn a_console_is_read_without_asking_anybody() {
    let font = Drawn::new(8, 16);
    let (engine, parrot) = with_parrot(&font);
    let reading = engine.read(&Canvas::console(&font, "guest login:").frame(), Deadline::far()).unwrap();
    assert_eq!((reading.text().as_str(), reading.engine.as_str()), ("guest login:\n", "console"));
    assert_eq!(*parrot.0.lock().unwrap(), []);
}

#[test]
fn words_with_unknown_glyphs_are_asked_for_and_no_others() {
    let font = Drawn::new(8, 16);
    let (engine, parrot) = with_parrot(&font);
    let mut canvas = Canvas::console(&font, "above it\nknown xxxx known\nbelow it");
    let colour = if canvas.at(8 * 6 + 2, 16 + 3) == BLACK { GREY } else { BLACK };
    canvas.dot(8 * 6 + 2, 16 + 3, colour);
    let reading = engine.read(&canvas.frame(), Deadline::far()).unwrap();
    assert_eq!(reading.text(), "above it\nknown second known\nbelow it\n");
    assert_eq!(reading.engine, "console, parrot");
    let rect = reading.lines[1].words[1].rect.unwrap();
    assert_eq!((rect.x, rect.y), (48, 16 + 2));
    assert_eq!(*parrot.0.lock().unwrap(), [(canvas.width as u32, 16)]);
}

#[test]
fn a_part_of_a_console_is_read_as_the_console_that_it_belongs_to() {
    let font = Drawn::new(8, 16);
    let (engine, parrot) = with_parrot(&font);
    let frame = Canvas::console(&font, "above it\nguest login: root\nbelow it").frame();
    // Not on the grid, and too little to say that it is a console.
    let part = Rect { x: 8 * 6 - 3, y: 16 + 2, width: 8 * 6 + 5, height: 13 };
    let reading = engine.read_part(&frame, part, Deadline::far()).unwrap().unwrap();
    assert_eq!((reading.text().as_str(), reading.engine.as_str()), ("login:\n", "console"));
    assert_eq!(*parrot.0.lock().unwrap(), []);
    let (window, alone) = (noise(100, 50).frame(), ScreenEngine::builtin());
    assert!(
        engine.read_part(&window, window.whole(), Deadline::far()).is_none(),
        "the parrot reads no parts"
    );
    let engine = AutoEngine::new(ConsoleEngine::with_fonts(vec![font.font()]), Some(Arc::new(alone)));
    assert!(engine.read_part(&window, window.whole(), Deadline::far()).is_some());
}

#[test]
fn what_is_no_console_is_for_the_other_engine() {
    let font = Drawn::new(8, 16);
    let (engine, _) = with_parrot(&font);
    let frame = noise(100, 50).frame();
    let reading = engine.read(&frame, Deadline::far()).unwrap();
    assert_eq!((reading.text().as_str(), reading.engine.as_str()), ("first second\n", "parrot"));
    let alone = AutoEngine::new(ConsoleEngine::with_fonts(vec![font.font()]), None);
    assert_eq!(alone.read(&frame, Deadline::far()).unwrap().text(), "");
}
