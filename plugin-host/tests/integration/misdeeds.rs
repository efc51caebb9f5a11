//! Plugins that panic, hang or talk nonsense: they are set aside or named, and innkeeper goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use driver_core::{Backend, Deadline, DriverError, ExitReason, Frame, GuestPort, Machine};
use plugin_host::Plugin;
use rustix::process::{Pid, test_kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Log, SHORT, loaded, record, rust_plugin, spec};

/// Longer than any wait for a plugin that hangs, in these tests.
const SOON: Duration = Duration::from_secs(20);

/// The plugin in Rust with a panic in one of its functions.
fn panicking(function: &str) -> (Plugin, Result<Arc<dyn Backend>, plugin_host::PluginError>) {
    let plugin = Plugin::load(rust_plugin()).expect("it loads");
    let opened = plugin.open_backend(&json!({ "panic": function })).expect("a backend");
    (plugin, opened)
}

fn backend_of(plugin: &Plugin) -> Arc<dyn Backend> {
    plugin.open_backend(&Value::Null).expect("a backend").expect("it opens")
}

async fn launch(backend: &dyn Backend, log: &Arc<Log>) -> Result<Arc<dyn Machine>, DriverError> {
    let place = tempfile::tempdir().expect("a directory");
    backend.launch(&spec(place.path()), log.clone(), Deadline::after(Duration::from_millis(300))).await
}

/// A machine of a plugin in C.
async fn machine(definitions: &[&str]) -> Option<(TempDir, Arc<dyn Machine>, Arc<Log>)> {
    let (place, plugin) = loaded(definitions)?;
    let log = Arc::new(Log::default());
    let machine = launch(backend_of(&plugin).as_ref(), &log).await.expect("it is launched");
    Some((place, machine, log))
}

#[tokio::test]
async fn a_panic_is_told_with_its_words_and_the_plugin_is_not_called_again() {
    let (_plugin, backend) = panicking("launch");
    let (backend, log) = (backend.unwrap(), Arc::new(Log::default()));
    backend.probe().await.unwrap();
    let error = launch(backend.as_ref(), &log).await.unwrap_err().chain();
    assert!(error.contains("panicked in `launch`: the fixture panics in launch at "), "{error}");
    assert!(error.contains("fixtures/fake.rs:"), "{error}");
    assert!(error.contains("it is not called again in this run (tell its author)"), "{error}");
    let again = backend.probe().await.unwrap_err().to_string();
    assert!(again.contains("panicked in `launch`") && again.contains("not called again"), "{again}");

    let (plugin, backend) = panicking("probe");
    let error = backend.unwrap().probe().await.unwrap_err().to_string();
    assert!(error.contains("panicked in `probe`"), "{error}");
    let aside = plugin.open_ocr(&Value::Null).unwrap().unwrap_err().to_string();
    assert!(aside.contains("panicked in `probe`"), "the whole plugin is set aside: {aside}");

    let (_plugin, backend) = panicking("open");
    let error = backend.unwrap_err().to_string();
    assert!(error.contains("panicked in `open`: the fixture panics in open"), "{error}");
}

#[test]
fn engines_and_reporters_that_panic_are_errors() {
    let plugin = Plugin::load(rust_plugin()).unwrap();
    let engine = plugin.open_ocr(&json!({"panic": "read"})).unwrap().unwrap();
    let frame = Frame::new(1, 1, vec![0; 3]).unwrap();
    let error = engine.read(&frame, Deadline::far()).unwrap_err().to_string();
    assert!(error.contains("panicked in `read`: the fixture panics in read"), "{error}");

    let plugin = Plugin::load(rust_plugin()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut reporter = plugin.open_reporter(&json!({"panic": "record"}), place.path()).unwrap().unwrap();
    let error = reporter.record(&record(0)).unwrap_err().chain();
    assert!(error.contains("panicked in `record`"), "{error}");
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_and_the_plugin_is_not_called_again() {
    let Some((_place, plugin)) = loaded(&["PROBE=hang()"]) else { return };
    let backend = backend_of(&plugin);
    let began = Instant::now();
    let error = backend.probe().await.unwrap_err().to_string();
    assert!(
        error.contains("hangs: `probe` was given 300ms and has not returned 200ms after that"),
        "{error}"
    );
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let began = Instant::now();
    let again = backend.check(&spec(std::path::Path::new("/"))).await.unwrap_err().chain();
    assert!(again.contains("hangs: `probe`"), "{again}");
    assert!(began.elapsed() < SHORT.call, "it is refused at once");
}

#[test]
fn engines_and_reporters_that_hang_are_errors() {
    let Some((_place, plugin)) = loaded(&["READ=hang()"]) else { return };
    let engine = plugin.open_ocr(&Value::Null).unwrap().unwrap();
    let frame = Frame::new(1, 1, vec![0; 3]).unwrap();
    let error = engine.read(&frame, Deadline::after(Duration::from_millis(50))).unwrap_err().to_string();
    assert!(error.contains("hangs: `read` was given 50ms"), "{error}");

    let Some((place, plugin)) = loaded(&["RECORD=hang()"]) else { return };
    let mut reporter = plugin.open_reporter(&Value::Null, place.path()).unwrap().unwrap();
    assert!(reporter.record(&record(0)).unwrap_err().chain().contains("hangs: `record`"));
}

#[tokio::test]
async fn the_processes_of_a_plugin_that_hangs_are_ended() {
    let start = "LAUNCH=(start_process(log),INNKEEPER_STATUS_OK)";
    let Some((_place, machine, log)) = machine(&[start, "DESTROY=hang()"]).await else { return };
    let guarded = log.lines();
    let group = guarded[0].strip_prefix("guard ").and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    let group = group.expect("a group");
    assert!(test_kill_process_group(group).is_ok());
    machine.destroy().await;
    // Its parent is this very program.
    let status =
        rustix::process::waitpid(Some(group), rustix::process::WaitOptions::empty()).unwrap().unwrap().1;
    assert_eq!(status.terminating_signal(), Some(9));
    assert_eq!(log.lines()[1], format!("release {}", group.as_raw_pid()));
    assert!(machine.wait_exit(Deadline::far()).await.unwrap_err().chain().contains("hangs: `destroy`"));
}

#[tokio::test]
async fn nobody_can_have_innkeeper_itself_killed() {
    let own = "LAUNCH=(log->guard_group(log->context,0),log->guard_group(log->context,1),\
               log->guard_group(log->context,(uint32_t)getpgrp()),INNKEEPER_STATUS_FAILED)";
    let Some((_place, plugin)) = loaded(&[own]) else { return };
    let log = Arc::new(Log::default());
    launch(backend_of(&plugin).as_ref(), &log).await.unwrap_err();
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn json_that_is_none_is_told() {
    for (exit, text) in [
        ("give(exit,\"{\")", "says in no proper JSON how its machine ended: EOF"),
        ("give(exit,\"[]\")", "says in no proper JSON how its machine ended"),
        ("give(exit,\"{\\\"reason\\\":{\\\"reason\\\":\\\"bored\\\"}}\")", "unknown variant `bored`"),
        ("INNKEEPER_STATUS_OK", "says in no proper JSON how its machine ended"),
        ("(exit->length=1UL<<40,INNKEEPER_STATUS_OK)", "gave 1099511627776 bytes where at most"),
        ("(exit->length=5,INNKEEPER_STATUS_OK)", "gave 5 bytes at no address"),
    ] {
        let Some((_place, machine, _log)) = machine(&[&format!("WAIT_EXIT={exit}")]).await else { return };
        let error = machine.wait_exit(Deadline::after(SOON)).await.unwrap_err().chain();
        assert!(error.contains(text) && error.contains("libbroken.so"), "{exit}: {error}");
    }
    let Some((_place, plugin)) = loaded(&["LAUNCH=give(about,\"{\\\"process_id\\\":-1}\")"]) else { return };
    let error = launch(backend_of(&plugin).as_ref(), &Arc::default()).await.unwrap_err().chain();
    assert!(error.contains("says no proper JSON about its machine"), "{error}");
    let Some((_place, plugin)) = loaded(&["READ=give(reading,\"text\")"]) else { return };
    let engine = plugin.open_ocr(&Value::Null).unwrap().unwrap();
    let error = engine.read(&Frame::new(1, 1, vec![0; 3]).unwrap(), Deadline::far()).unwrap_err().to_string();
    assert!(error.contains("says in no proper JSON what it has read"), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_none_is_told() {
    for stream in ["(void)stream", "*stream=-7", "*stream=999999", "*stream=file()"] {
        let connect = format!("CONNECT=({stream},INNKEEPER_STATUS_OK)");
        let Some((_place, machine, _log)) = machine(&[&connect]).await else { return };
        let error = machine.connect(GuestPort::Shell, Deadline::after(SOON)).await.unwrap_err().chain();
        assert!(error.contains("which is no connected stream socket"), "{stream}: {error}");
    }
}

#[tokio::test]
async fn a_machine_that_lies_about_nothing_ends() {
    let Some((_place, machine, _log)) = machine(&[]).await else { return };
    assert_eq!(machine.wait_exit(Deadline::after(SOON)).await.unwrap().reason, ExitReason::GuestShutdown);
    assert!(machine.keyboard().is_none() && machine.power().is_none() && machine.monitor().is_none());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.png");
    machine.screen().unwrap().capture(&file, Deadline::after(SOON)).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"no picture");
}
