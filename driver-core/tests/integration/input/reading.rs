//! The text on the screen.

use std::sync::Arc;

use driver_core::fake::{FakeBackend, Play};
use driver_core::{Capabilities, Deadline, ErrorKind, Frame, OcrEngine, OcrError, Reading, TextLine, Word};
use serde_json::json;

use crate::stage::{Stage, log_of};

/// Reads two words in a black frame, and cannot read another.
#[derive(Debug)]
struct Engine;

impl OcrEngine for Engine {
    fn name(&self) -> &'static str {
        "two-words"
    }

    fn read(&self, frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
        if frame.rgb() != [0, 0, 0] {
            let (problem, way_out) = ("it is too bright".to_owned(), "dim it".to_owned());
            return Err(OcrError { engine: self.name().to_owned(), problem, way_out });
        }
        let word = |text: &str| Word { text: text.to_owned(), rect: None, confidence: None };
        let lines = vec![TextLine { words: vec![word("server"), word("login:")] }];
        Ok(Reading { engine: self.name().to_owned(), lines })
    }
}

fn stage(play: Play) -> Stage {
    Stage::with_ocr(&FakeBackend::new().with_play("server", play), Some(Arc::new(Engine)))
}

/// A machine that shows this picture.
async fn shows(png: impl Into<Vec<u8>>) -> Stage {
    let stage = stage(Play::new().show(png).print("shown"));
    stage.server.start(None).await.expect("it starts");
    stage.call("wait_for_console_text", json!({"regex": "shown"})).await.expect("it is shown");
    stage
}

#[tokio::test(start_paused = true)]
async fn the_text_on_the_screen_is_read_and_waited_for() {
    let stage = stage(Play::default());
    stage.server.start(None).await.unwrap();
    assert_eq!(stage.call("get_screen_text", json!({})).await.unwrap(), "server login:\n");
    let variants = stage.call("get_screen_text_variants", json!({})).await.unwrap();
    assert_eq!(variants, json!(["server login:\n"]));
    stage.call("wait_for_text", json!({"regex": "log.n:"})).await.unwrap();
    let error = stage.call("wait_for_text", json!({"regex": "[$#]", "timeout": 2})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Assertion);
    let message = error.to_string();
    assert!(message.ends_with("waited for /[$#]/ on the screen; last seen: `server login:`"), "{message}");
    let log = log_of(&stage.end().await);
    for line in [
        "server: waiting for [$#] to appear on screen",
        "server: Last OCR attempt failed. Text was: ['server login:\\n']",
    ] {
        assert!(log.iter().any(|logged| logged == line), "{line:?} is missing in {log:#?}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_of_reading_is_told() {
    let (without, _) = Stage::playing(Play::default());
    without.server.start(None).await.unwrap();
    for verb in ["get_screen_text", "get_screen_text_variants", "wait_for_text"] {
        let regex = if verb == "wait_for_text" { json!({"regex": "x"}) } else { json!({}) };
        let error = without.call(verb, regex).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("the run has no OCR engine (choose one with `ocr`"), "{error}");
    }
    without.end().await;

    let blind = FakeBackend::new().with_capabilities(Capabilities::default());
    let blind = Stage::with_ocr(&blind, Some(Arc::new(Engine)));
    blind.server.start(None).await.unwrap();
    let error = blind.call("get_screen_text", json!({})).await.unwrap_err().to_string();
    assert!(
        error
            .starts_with("backend `fake` has no screen, which get_screen_text() of machine `server` needs ("),
        "{error}"
    );
    blind.end().await;

    let broken = shows("no picture").await;
    let error = broken.call("get_screen_text", json!({})).await.unwrap_err().chain();
    assert!(error.contains("failed to read the text on its screen: the picture cannot be read: "), "{error}");
    broken.end().await;

    let mut white = Vec::new();
    let mut encoder = png::Encoder::new(&mut white, 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[255; 3]).unwrap();
    let bright = shows(white).await;
    let error = bright.call("get_screen_text", json!({})).await.unwrap_err().chain();
    assert!(error.ends_with("OCR engine `two-words`: it is too bright (dim it)"), "{error}");
    let left: Vec<_> = std::fs::read_dir(bright.server.state_dir()).unwrap().collect();
    assert_eq!(left.len(), 0, "{left:?}");
    bright.end().await;
}
