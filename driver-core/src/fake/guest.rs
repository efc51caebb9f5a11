//! The guest of a machine that plays: its root shell, with canned replies and, where the play says so, a
//! real bash for the rest.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::bash::LocalBash;
use super::handle::Slot;
use super::machine::Order;
use super::play::{Bash, Play, Reply};
use super::request::{self, Framed, Request};
use crate::machine::{Exit, ExitReason};
use crate::shell::{GREETING, PIECE};

/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// Programs that must not act on the host: each says what it was called with to the pipe `power`.
const POWER_PROGRAMS: &[&str] = &["poweroff", "reboot", "halt", "shutdown", "systemctl"];

/// What a machine wants its guest to do.
#[derive(Debug)]
pub(super) enum Wish {
    /// The shell comes up.
    Up,
    /// The guest goes down, and with it what it runs.
    Down,
    /// Bytes appear on the shell's port.
    Disturb(Vec<u8>),
}

/// The guest of one launch.
pub(super) struct Guest {
    port: DuplexStream,
    slot: Arc<Slot>,
    play: Play,
    orders: mpsc::UnboundedSender<Order>,
    /// Where its bash works; made when it is first needed, and kept for later launches.
    directory: PathBuf,
    inbox: Vec<u8>,
    /// Pieces of canned replies whose receipt the driver has not said yet.
    unconfirmed: usize,
    shell: Shell,
    /// What the present bash prints on its stderr, and asks for.
    tasks: JoinSet<()>,
}

/// What takes the commands.
enum Shell {
    /// Nothing does; they wait in the port.
    Down,
    /// Canned replies.
    Canned,
    /// Canned replies and a bash.
    Bash(Box<LocalBash>),
    /// A command that never ends.
    Stuck,
}

impl Guest {
    pub(super) fn new(
        port: DuplexStream,
        slot: Arc<Slot>,
        play: Play,
        state_dir: &Path,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Self {
        let directory = state_dir.join("guest");
        Self {
            port,
            slot,
            play,
            orders,
            directory,
            inbox: Vec::new(),
            unconfirmed: 0,
            shell: Shell::Down,
            tasks: JoinSet::new(),
        }
    }

    /// Serves until the port is closed from outside.
    pub(super) async fn serve(mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        loop {
            let mut printed = Vec::with_capacity(READ);
            let step = tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(wish) => self.grant(wish).await,
                    None => return,
                },
                count = self.port.read_buf(&mut self.inbox), if !matches!(self.shell, Shell::Down | Shell::Stuck) => match count {
                    Ok(1..) => self.take_requests().await,
                    _ => return,
                },
                count = read_bash(&mut self.shell, &mut printed) => match count {
                    Ok(1..) => self.port.write_all(&printed).await,
                    _ => { self.shell = Shell::Down; Ok(()) }
                },
            };
            if let Err(error) = step {
                let _ = self.orders.send(Order::Print(format!("fake guest: {error}\r\n").into_bytes()));
            }
        }
    }

    async fn grant(&mut self, wish: Wish) -> io::Result<()> {
        match wish {
            Wish::Up => match self.play.bash.clone() {
                Some(bash) => self.start_bash(&bash),
                None => {
                    self.shell = Shell::Canned;
                    self.port.write_all(format!("{GREETING}\n").as_bytes()).await
                }
            },
            Wish::Down => {
                self.shell = Shell::Down;
                self.tasks.abort_all();
                self.inbox.clear();
                Ok(())
            }
            Wish::Disturb(bytes) => self.port.write_all(&bytes).await,
        }
    }

    async fn take_requests(&mut self) -> io::Result<()> {
        while let Some(request) = request::take(&mut self.inbox) {
            match &self.shell {
                Shell::Down => continue,
                Shell::Stuck => break,
                Shell::Canned | Shell::Bash(_) => {}
            }
            match &request.framed {
                None => self.hear(&request).await?,
                Some(framed) => self.answer(&request, framed).await?,
            }
        }
        Ok(())
    }

    /// A line that wants no reply.
    async fn hear(&mut self, request: &Request) -> io::Result<()> {
        match String::from_utf8_lossy(&request.raw).trim() {
            "" | "1" if self.unconfirmed > 0 => self.unconfirmed -= 1,
            "poweroff" => self.order(Order::Exit(Exit::new(ExitReason::GuestShutdown))),
            "reboot" => self.order(Order::Reboot),
            _ => self.pass_on(request).await?,
        }
        Ok(())
    }

    async fn answer(&mut self, request: &Request, framed: &Framed) -> io::Result<()> {
        let reply = framed.command.as_deref().and_then(|command| self.play.reply(command));
        // First the reply, then the note, so that who waits for the note finds the deed done.
        match reply {
            Some(Reply::Says { status, stdout }) => {
                self.say(framed, status, &stdout).await?;
            }
            Some(Reply::Never) => self.shell = Shell::Stuck,
            Some(Reply::Panics) => self.end_with(Order::Panic),
            Some(Reply::Reboots) => self.order(Order::Reboot),
            Some(Reply::PowersOff) => self.end_with(Order::Exit(Exit::new(ExitReason::GuestShutdown))),
            Some(Reply::Exits(exit)) => self.end_with(Order::Exit(exit)),
            None if matches!(self.shell, Shell::Bash(_)) => self.pass_on(request).await?,
            None => {
                let what = framed.command.as_deref().unwrap_or("the transfer of a file");
                let line = format!("bash: line 1: {what}: command not found\r\n");
                self.order(Order::Print(line.into_bytes()));
                self.say(framed, 127, b"").await?;
            }
        }
        if let Some(command) = &framed.command {
            self.slot.note(|record| record.commands.push(command.clone()));
        }
        Ok(())
    }

    /// Sends a reply, piece by piece, without waiting to be asked for the next one: this port loses nothing.
    async fn say(&mut self, framed: &Framed, status: i32, stdout: &[u8]) -> io::Result<()> {
        let tag = &framed.tag;
        self.port.write_all(format!("{tag}[").as_bytes()).await?;
        let (whole, rest) = stdout.split_at(stdout.len() - stdout.len() % PIECE);
        for piece in whole.chunks(PIECE).chain([rest]) {
            self.port.write_all(piece).await?;
            let count = piece.len();
            let words = format!("0+1 records in\n0+1 records out\n{count} bytes copied\n]{tag}?\n");
            self.port.write_all(words.as_bytes()).await?;
            self.unconfirmed += 1;
        }
        self.port.write_all(format!("]{tag} {status}\n").as_bytes()).await
    }

    async fn pass_on(&mut self, request: &Request) -> io::Result<()> {
        match &mut self.shell {
            Shell::Bash(bash) => bash.write_all(&request.raw).await,
            Shell::Down | Shell::Canned | Shell::Stuck => Ok(()),
        }
    }

    fn end_with(&mut self, order: Order) {
        self.shell = Shell::Stuck;
        self.order(order);
    }

    fn order(&self, order: Order) {
        // A machine that has ended takes no orders.
        let _ = self.orders.send(order);
    }

    fn start_bash(&mut self, bash: &Bash) -> io::Result<()> {
        let programs = self.directory.join(".fake");
        std::fs::create_dir_all(&programs)?;
        let power = make_power_programs(&programs)?;
        let mut path = vec![programs];
        path.splice(0..0, bash.programs.clone());
        let mut bash = LocalBash::start(&self.directory, &path)?;
        let stderr = bash.take_stderr();
        self.shell = Shell::Bash(Box::new(bash));
        self.tasks.abort_all();
        let orders = self.orders.clone();
        self.tasks.spawn(async move {
            let Some(stderr) = stderr else { return };
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = orders.send(Order::Print(format!("{line}\r\n").into_bytes()));
            }
        });
        let orders = self.orders.clone();
        self.tasks.spawn(async move {
            let mut calls = BufReader::new(power).lines();
            while let Ok(Some(call)) = calls.next_line().await {
                let _ = orders.send(if call.contains("reboot") || call.contains(" -r") {
                    Order::Reboot
                } else {
                    Order::Exit(Exit::new(ExitReason::GuestShutdown))
                });
            }
        });
        Ok(())
    }
}

/// Reads what bash prints; waits for ever when there is none.
async fn read_bash(shell: &mut Shell, printed: &mut Vec<u8>) -> io::Result<usize> {
    match shell {
        Shell::Bash(bash) => bash.read_buf(printed).await,
        Shell::Down | Shell::Canned | Shell::Stuck => std::future::pending().await,
    }
}

/// Writes programs that tell the fake what the guest wants, and opens what they tell it through.
fn make_power_programs(directory: &Path) -> io::Result<pipe::Receiver> {
    let power = directory.join("power");
    match mknodat(CWD, &power, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    for name in POWER_PROGRAMS {
        let refuse = if *name == "systemctl" {
            "case \"$*\" in *poweroff*|*reboot*|*halt*) ;; *) echo 'fake guest: no systemd' >&2; exit 1;; esac\n"
        } else {
            ""
        };
        let script = format!("#!/bin/sh\n{refuse}echo \"{name} $*\" >'{}'\n", power.display());
        let file = directory.join(name);
        std::fs::write(&file, script)?;
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    pipe::OpenOptions::new().read_write(true).open_receiver(power)
}
