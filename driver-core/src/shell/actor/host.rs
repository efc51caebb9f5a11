//! Has somebody at the guest's shell. The visitor, the guest and a reset of the shell are all waited for at once: who
//! does not read must not hold the actor.

use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::{Actor, Answers, Broken, write};
use crate::machine::GuestStream;
use crate::shell::reply::Found;
use crate::shell::request::Tag;
use crate::shell::state::Phase;
use crate::shell::visit::{self, Visit};

/// Bytes on their way to the guest up to which a visitor can go on typing.
const TYPED: usize = 1 << 20;

/// How long the guest has to say that a visit is gone, before it is asked for that again.
const REMINDER: Duration = Duration::from_secs(5);

/// How often it is asked again: for a minute in all.
const REMINDERS: u32 = 11;

/// Bytes on their way to who may be slow to take them.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    is_unflushed: bool,
}

/// The two directions of a visitor's terminal, as long as there is one.
#[derive(Default)]
struct Visitor {
    keyboard: Option<ReadHalf<Box<dyn GuestStream>>>,
    screen: Option<WriteHalf<Box<dyn GuestStream>>>,
    shown: Outbox,
}

impl Actor {
    /// Has somebody at a shell of their own, and returns when the guest says that all of it is gone.
    pub(super) async fn host(&mut self, id: u64, visit: Visit, answers: &Answers) -> Result<i32, Broken> {
        self.wait_until_up(answers).await?;
        let tag = Tag::new(self.session, id);
        write(&mut self.writer, &[visit.line(&tag).as_bytes()]).await?;
        self.state.used();
        let reminder = visit::reminder(&tag);
        self.inbound.parser.expect(tag);
        let ended = self.pass_on(Visitor::at(visit.terminal), reminder.as_bytes(), answers).await;
        self.inbound.parser.give_up();
        ended
    }

    /// Passes on what is typed and shown, until the visitor or their shell has gone, and then waits for the guest.
    async fn pass_on(
        &mut self,
        mut visitor: Visitor,
        reminder: &[u8],
        answers: &Answers,
    ) -> Result<i32, Broken> {
        let mut phase = self.inbound.phase.clone();
        let mut typed = Outbox::default();
        // Of what the parser holds: it may be the beginning of more, but is shown at once.
        let mut shown = 0;
        let mut keys = [0; visit::CHUNK];
        // How it ended, which is told once all is sent.
        let mut outcome = None;
        let (mut reminders, mut remind_at) = (0, Instant::now());
        loop {
            while let Some(found) = self.inbound.parser.next() {
                match found {
                    Found::Stray(bytes) => {
                        let known = shown.min(bytes.len());
                        shown -= known;
                        visitor.show(&bytes[known..]);
                    }
                    Found::Ended(_) => outcome = Some(Ok(0)),
                    Found::Greeting(bytes) => {
                        self.inbound.greeted(bytes);
                        outcome = Some(Err(Broken::Lost("started anew, because the guest rebooted")));
                    }
                    Found::Piece(_) => {}
                }
            }
            let has_ended = self.inbound.parser.has_begun();
            if !has_ended && outcome.is_none() {
                visitor.show(&self.inbound.parser.buffer[shown..]);
                shown = self.inbound.parser.buffer.len();
            }
            // Not in the middle of a line, or the next command would be the rest of it.
            let is_sent = typed.is_done();
            let has_left = visitor.keyboard.is_none();
            if has_left
                && is_sent
                && let Some(outcome) = outcome
            {
                return outcome;
            }
            // A visitor may print the greeting's text. Then their shell must not get what is sent next.
            let must_leave = outcome.is_some() || (has_ended && visitor.shown.is_done());
            let leaves = tokio::select! {
                () = std::future::ready(()), if must_leave && !has_left => true,
                filled = self.inbound.fill(), if visitor.shown.bytes.is_empty() => filled.map(|()| false)?,
                _ = phase.wait_for(|phase| *phase == Phase::Waiting) => {
                    return Err(Broken::Lost("was reset, because the guest reboots"));
                }
                () = answers.closed(), if !has_left => true,
                count = read(&mut visitor.keyboard, &mut keys), if typed.bytes.len() < TYPED => {
                    if count > 0 {
                        typed.bytes.extend_from_slice(visit::typed(&keys[..count]).as_bytes());
                    }
                    count == 0
                }
                sent = typed.push(Some(&mut self.writer)) => {
                    sent.map_err(|error| Broken::Closed(format!("was closed ({error})")))?;
                    remind_at = Instant::now() + REMINDER;
                    false
                }
                pushed = visitor.shown.push(visitor.screen.as_mut()) => {
                    if pushed.is_err() {
                        // One who has gone is noticed by what is typed.
                        visitor.shown = Outbox::default();
                    }
                    false
                }
                () = sleep_until(remind_at), if has_left && is_sent => {
                    if reminders == REMINDERS {
                        return Err(Broken::Lost("did not say that the shell of a visitor is gone"));
                    }
                    reminders += 1;
                    typed.bytes.extend_from_slice(reminder);
                    false
                }
            };
            if leaves {
                visitor = Visitor::default();
                // The rest would be for a shell that is killed.
                typed.end_line();
                typed.bytes.extend_from_slice(visit::LEAVE);
            }
        }
    }
}

impl Visitor {
    fn at(terminal: Box<dyn GuestStream>) -> Self {
        let (keyboard, screen) = tokio::io::split(terminal);
        Self { keyboard: Some(keyboard), screen: Some(screen), shown: Outbox::default() }
    }

    fn show(&mut self, bytes: &[u8]) {
        if self.screen.is_some() {
            self.shown.bytes.extend_from_slice(bytes);
        }
    }
}

impl Outbox {
    fn is_done(&self) -> bool {
        self.bytes.is_empty() && !self.is_unflushed
    }

    /// Drops what follows the first line, which may be on its way already.
    fn end_line(&mut self) {
        let end = memchr(b'\n', &self.bytes).map_or(0, |at| at + 1);
        self.bytes.truncate(end);
    }

    /// Hands on some of it, or flushes. Safe to cancel. Never returns where there is nothing to do.
    async fn push(&mut self, to: Option<&mut (impl AsyncWrite + Unpin)>) -> std::io::Result<()> {
        match to {
            Some(to) if !self.bytes.is_empty() => {
                let count = to.write(&self.bytes).await?;
                if count == 0 {
                    return Err(std::io::ErrorKind::WriteZero.into());
                }
                self.bytes.drain(..count);
                self.is_unflushed = true;
                Ok(())
            }
            Some(to) if self.is_unflushed => {
                to.flush().await?;
                self.is_unflushed = false;
                Ok(())
            }
            _ => std::future::pending().await,
        }
    }
}

/// What a visitor types; nothing when they have gone. Never returns where there is none.
async fn read(keyboard: &mut Option<ReadHalf<Box<dyn GuestStream>>>, keys: &mut [u8]) -> usize {
    match keyboard {
        Some(keyboard) => keyboard.read(keys).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}
