//! The text on the screen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver_core::fake::{FakeBackend, Play};
use driver_core::{
    Button, Capabilities, Deadline, ErrorKind, EvidencePolicy, Frame, OcrEngine, OcrError, PointerAct,
    Reading, Rect, TextLine, Word,
};
use serde_json::json;

use super::picture::{HEIGHT, WIDTH, screen};
use crate::stage::{Stage, log_of};

/// The words that lie in rows of a screen of [`screen`]: the brightest pixel's value chooses one.
const WORDS: [&str; 3] = ["server login:", "Password:", "$"];

/// Reads a line in each row that is not black, and none of white. Notes the parts that it was given.
#[derive(Debug, Default)]
struct Engine {
    given: Mutex<Vec<Rect>>,
}

impl Engine {
    fn given(&self) -> Vec<Rect> {
        self.given.lock().expect("no engine panics").clone()
    }
}

impl OcrEngine for Engine {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn read(&self, frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
        self.given.lock().expect("no engine panics").push(frame.whole());
        let mut lines = Vec::new();
        for (y, row) in (0..).zip(frame.rgb().chunks(frame.width() as usize * 3)) {
            let most = usize::from(row.iter().max().copied().unwrap_or_default());
            if most == 255 {
                let (problem, way_out) = ("it is too bright".to_owned(), "dim it".to_owned());
                return Err(OcrError { engine: self.name().to_owned(), problem, way_out });
            }
            let Some(text) = most.checked_sub(1).and_then(|number| WORDS.get(number)) else { continue };
            let mut x = 0;
            let word = |text: &str| {
                let width = u32::try_from(text.len()).expect("a short word");
                let rect = Some(Rect { x, y, width, height: 1 });
                x += width + 1;
                Word { text: text.to_owned(), rect, confidence: None }
            };
            lines.push(TextLine { words: text.split(' ').map(word).collect() });
        }
        Ok(Reading { engine: self.name().to_owned(), lines })
    }

    fn read_part(&self, frame: &Frame, part: Rect, within: Deadline) -> Option<Result<Reading, OcrError>> {
        let read = Reading::of_part(self, frame, part, within);
        *self.given.lock().expect("no engine panics").last_mut()? = part;
        Some(read)
    }
}

/// A machine that shows this picture.
async fn shows(png: impl Into<Vec<u8>>) -> (Stage, FakeBackend, Arc<Engine>) {
    let backend = FakeBackend::new().with_play("server", Play::new().show(png).print("shown"));
    let engine = Arc::new(Engine::default());
    let stage = Stage::configured(&backend, |config| {
        config.ocr = Some(Arc::clone(&engine) as Arc<dyn OcrEngine>);
        // Which looks at screens, too.
        config.evidence = EvidencePolicy::None;
    });
    stage.server.start(None).await.expect("it starts");
    stage.call("wait_for_console_text", json!({"regex": "shown"})).await.expect("it is shown");
    (stage, backend, engine)
}

#[tokio::test(start_paused = true)]
async fn the_text_on_the_screen_is_read_and_waited_for() {
    let (stage, ..) = shows(screen(&[1])).await;
    assert_eq!(stage.call("get_screen_text", json!({})).await.unwrap(), "server login:\n");
    let variants = stage.call("get_screen_text_variants", json!({})).await.unwrap();
    assert_eq!(variants, json!(["server login:\n"]));
    stage.call("wait_for_text", json!({"regex": "log.n:"})).await.unwrap();
    let error = stage.call("wait_for_text", json!({"regex": "[#$]", "timeout": 2})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Assertion);
    let message = error.to_string();
    let end = "waited for /[#$]/ on the screen; last seen: `server login:`\n\
               the screen is kept in `server-missed-1.png` of the result";
    assert!(message.starts_with("action timed out after 2.00 seconds (timeout=2.0)\n"), "{message}");
    assert!(message.ends_with(end), "{message}");
    let kept = std::fs::read(stage.out_dir.path().join("server-missed-1.png")).unwrap();
    assert_eq!(kept, Frame::from_png(&screen(&[1])).unwrap().to_png().unwrap());
    let again = stage.call("wait_for_text", json!({"regex": "x", "timeout": 0})).await.unwrap_err();
    assert!(again.to_string().contains("`server-missed-1.png`"), "it is the same screen: {again}");

    let records = stage.end().await;
    let log = log_of(&records);
    for line in [
        "server: waiting for [#$] to appear on screen",
        "server: Last OCR attempt failed. Text was: ['server login:\\n']",
    ] {
        assert!(log.iter().any(|logged| logged == line), "{line:?} is missing in {log:#?}");
    }
    let saved = records.iter().filter(|record| format!("{:?}", record.event).contains("server-missed-1.png"));
    assert_eq!(saved.filter(|record| format!("{:?}", record.event).contains("FileSaved")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn waits_look_together_and_read_only_what_has_changed() {
    let (stage, backend, engine) = shows(screen(&[2, 1])).await;
    let wait = |regex: &str| stage.call("wait_for_text", json!({"regex": regex}));
    let change = async {
        // Until the screen of before was read as a whole.
        while engine.given().is_empty() {
            tokio::task::yield_now().await;
        }
        backend.handle("server").show(screen(&[2, 1, 3]));
    };
    let (dollar, either, ()) = tokio::join!(wait(r"\$"), wait(r"[$]\n"), change);
    dollar.unwrap();
    either.unwrap();
    let given = engine.given();
    let whole = Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT };
    assert_eq!(given[0], whole);
    assert_eq!(given.len(), 2, "each screen is read once: {given:?}");
    assert!(given[1].y > 10 && given[1].height < 10, "the new row and a little around it: {given:?}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn pictures_are_shared_and_taken_only_while_somebody_waits() {
    let (stage, backend, _) = shows(screen(&[1])).await;
    let count = || backend.handle("server").record().captures;
    let wait = async |late: u64| {
        tokio::time::sleep(Duration::from_millis(late)).await;
        stage.call("wait_for_text", json!({"regex": "x", "timeout": 10})).await.unwrap_err();
    };
    wait(0).await;
    let one = count();
    assert!((60..200).contains(&one), "{one} pictures in ten seconds");
    tokio::join!(wait(0), wait(7), wait(13));
    let three = count() - one;
    assert!(three < one + 10, "{three} pictures for three who wait, and {one} for one");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(count(), one + three, "nobody looks");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn text_is_found_in_its_place_and_clicked() {
    let (stage, backend, _) = shows(screen(&[2, 1])).await;
    let found = stage.call("find_text", json!({"regex": "[a-z]+:"})).await.unwrap();
    let expected = json!([
        {"text": "assword:", "x": 1, "y": 0, "width": 8, "height": 1},
        {"text": "login:", "x": 7, "y": 10, "width": 6, "height": 1},
    ]);
    assert_eq!(found, expected);
    let region = json!({"x": 0, "y": 5, "width": 100, "height": 10});
    let found = stage.call("find_text", json!({"regex": ":", "region": region})).await.unwrap();
    assert_eq!(found, json!([{"text": ":", "x": 12, "y": 10, "width": 1, "height": 1}]));
    let error = stage.call("wait_for_text", json!({"regex": "Pass", "timeout": 1, "region": region})).await;
    assert!(error.unwrap_err().to_string().contains("last seen: `server login:`"));

    let clicked = stage.call("click_text", json!({"regex": "login", "button": "right"})).await.unwrap();
    assert_eq!(clicked, json!({"text": "login", "x": 7, "y": 10, "width": 5, "height": 1}));
    let pointer = backend.handle("server").record().pointer;
    let to = PointerAct::Move { x: 9.5 / f64::from(WIDTH), y: 10.5 / f64::from(HEIGHT) };
    assert_eq!(pointer, [to, PointerAct::Press(Button::Right), PointerAct::Release(Button::Right)]);
    stage.end().await;
}

#[tokio::test]
async fn what_stands_in_the_way_of_reading_is_told() {
    let (without, _) = Stage::playing(Play::default());
    without.server.start(None).await.unwrap();
    for verb in ["get_screen_text", "get_screen_text_variants", "wait_for_text", "find_text", "click_text"] {
        let params = if verb.starts_with("get") { json!({}) } else { json!({"regex": "x"}) };
        let error = without.call(verb, params).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("the run has no OCR engine (choose one with `ocr`"), "{error}");
    }
    without.end().await;

    let blind = FakeBackend::new().with_capabilities(Capabilities::default());
    let blind = Stage::with_ocr(&blind, Some(Arc::new(Engine::default())));
    blind.server.start(None).await.unwrap();
    let error = blind.call("get_screen_text", json!({})).await.unwrap_err().to_string();
    assert!(
        error
            .starts_with("backend `fake` has no screen, which get_screen_text() of machine `server` needs ("),
        "{error}"
    );
    blind.end().await;

    let (broken, ..) = shows("no picture").await;
    let error = broken.call("get_screen_text", json!({})).await.unwrap_err().chain();
    assert!(error.contains("understand what its screen shows: the picture cannot be read: "), "{error}");
    broken.end().await;

    let (bright, ..) = shows(screen(&[255])).await;
    let error = bright.call("get_screen_text", json!({})).await.unwrap_err().chain();
    assert!(error.ends_with("OCR engine `rows`: it is too bright (dim it)"), "{error}");
    let left: Vec<_> = std::fs::read_dir(bright.server.state_dir()).unwrap().collect();
    assert_eq!(left.len(), 0, "{left:?}");
    bright.end().await;
}
