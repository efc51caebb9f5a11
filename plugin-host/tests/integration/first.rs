//! A plugin that was built against the first version of the ABI keeps loading.

use std::path::Path;
use std::sync::Arc;

use driver_core::{Deadline, ExitReason, Frame};
use plugin_host::Plugin;
use serde_json::Value;

use crate::support::{Log, SHORT, c_plugin_with, record, spec};

#[tokio::test]
async fn a_plugin_of_the_first_version_loads_and_works() {
    let history = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-abi/history");
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(history.join("innkeeper-plugin-1.0.h"), place.path().join("innkeeper-plugin.h")).unwrap();
    let Some((_library, file)) = c_plugin_with(place.path().to_owned(), &[]) else { return };
    let plugin = Plugin::load_with(&file, SHORT).unwrap();
    assert_eq!((plugin.name(), plugin.version(), plugin.abi()), ("broken", "0.1.0", (1, 0)));

    let backend = plugin.open_backend(&Value::Null).unwrap().unwrap();
    let can = backend.capabilities();
    assert!(can.screen && !can.keyboard && !can.pointer);
    backend.probe().await.unwrap();
    let spec = spec(place.path());
    backend.check(&spec).await.unwrap();
    let machine = backend.launch(&spec, Arc::new(Log::default()), Deadline::far()).await.unwrap();
    assert_eq!(machine.wait_exit(Deadline::far()).await.unwrap().reason, ExitReason::GuestShutdown);
    machine.destroy().await;

    let frame = Frame::new(1, 1, vec![0; 3]).unwrap();
    let engine = plugin.open_ocr(&Value::Null).unwrap().unwrap();
    assert_eq!(engine.read(&frame, Deadline::far()).unwrap().engine, "broken");
    let mut reporter = plugin.open_reporter(&Value::Null, place.path()).unwrap().unwrap();
    reporter.record(&record(0)).unwrap();
    reporter.finish().unwrap();
}
