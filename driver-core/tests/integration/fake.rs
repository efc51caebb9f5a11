//! The fake: it plays what is written down, when it is told to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driver_core::fake::{FakeBackend, Play, Reply};
use driver_core::{
    Backend, Boot, Deadline, DriverError, ExitReason, GuestPort, GuestStream, Machine, MachineLog,
    MachineSpec, Shell,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[derive(Debug)]
struct NoLog;

impl MachineLog for NoLog {
    fn info(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn guard_group(&self, _: u32) {}
    fn release_group(&self, _: u32) {}
    fn guest_reset(&self) {}
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

async fn try_launch(
    backend: &FakeBackend,
    state_dir: &Path,
    allow_reboot: bool,
) -> Result<Arc<dyn Machine>, DriverError> {
    let boot = Boot::StartScript { command: "run-server-vm".to_owned() };
    let spec = MachineSpec { allow_reboot, ..MachineSpec::new("server", boot, 512, state_dir, state_dir) };
    backend.launch(&spec, Arc::new(NoLog), soon()).await
}

/// A machine that plays, without a directory of its own.
async fn launch(backend: &FakeBackend) -> Arc<dyn Machine> {
    try_launch(backend, Path::new("/nonexistent"), true).await.expect("a launch")
}

async fn port(machine: &dyn Machine, port: GuestPort) -> Box<dyn GuestStream> {
    machine.connect(port, soon()).await.expect("a port")
}

async fn shell(machine: &dyn Machine) -> Shell {
    let shell = Shell::open("server", port(machine, GuestPort::Shell).await, |_| {});
    shell.ready(soon()).await.expect("a shell");
    shell
}

async fn exit_reason(machine: &dyn Machine) -> ExitReason {
    machine.wait_exit(soon()).await.expect("an end").reason
}

#[tokio::test(start_paused = true)]
async fn steps_wait_for_their_triggers_and_commands() {
    let play = Play::new()
        .print("before")
        .await_trigger("go")
        .print("after")
        .greet()
        .await_commands(2)
        .exit(ExitReason::Status { code: 1 }, &["out of wit"])
        .answer("hostname", Reply::says("server\n"));
    let backend = FakeBackend::new().with_play("server", play);
    let handle = backend.handle("server");
    let machine = launch(&backend).await;
    let mut console = port(machine.as_ref(), GuestPort::Console).await;
    let mut line = [0; 8];
    console.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"before\r\n");
    handle.trigger("go");
    let shell = shell(machine.as_ref()).await;
    let output = shell.run("hostname", None, soon()).await.unwrap();
    assert_eq!((output.status, output.stdout), (0, b"server\n".to_vec()));
    assert_eq!(shell.run("unheard of", None, soon()).await.unwrap().status, 127);
    let exit = machine.wait_exit(soon()).await.unwrap();
    assert_eq!(
        (exit.reason, exit.last_words),
        (ExitReason::Status { code: 1 }, vec!["out of wit".to_owned()])
    );
    let mut rest = String::new();
    console.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "after\r\nbash: line 1: unheard of: command not found\r\n");
    assert_eq!(handle.record().commands, ["hostname", "unheard of"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_dies_in_the_middle_of_a_command() {
    let play = Play::default().answer("sleep 600", Reply::Never);
    let backend = FakeBackend::new().with_play("server", play);
    let handle = backend.handle("server");
    let machine = launch(&backend).await;
    let shell = shell(machine.as_ref()).await;
    let (result, ()) = tokio::join!(shell.run("sleep 600", None, Deadline::far()), async {
        handle.recorded(|record| record.commands == ["sleep 600"]).await;
        handle.panic();
    });
    assert!(matches!(result, Err(DriverError::Shell { .. })), "{result:?}");
    assert_eq!(exit_reason(machine.as_ref()).await, ExitReason::GuestPanic);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_brings_the_shell_back_where_it_is_allowed() {
    let play = Play::default().answer("reboot", Reply::Reboots).answer("id", Reply::says("root"));
    let backend = FakeBackend::new().with_play("server", play);
    let machine = launch(&backend).await;
    let shell = shell(machine.as_ref()).await;
    let error = shell.run("reboot", None, soon()).await.unwrap_err().to_string();
    assert!(error.contains("the guest rebooted"), "{error}");
    assert_eq!(shell.run("id", None, soon()).await.unwrap().stdout, b"root");

    let fixed = try_launch(&backend, Path::new("/nonexistent"), false).await.unwrap();
    fixed.power().unwrap().reset(soon()).await.unwrap();
    assert_eq!(exit_reason(fixed.as_ref()).await, ExitReason::GuestReset);
    assert_eq!(backend.handle("server").record().launches, 2);
}

#[tokio::test(start_paused = true)]
async fn a_launch_may_fail_with_last_words() {
    let play = Play::new().refuse_launch(ExitReason::Status { code: 1 }, &["no such disk"]);
    let backend = FakeBackend::new().with_play("server", play);
    let error = try_launch(&backend, Path::new("/nonexistent"), false).await.unwrap_err().to_string();
    assert!(error.contains("status 1") && error.contains("no such disk"), "{error}");
}

#[tokio::test]
async fn a_bash_of_the_host_runs_what_has_no_reply_and_cannot_turn_the_host_off() {
    let directory = tempfile::tempdir().unwrap();
    let programs = tempfile::tempdir().unwrap();
    let systemctl = programs.path().join("systemctl");
    std::fs::write(&systemctl, "#!/bin/sh\necho ActiveState=active\n").unwrap();
    std::fs::set_permissions(&systemctl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let play =
        Play::default().bash(Some(programs.path().to_owned())).answer("hostname", Reply::says("server\n"));
    let backend = FakeBackend::new().with_play("server", play);
    let machine = try_launch(&backend, directory.path(), true).await.unwrap();
    let shell = shell(machine.as_ref()).await;
    for (command, output) in
        [("echo $((6 * 7))", "42\n"), ("systemctl show x", "ActiveState=active\n"), ("hostname", "server\n")]
    {
        assert_eq!(shell.run(command, None, soon()).await.unwrap().stdout, output.as_bytes(), "{command}");
    }
    let long = format!("echo {} | wc -c", "x".repeat(100_000));
    assert_eq!(shell.run(&long, None, soon()).await.unwrap().stdout, b"100001\n");
    assert_eq!(backend.handle("server").record().commands.last(), Some(&long));
    shell.run("poweroff", None, soon()).await.ok();
    assert_eq!(exit_reason(machine.as_ref()).await, ExitReason::GuestShutdown);
}

#[tokio::test]
async fn a_process_that_is_killed_ends_the_machine() {
    let backend = FakeBackend::new().with_play("server", Play::default().process());
    let machine = launch(&backend).await;
    let pid = Pid::from_raw(machine.process_id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(exit_reason(machine.as_ref()).await, ExitReason::Signal { number: 9 });
}

#[tokio::test(start_paused = true)]
async fn what_is_typed_pressed_and_asked_is_recorded() {
    let backend = FakeBackend::new().with_play("server", Play::default().monitor("info mice", "none\r\n"));
    let handle = backend.handle("server");
    let machine = launch(&backend).await;
    let mut console = port(machine.as_ref(), GuestPort::Console).await;
    console.write_all(b"root\n").await.unwrap();
    let keys = driver_core::parse_keys("ctrl-c").unwrap();
    machine.keyboard().unwrap().press(&keys, Duration::ZERO, soon()).await.unwrap();
    assert_eq!(machine.monitor().unwrap().command("info mice", soon()).await.unwrap(), "none\r\n");
    let record = handle.recorded(|record| record.typed == b"root\n").await;
    assert_eq!((record.keys, record.monitor), (vec![keys], vec!["info mice".to_owned()]));
}
