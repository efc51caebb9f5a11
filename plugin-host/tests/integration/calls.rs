//! What crosses the ABI arrives: readings, events, lines of the log, and errors as what they are.

use std::sync::Arc;
use std::time::Duration;

use driver_core::{Button, Deadline, DriverError, Frame, PointerAct};
use plugin_host::Plugin;
use serde_json::{Value, json};

use crate::support::{Log, loaded, record, rust_plugin, spec};

#[test]
fn an_engine_reads_a_frame() {
    let plugin = Plugin::load(rust_plugin()).unwrap();
    let engine = plugin.open_ocr(&Value::Null).unwrap().unwrap();
    let frame = Frame::new(4, 2, vec![7; 24]).unwrap();
    let reading = engine.read(&frame, Deadline::far()).unwrap();
    assert_eq!((reading.engine.as_str(), reading.text().as_str()), ("rust-fake", "4x2 of 24 bytes\n"));
    assert_eq!(reading.lines[0].words[0].confidence, Some(0.5));
    let wide = Frame::new(101, 1, vec![0; 303]).unwrap();
    let error = engine.read(&wide, Deadline::far()).unwrap_err();
    assert_eq!(error.to_string(), "OCR engine `rust-fake`: it is too wide (make it smaller)");
    let over = engine.read(&frame, Deadline::after(Duration::ZERO)).unwrap_err();
    assert!(over.to_string().contains("give it more time"), "{over}");
    let nothing = Frame::new(0, 0, Vec::new()).unwrap();
    assert_eq!(engine.read(&nothing, Deadline::far()).unwrap().text(), "0x0 of 0 bytes\n");
}

#[test]
fn a_reporter_is_given_every_event_and_the_end() {
    let plugin = Plugin::load(rust_plugin()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut reporter = plugin.open_reporter(&Value::Null, place.path()).unwrap().unwrap();
    for seq in 0..3 {
        reporter.record(&record(seq)).unwrap();
    }
    reporter.finish().unwrap();
    assert_eq!(std::fs::read_to_string(place.path().join("count")).unwrap(), "3");
    std::fs::remove_dir_all(place.path()).unwrap();
    let error = reporter.finish().unwrap_err();
    assert!(matches!(error, DriverError::File { .. }), "{error:?}");
    assert!(error.chain().contains("failed to write `"), "{}", error.chain());
}

#[tokio::test]
async fn a_backend_is_given_the_log() {
    let plugin = Plugin::load(rust_plugin()).unwrap();
    let backend = plugin.open_backend(&Value::Null).unwrap().unwrap();
    let (place, log) = (tempfile::tempdir().unwrap(), Arc::new(Log::default()));
    let machine = backend.launch(&spec(place.path()), log.clone(), Deadline::far()).await.unwrap();
    machine.destroy().await;
    let lines = log.lines();
    let pid = machine.process_id().unwrap();
    assert_eq!(
        lines,
        ["info a line for the log".to_owned(), format!("guard {pid}"), format!("release {pid}")]
    );
}

#[tokio::test]
async fn a_pointer_is_told_what_the_header_says() {
    let Some((_place, plugin)) = loaded(&[]) else { return };
    let (place, backend) =
        (tempfile::tempdir().unwrap(), plugin.open_backend(&Value::Null).unwrap().unwrap());
    let machine =
        backend.launch(&spec(place.path()), Arc::new(Log::default()), Deadline::far()).await.unwrap();
    for (act, json) in [
        (PointerAct::Move { x: 0.25, y: 1.0 }, r#"{"move":{"x":0.25,"y":1.0}}"#),
        (PointerAct::Press(Button::Left), r#"{"press":"left"}"#),
        (PointerAct::Release(Button::Middle), r#"{"release":"middle"}"#),
        (PointerAct::Scroll(-2), r#"{"scroll":-2}"#),
    ] {
        let error = machine.pointer().unwrap().act(act, Deadline::far()).await.unwrap_err().chain();
        assert!(error.contains("move its pointer") && error.contains(json), "{error}");
    }
}

#[test]
fn settings_that_are_refused_are_refused_in_the_plugins_words() {
    let plugin = Plugin::load(rust_plugin()).unwrap();
    let error = plugin.open_backend(&json!({"problem": "it wants a colour"})).unwrap().unwrap_err();
    assert_eq!(error.to_string(), format!("plugin `{}`: it wants a colour", rust_plugin().display()));
    let error = plugin.open_backend(&json!({"poor": true})).unwrap().unwrap_err().to_string();
    assert!(
        error.contains("the backend's capabilities are") && error.contains("make its `facets`"),
        "{error}"
    );
    let error = plugin.open_backend(&json!({"nics": true})).unwrap().unwrap_err().to_string();
    assert!(error.contains("this ABI cannot carry") && !error.contains("`facets`"), "{error}");
}

/// The error of a probe that is written in C.
async fn probe(code: &str) -> Option<DriverError> {
    let (_place, plugin) = loaded(&[&format!("PROBE={code}")])?;
    let backend = plugin.open_backend(&Value::Null).expect("a backend").expect("it opens");
    Some(backend.probe().await.expect_err("it fails"))
}

#[tokio::test]
async fn errors_keep_their_kind_and_their_words() {
    let Some(error) = probe("say(INNKEEPER_STATUS_HOST,message,\"no kernel\\nget one\")").await else {
        return;
    };
    assert_eq!(error.to_string(), "backend `broken`: no kernel (get one)");

    let Some((_place, plugin)) =
        loaded(&["LAUNCH=say(INNKEEPER_STATUS_REFUSED,message,\"no disk\\nmake one\")"])
    else {
        return;
    };
    let (place, backend) =
        (tempfile::tempdir().unwrap(), plugin.open_backend(&Value::Null).unwrap().unwrap());
    let launch = |backend: Arc<dyn driver_core::Backend>, spec| async move {
        backend.launch(&spec, Arc::new(Log::default()), Deadline::far()).await.map(drop).unwrap_err()
    };
    let error = launch(backend, spec(place.path())).await;
    assert!(matches!(error, DriverError::Launch { .. }), "{error:?}");
    assert_eq!(error.to_string(), "machine `server`: no disk (make one)");

    let Some((_place, plugin)) = loaded(&["LAUNCH=say(INNKEEPER_STATUS_HOST,message,\"no memory\")"]) else {
        return;
    };
    let error = launch(plugin.open_backend(&Value::Null).unwrap().unwrap(), spec(place.path())).await;
    assert_eq!(error.to_string(), "backend `broken`: no memory");

    let exit = r#"LAUNCH=say(INNKEEPER_STATUS_EXITED,message,"{\"reason\":{\"reason\":\"status\",\"code\":3},\"last_words\":[\"bye\\u001b[0m\"]}")"#;
    let Some((_place, plugin)) = loaded(&[exit]) else { return };
    let backend = plugin.open_backend(&Value::Null).unwrap().unwrap();
    let error = launch(backend, spec(place.path())).await;
    assert!(matches!(error, DriverError::Exited { .. }), "{error:?}");
    assert!(error.to_string().contains("exited with status 3; its last words: `bye\u{fffd}[0m`"), "{error}");
}

#[tokio::test]
async fn what_no_innkeeper_knows_is_a_failure_with_what_there_is() {
    let Some(error) = probe("99").await else { return };
    assert!(error.to_string().contains("`probe` failed with status 99 and without a word"), "{error}");
    let Some(error) = probe("say(-5,message,\"\\x1b[31mred\\xff\\x07\")").await else { return };
    assert!(error.to_string().ends_with("libbroken.so`: \u{fffd}[31mred\u{fffd}\u{fffd}"), "{error}");
    let Some(error) = probe("(message->length=(size_t)-1,INNKEEPER_STATUS_FAILED)").await else { return };
    assert!(error.to_string().contains("without a word"), "{error}");
}
