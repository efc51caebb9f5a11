//! Rules on machines that run: ports, shell, waits and facets.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::life::refused;
use super::{Findings, hold};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::keys::Key;
use crate::machine::{Backend, Button, GuestPort, Machine, PointerAct};
use crate::shell::{Shell, quote};

/// How long things may take that should take next to no time.
const SOON: Duration = Duration::from_secs(30);

const UNKNOWN_KEY: &str = "no_such_key";

/// A guest whose console is read and whose shell has come up.
pub(super) struct Guest {
    shell: Shell,
    /// How many bytes the console has given.
    console: watch::Receiver<usize>,
    _reader: AbortOnDropHandle<()>,
}

impl Guest {
    pub(super) async fn new(machine: &dyn Machine, within: Deadline) -> Result<Self, String> {
        let chain = |error: DriverError| error.chain();
        let mut stream = machine.connect(GuestPort::Console, within).await.map_err(chain)?;
        let (count, console) = watch::channel(0);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                count.send_modify(|count| *count += read);
            }
        });
        let stream = machine.connect(GuestPort::Shell, within).await.map_err(chain)?;
        let shell = Shell::open(machine.name(), stream, |_| {});
        shell.ready(within).await.map_err(chain)?;
        Ok(Self { shell, console, _reader: AbortOnDropHandle::new(reader) })
    }

    /// The output of a command that must succeed.
    pub(super) async fn succeed(&self, command: &str) -> Result<String, String> {
        let output = self.shell.run(command, None, Deadline::after(SOON)).await;
        let output = output.map_err(|error| error.chain())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        hold(output.status == 0, || format!("`{command}` ended with status {}: {text}", output.status))?;
        Ok(text)
    }

    async fn prints(&self) -> Result<(), String> {
        let mut console = self.console.clone();
        match tokio::time::timeout(SOON, console.wait_for(|count| *count > 0)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err("it closed without a byte".to_owned()),
            Err(_) => Err(format!("no byte came within {SOON:?} of the shell")),
        }
    }

    async fn answers(&self) -> Result<(), String> {
        let text = self.succeed("printf '%s\\n' one 'two  three'; echo stderr >&2").await?;
        hold(text == "one\ntwo  three\n", || format!("the output is {text:?}"))
    }

    async fn survives_a_cancelled_command(&self) -> Result<(), String> {
        let short = Deadline::after(Duration::from_millis(100));
        let error = refused(self.shell.run("sleep 1; echo of the past", None, short).await)?;
        hold(matches!(error, DriverError::Timeout { .. }), || format!("the error is: {}", error.chain()))?;
        let text = self.succeed("echo next").await?;
        hold(text == "next\n", || format!("the next command's output is {text:?}"))
    }

    async fn takes_a_long_command(&self) -> Result<(), String> {
        let text = "0123456789 bcdef".repeat(1 << 16);
        let count = self.succeed(&format!("printf %s {} | wc -c", quote(&text))).await?;
        hold(count.trim() == text.len().to_string(), || format!("{} bytes arrive as {count}", text.len()))
    }

    async fn carries_every_byte(&self) -> Result<(), String> {
        let command = "for i in {0..255}; do printf \"\\\\x$(printf %x $i)\"; done";
        let output = self.shell.run(command, None, Deadline::after(SOON)).await;
        let stdout = output.map_err(|error| error.chain())?.stdout;
        hold(stdout == (0..=255).collect::<Vec<u8>>(), || {
            "they do not arrive as they were printed".to_owned()
        })?;
        let content: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let target = "innkeeper-contract.d/bytes";
        let within = Deadline::after(SOON);
        let sent = self.shell.upload(target, 0o600, content.as_slice(), content.len() as u64, within).await;
        sent.map_err(|error| error.chain())?;
        let mut copy = Vec::new();
        let received = self.shell.download(target, &mut copy, u64::MAX, within).await;
        received.map_err(|error| error.chain())?;
        self.succeed("rm -r innkeeper-contract.d").await?;
        hold(copy == content, || "a file comes back changed".to_owned())
    }
}

pub(super) async fn check(
    backend: &dyn Backend,
    machine: &Arc<dyn Machine>,
    guest: &Guest,
    boot: Duration,
    findings: &mut Findings,
) {
    findings.add("the console gives bytes", guest.prints().await);
    findings.add("the shell answers", guest.answers().await);
    findings.add("the shell takes a command of 1 MiB", guest.takes_a_long_command().await);
    findings.add("the shell's port carries every byte, both ways", guest.carries_every_byte().await);
    findings.add(
        "a command that is given up does not break the next",
        guest.survives_a_cancelled_command().await,
    );
    findings.add("a port that is open is refused with a reason", refuses_open_ports(machine.as_ref()).await);
    findings.add("wait_exit ends at its deadline with Timeout", wait_exit_ends(machine.as_ref(), boot).await);
    findings.add("capabilities and facets agree", facets_agree(backend, machine.as_ref()));

    match machine.screen() {
        Some(_) => findings.add("the screen is written as a PNG", gives_a_png(machine.as_ref()).await),
        None => findings.skip("the screen is written as a PNG", "there is no screen"),
    }
    const KEYS: &str = "known keys are pressed, and an unknown one is refused by its name";
    match machine.keyboard() {
        Some(_) => findings.add(KEYS, presses_keys(machine.as_ref()).await),
        None => findings.skip(KEYS, "there is no keyboard"),
    }
    const POINTER: &str = "the pointer is moved, a button pressed and released";
    match machine.pointer() {
        Some(_) => findings.add(POINTER, moves_the_pointer(machine.as_ref()).await),
        None => findings.skip(POINTER, "there is no pointer"),
    }
    match machine.monitor() {
        Some(_) => findings.add("the monitor answers `info status`", monitor_answers(machine.as_ref()).await),
        None => findings.skip("the monitor answers `info status`", "there is no monitor"),
    }
}

async fn refuses_open_ports(machine: &dyn Machine) -> Result<(), String> {
    for port in [GuestPort::Console, GuestPort::Shell] {
        // A second stream is dropped at once; what counts is that there is none.
        let again = machine.connect(port, Deadline::after(SOON)).await.map(drop);
        let error = refused(again).map_err(|how| format!("{port:?}: {how}"))?;
        let is_late = matches!(error, DriverError::Timeout { .. });
        hold(!is_late, || format!("{port:?} is tried until the deadline: {}", error.chain()))?;
        let text = error.chain();
        hold(text.contains(machine.name()), || format!("the error does not name the machine: {text}"))?;
    }
    Ok(())
}

async fn wait_exit_ends(machine: &dyn Machine, boot: Duration) -> Result<(), String> {
    let short = machine.wait_exit(Deadline::after(Duration::from_millis(50)));
    let Ok(result) = tokio::time::timeout(boot, short).await else {
        return Err(format!("it goes on for {boot:?}"));
    };
    let error = refused(result).map_err(|_| "the machine has ended".to_owned())?;
    hold(matches!(error, DriverError::Timeout { .. }), || format!("the error is: {}", error.chain()))
}

fn facets_agree(backend: &dyn Backend, machine: &dyn Machine) -> Result<(), String> {
    let promised = backend.capabilities();
    for (facet, promised, there) in [
        ("screen", promised.screen, machine.screen().is_some()),
        ("keyboard", promised.keyboard, machine.keyboard().is_some()),
        ("pointer", promised.pointer, machine.pointer().is_some()),
        ("monitor", promised.monitor, machine.monitor().is_some()),
        ("power", promised.power, machine.power().is_some()),
        ("network", promised.network, machine.network().is_some()),
        ("snapshots", promised.snapshots, machine.snapshots().is_some()),
    ] {
        hold(promised == there, || format!("{facet} is promised: {promised}, and there: {there}"))?;
    }
    Ok(())
}

async fn gives_a_png(machine: &dyn Machine) -> Result<(), String> {
    let Some(screen) = machine.screen() else { return Ok(()) };
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = directory.path().join("with a space.png");
    screen.capture(&file, Deadline::after(SOON)).await.map_err(|error| error.chain())?;
    let bytes = std::fs::read(&file).map_err(|error| format!("the file cannot be read: {error}"))?;
    hold(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), || "the file does not begin as a PNG does".to_owned())?;
    hold(bytes.ends_with(b"IEND\xaeB`\x82"), || "the file does not end as a PNG does".to_owned())
}

async fn presses_keys(machine: &dyn Machine) -> Result<(), String> {
    let Some(keyboard) = machine.keyboard() else { return Ok(()) };
    let hold_for = Duration::from_millis(1);
    for chord in [vec![Key::Name("ret".to_owned())], vec![Key::Name("shift".to_owned()), Key::Code(0x1e)]] {
        let pressed = keyboard.press(&chord, hold_for, Deadline::after(SOON)).await;
        pressed.map_err(|error| format!("{chord:?}: {}", error.chain()))?;
    }
    let unknown = [Key::Name(UNKNOWN_KEY.to_owned())];
    let error = refused(keyboard.press(&unknown, hold_for, Deadline::after(SOON)).await)?;
    let text = error.chain();
    hold(text.contains(UNKNOWN_KEY), || format!("the error does not name `{UNKNOWN_KEY}`: {text}"))
}

async fn moves_the_pointer(machine: &dyn Machine) -> Result<(), String> {
    let Some(pointer) = machine.pointer() else { return Ok(()) };
    let acts = [
        PointerAct::Move { x: 0.0, y: 0.0 },
        PointerAct::Move { x: 1.0, y: 1.0 },
        PointerAct::Press(Button::Left),
        PointerAct::Release(Button::Left),
        PointerAct::Scroll(-1),
    ];
    for act in acts {
        let done = pointer.act(act, Deadline::after(SOON)).await;
        done.map_err(|error| format!("{act:?}: {}", error.chain()))?;
    }
    Ok(())
}

async fn monitor_answers(machine: &dyn Machine) -> Result<(), String> {
    let Some(monitor) = machine.monitor() else { return Ok(()) };
    let answer = monitor.command("info status", Deadline::after(SOON)).await;
    let answer = answer.map_err(|error| error.chain())?;
    hold(answer.contains("running"), || format!("its answer is {answer:?}"))
}
