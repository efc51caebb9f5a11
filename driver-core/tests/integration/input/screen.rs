//! Needles, stillness and changes of the screen, and the pointer.

use std::time::Duration;

use driver_core::event::Event;
use driver_core::fake::{FakeBackend, Play};
use driver_core::screen::{Area, AreaKind, Needle, Point};
use driver_core::{Button, Capabilities, ErrorKind, PointerAct, Rect};
use serde_json::json;

use super::picture::{HEIGHT, WIDTH, board, screen};
use crate::stage::Stage;

fn png(left: u32, top: u32) -> Vec<u8> {
    board(left, top).to_png().expect("a picture")
}

async fn shows(png: Vec<u8>) -> (Stage, FakeBackend) {
    let backend = FakeBackend::new().with_play("server", Play::new().show(png).print("shown"));
    let stage = Stage::with_needles(&backend);
    stage.server.start(None).await.expect("it starts");
    stage.call("wait_for_console_text", json!({"regex": "shown"})).await.expect("it is shown");
    (stage, backend)
}

/// A needle for the board at (8, 8), whose click goes to its upper left corner.
fn needle(stage: &Stage) {
    let rect = Rect { x: 6, y: 6, width: 12, height: 12 };
    let area = Area { margin: 10, click: Some(Point { x: 2, y: 2 }), ..Area::new(rect, AreaKind::Match) };
    let needle = Needle {
        name: "board-1".to_owned(),
        tags: vec!["board".to_owned()],
        areas: vec![area],
        png: "board-1.png".into(),
    };
    needle.write(&board(8, 8), &stage.needles()).expect("it is written");
}

#[tokio::test(start_paused = true)]
async fn a_needle_is_waited_for_found_where_it_is_and_clicked() {
    let (stage, backend) = shows(screen(&[9])).await;
    needle(&stage);
    std::fs::write(stage.needles().join("broken.json"), "{").unwrap();
    let missing = stage.call("check_screen", json!({"needle": "board"})).await.unwrap();
    assert!(missing.is_null());
    let error = stage.call("assert_screen", json!({"needle": "board", "timeout": 1})).await.unwrap_err();
    let message = error.to_string();
    for part in [
        "waited for the needle board; last seen: `board-1` is ",
        " % similar at (",
        "has to be 96 % (`innkeeper needle` cuts a new one from a screen)\nthe screen is kept in `server-missed-1.png`",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    let unknown = stage.call("assert_screen", json!({"needle": "bord"})).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Usage);
    assert!(unknown.to_string().contains("tag `bord` (there is board, board-1; "), "{unknown}");

    backend.handle("server").show(png(12, 4));
    let found = stage.call("click_needle", json!({"needle": "board-1"})).await.unwrap();
    assert_eq!((&found["needle"], &found["click"]), (&json!("board-1"), &json!([12, 4])));
    assert_eq!((&found["areas"][0]["x"], &found["areas"][0]["y"]), (&json!(10), &json!(2)));
    assert_eq!(backend.handle("server").record().pointer.len(), 3);
    let records = stage.end().await;
    let warned =
        |text: &str| matches!(text.split_once("broken.json`"), Some((_, rest)) if rest.ends_with("left out"));
    let warnings =
        records.iter().filter(|record| matches!(&record.event, Event::Log { text, .. } if warned(text)));
    assert_eq!(warnings.count(), 1, "a broken needle is told once");
}

#[tokio::test(start_paused = true)]
async fn a_screen_comes_to_rest_or_changes() {
    let (stage, backend) = shows(screen(&[200])).await;
    let handle = backend.handle("server");
    let began = tokio::time::Instant::now();
    let blink = async {
        for number in 0..20 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            handle.show(if number % 2 == 0 { png(number, 8) } else { screen(&[200]) });
        }
    };
    let still = stage.call("wait_still_screen", json!({"seconds": 2}));
    let (still, ()) = tokio::join!(still, blink);
    still.unwrap();
    let waited = began.elapsed().as_secs_f64();
    assert!((8.0..9.0).contains(&waited), "it is still from the sixth second on: {waited}");

    let mark = stage.call("mark_screen", json!({})).await.unwrap();
    let region = json!({"x": 0, "y": 30, "width": 10, "height": 10});
    handle.show(png(8, 8));
    stage.call("wait_screen_change", json!({"since": mark})).await.unwrap();
    for params in [json!({"timeout": 1}), json!({"since": mark, "timeout": 1, "region": region})] {
        let error = stage.call("wait_screen_change", params).await.unwrap_err().to_string();
        assert!(error.contains("waited for a change of the screen; last seen: the same"), "{error}");
    }
    let error = stage.call("wait_screen_change", json!({"since": 7})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_pointer_goes_to_pixels_of_the_screen() {
    let (stage, backend) = shows(screen(&[1])).await;
    stage.call("mouse_drag", json!({"x": 0, "y": 0, "to_x": 10, "to_y": 20})).await.unwrap();
    stage.call("mouse_double_click", json!({"button": "middle"})).await.unwrap();
    stage.call("mouse_scroll", json!({"notches": -3})).await.unwrap();
    let record = backend.handle("server").record().pointer;
    let at = |x: f64, y: f64| PointerAct::Move { x: x / f64::from(WIDTH), y: y / f64::from(HEIGHT) };
    assert_eq!(record[..3], [at(0.5, 0.5), PointerAct::Press(Button::Left), at(1.5, 2.5)]);
    assert_eq!(record[11..13], [at(10.5, 20.5), PointerAct::Release(Button::Left)]);
    let (press, release) = (PointerAct::Press(Button::Middle), PointerAct::Release(Button::Middle));
    assert_eq!(record[13..], [press, release, press, release, PointerAct::Scroll(-3)]);

    for (verb, params, problem) in [
        ("mouse_move", json!({"x": 32, "y": 0}), "(32, 0) is outside of its screen, which has 32x60 pixels"),
        ("mouse_click", json!({"x": 3}), "a place has `x` and `y`"),
        ("mouse_down", json!({"button": "upper"}), "`upper` is no button of the mouse"),
        ("mouse_scroll", json!({"notches": 1_000_000}), "1000 notches at most"),
    ] {
        let error = stage.call(verb, params).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(problem), "{error}");
    }
    stage.end().await;

    let without = Capabilities { screen: true, ..Capabilities::default() };
    let stage = Stage::new(&FakeBackend::new().with_capabilities(without));
    stage.server.start(None).await.unwrap();
    let error = stage.call("mouse_click", json!({})).await.unwrap_err().to_string();
    assert!(
        error.starts_with(
            "backend `fake` has no pointer, which mouse_click() of machine `server` needs (use keys"
        ),
        "{error}"
    );
    stage.end().await;
}
