//! Machines that start, end, die and come back, and runs that are cut short.

use std::sync::Arc;
use std::time::Duration;

use driver_core::event::{Event, Level, MachineState, Outcome, Record};
use driver_core::fake::{FakeBackend, Play, Reply};
use driver_core::{Deadline, Driver, DriverConfig, DriverError, ErrorKind, ExitReason, Journal, TestResult};
use serde_json::json;
use tokio::time::Instant;

use crate::stage::Stage;

fn states(records: &[Record]) -> Vec<MachineState> {
    let state = |record: &Record| match record.event {
        Event::MachineState { state } => Some(state),
        _ => None,
    };
    records.iter().filter_map(state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_booted_by_its_first_command_and_again_after_a_shutdown() {
    let play = Play::default().answer("true", Reply::says(""));
    let (stage, backend) = Stage::playing(play);
    let server = backend.handle("server");
    assert!(!stage.server.is_up());
    stage.server.succeed(&["true"], None).await.unwrap();
    assert!(stage.server.is_up());
    stage.server.start(None).await.unwrap();
    assert_eq!(server.record().launches, 1, "start() of a machine that is on does nothing");
    stage.server.crash().await.unwrap();
    assert!(!stage.server.is_on());
    stage.server.shutdown().await.unwrap();
    stage.server.succeed(&["true"], None).await.unwrap();
    assert_eq!(server.record().launches, 2);
    use MachineState::{Connected, Off, Running, Starting};
    let life = [Starting, Running, Connected, Off];
    assert_eq!(states(&stage.end().await), [life, life].concat());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_dies_in_the_middle_of_a_command_ends_it_and_stays_dead() {
    let play = Play::default().answer("sleep 600", Reply::Never);
    let (stage, backend) = Stage::playing(play);
    let server = backend.handle("server");
    let (result, ()) = tokio::join!(stage.server.succeed(&["sleep 600"], None), async {
        server.recorded(|record| record.commands == ["sleep 600"]).await;
        server.exit(ExitReason::Signal { number: 9 }, &["out of memory"]);
    });
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "machine `server`: the hypervisor was killed by signal 9 (SIGKILL); its last words: `out of memory` \
         (while running `sleep 600`)"
    );
    assert_eq!(error.kind(), ErrorKind::Machine);
    // Nobody boots it behind the test's back ...
    let later = stage.server.succeed(&["true"], None).await.unwrap_err();
    assert!(matches!(later, DriverError::Exited { .. }), "{later}");
    // ... but who asks for it gets it.
    stage.server.start(None).await.unwrap();
    assert_eq!(server.record().launches, 2);
    let records = stage.end().await;
    let unexpected = |record: &Record| matches!(record.event, Event::MachineExited { expected: false, .. });
    assert_eq!(records.iter().filter(|record| unexpected(record)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_only_the_console_tells_ends_what_waits() {
    let play = Play::default().answer("sleep 600", Reply::Never);
    let (stage, backend) = Stage::playing(play);
    let server = backend.handle("server");
    let began = Instant::now();
    let (result, ()) = tokio::join!(stage.server.succeed(&["sleep 600"], None), async {
        server.recorded(|record| record.commands == ["sleep 600"]).await;
        server.print("[   42.0] Kernel panic - not syncing: sysrq triggered crash");
    });
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("machine `server`: the guest's kernel panicked"), "{error}");
    assert!(error.contains("sysrq triggered crash") && error.contains("`sleep 600`"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_shell_says_how_far_it_came() {
    let play =
        Play::new().print("SeaBIOS").print("[    0.0] Linux version 6.12").print("VFS: cannot open root");
    let (stage, _) = Stage::playing(play);
    let error = stage.server.succeed(&["true"], None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "machine `server`: no root shell appeared within 60s (the boot came as far as the kernel; last line on \
         the console: `VFS: cannot open root`)"
    );
    assert_eq!(error.kind(), ErrorKind::Machine);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_fails_leaves_a_machine_that_is_off() {
    let play = Play::new().refuse_launch(ExitReason::Status { code: 1 }, &["no such disk"]);
    let (stage, _) = Stage::playing(play);
    let error = stage.server.start(None).await.unwrap_err().to_string();
    assert!(error.contains("status 1") && error.contains("no such disk"), "{error}");
    assert!(!stage.server.is_on());
    assert_eq!(states(&stage.end().await), [MachineState::Starting, MachineState::Off]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_does_not_come_is_a_timeout() {
    let (stage, _) = Stage::playing(Play::default());
    stage.server.connect().await.unwrap();
    let error = stage.server.wait_for_shutdown(Some(Duration::from_secs(5))).await.unwrap_err();
    assert!(matches!(error, DriverError::StillOn { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_reboot_ends_the_command_that_runs_and_the_next_one_waits_for_the_new_shell() {
    let play = Play::default().answer("sleep 600", Reply::Never).answer("true", Reply::says(""));
    let (stage, backend) = Stage::playing(play);
    let server = backend.handle("server");
    stage.server.start(Some(true)).await.unwrap();
    let (result, ()) = tokio::join!(stage.server.succeed(&["sleep 600"], None), async {
        server.recorded(|record| record.commands == ["sleep 600"]).await;
        server.reboot();
    });
    assert_eq!(
        result.unwrap_err().to_string(),
        "machine `server`: the guest shell was reset, because the guest reboots (while running `sleep 600`)"
    );
    stage.server.succeed(&["true"], None).await.unwrap();
    let records = stage.end().await;
    let is_told = Event::Log { level: Level::Debug, text: "the guest reboots".to_owned() };
    assert!(records.iter().any(|record| record.event == is_told), "{records:?}");
    let log = crate::stage::log_of(&records).join("\n");
    assert_eq!(log.matches("connected to guest root shell").count(), 2, "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_still_boots_can_be_shut_down() {
    // As a kernel does before it has found the button.
    let play = Play::new().ignore_power_button().await_trigger("boot").greet();
    let (stage, backend) = Stage::playing(play);
    stage.server.start(None).await.unwrap();
    let (result, ()) = tokio::join!(stage.server.shutdown(), async {
        tokio::task::yield_now().await;
        backend.handle("server").trigger("boot");
    });
    result.unwrap();
    assert!(!stage.server.is_on());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_has_ended_by_itself_is_shut_down() {
    let (stage, backend) = Stage::playing(Play::default());
    stage.server.connect().await.unwrap();
    backend.handle("server").power_off();
    while stage.server.is_on() {
        tokio::task::yield_now().await;
    }
    stage.server.shutdown().await.unwrap();
    stage.server.connect().await.unwrap();
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_may_wait_for_a_shutdown_and_a_third_start_anew() {
    let (stage, backend) = Stage::playing(Play::default());
    stage.server.connect().await.unwrap();
    let restarted = async {
        stage.server.wait_for_shutdown(None).await?;
        stage.server.start(None).await
    };
    // Not by `join!`, which takes turns: who starts anew comes first here.
    let waits = futures_util::future::join(restarted, stage.server.wait_for_shutdown(None));
    let ((one, other), ()) = tokio::join!(waits, async { backend.handle("server").power_off() });
    one.unwrap();
    other.unwrap();
    assert!(stage.server.is_on(), "who notes the old end late leaves the new machine alone");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn starting_what_is_on_does_not_wait_for_its_shell() {
    let (stage, _) = Stage::playing(Play::new().await_trigger("never"));
    stage.server.start(None).await.unwrap();
    let began = Instant::now();
    let (boot, start) = tokio::join!(stage.server.connect(), async {
        stage.server.start(None).await.unwrap();
        began.elapsed()
    });
    assert!(boot.is_err());
    assert!(start < Duration::from_secs(1), "{start:?}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_every_call_and_removes_its_directory() {
    let play = Play::default().answer("sleep 600", Reply::Never);
    let (stage, backend) = Stage::playing(play);
    let run_dir = stage.driver.run_dir().to_owned();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&run_dir).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700, "sockets to root shells are nobody else's business");
    let (result, ()) = tokio::join!(stage.call("succeed", json!({"commands": ["sleep 600"]})), async {
        backend.handle("server").recorded(|record| !record.commands.is_empty()).await;
        stage.driver.cancel("somebody pulled the plug");
        stage.driver.cancel("too late");
    });
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "the run is being ended (somebody pulled the plug)");
    assert!(stage.call("is_up", json!({})).await.is_err(), "later calls fail too");
    stage.end().await;
    assert!(!run_dir.exists());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_run_here_is_said_before_anything_starts() {
    let backend = FakeBackend::new()
        .with_host_problem("there is no hypervisor", "install one")
        .with_play("server", Play::default());
    let stage = Stage::new(&backend);
    let error = stage.driver.check().await.unwrap_err();
    assert_eq!(error.to_string(), "backend `fake`: there is no hypervisor (install one)");
    assert_eq!(backend.handle("server").record().launches, 0);
    stage.end().await;
}

/// The guard's own promise, tried with a process of ours instead of a hypervisor.
#[test]
fn the_guard_kills_what_is_registered_and_spares_what_is_released() {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap().keep();
    let guard = driver_core::Guard::start(&folder).unwrap();
    let start = || Command::new("cat").stdin(Stdio::piped()).process_group(0).spawn().unwrap();
    let (mut registered, mut released) = (start(), start());
    // What a daemon of a start script looks like: in no group that anybody knows.
    let mut daemon = Command::new("cat");
    daemon.stdin(Stdio::piped()).env("TMPDIR", folder.join("vm-state-server"));
    let mut daemon = daemon.spawn().unwrap();
    guard.group(registered.id());
    guard.group(released.id());
    guard.release(released.id());
    drop(guard);
    assert_eq!(registered.wait().unwrap().signal(), Some(9));
    assert_eq!(daemon.wait().unwrap().signal(), Some(9));
    assert!(!folder.exists());
    drop(released.stdin.take());
    assert!(released.wait().unwrap().success());
}

/// How a test in Rust ended, as the last event has it.
async fn end_of_test<F>(limit: Duration, work: impl FnOnce(Arc<Driver>) -> F) -> (Outcome, String)
where
    F: Future<Output = TestResult>,
{
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("events.jsonl");
    let journal = Journal::create(&file, Vec::new()).expect("a journal");
    let config = DriverConfig { deadline: Deadline::after(limit), ..DriverConfig::new(dir.path(), journal) };
    Driver::test("example", config, work).await.expect_err("it fails");
    let events = std::fs::read_to_string(file).expect("the events");
    let last: Record = serde_json::from_str(events.lines().last().expect("an end")).expect("a record");
    let Event::RunEnded(end) = last.event else { panic!("no end: {last:?}") };
    (end.outcome, end.message.expect("a message"))
}

#[tokio::test(start_paused = true)]
async fn a_test_in_rust_tells_its_time_limit_and_the_causes_of_errors() {
    let (outcome, message) =
        end_of_test(Duration::from_secs(5), async |_| std::future::pending().await).await;
    assert_eq!(outcome, Outcome::TimedOut);
    assert_eq!(message, "the test took longer than the 5s that it may take");
    let broken = async |_| {
        let source = std::io::Error::other("the disk is gone");
        Err(DriverError::File { operation: "write", path: "x".to_owned(), source }.into())
    };
    let (outcome, message) = end_of_test(Duration::from_secs(5), broken).await;
    assert_eq!((outcome, message.as_str()), (Outcome::Failed, "failed to write `x`: the disk is gone"));
}
