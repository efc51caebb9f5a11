//! The state of a systemd unit, as its manager tells it. A manager that is executed anew is asked anew.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_protocol::message::{Notice, UnitState};
use rustix::event::PollFlags;

use super::Watcher;
use crate::systemd::connection::Connection;
use crate::systemd::{self, unit};

/// How often a manager that is gone is looked for.
const AGAIN: Duration = Duration::from_millis(50);

/// A unit and the connection to its manager.
#[derive(Debug)]
pub(super) struct Unit {
    socket: PathBuf,
    name: String,
    /// What tells of the unit, or when to look for the manager again.
    manager: Result<Manager, Instant>,
    /// It was known how the unit is: the manager can tell, and will again.
    was_known: bool,
}

#[derive(Debug)]
struct Manager {
    connection: Connection,
    unit: unit::Unit,
}

impl Unit {
    pub(super) fn new(name: &str, user: Option<&str>) -> Result<Self, String> {
        let socket = systemd::socket(user)?;
        let manager = Ok(Manager::find(&socket, name).map_err(|error| lost(&error))?);
        Ok(Self { socket, name: name.to_owned(), manager, was_known: false })
    }
}

impl Manager {
    fn find(socket: &std::path::Path, name: &str) -> io::Result<Self> {
        let mut connection = Connection::open(socket)?;
        let unit = unit::Unit::new(name, &mut connection);
        Ok(Self { connection, unit })
    }

    /// Takes in what has come, and sends what is to be asked.
    fn look(&mut self) -> io::Result<Result<Option<UnitState>, String>> {
        self.connection.receive()?;
        while let Some(message) = self.connection.message()? {
            if let Err(problem) = self.unit.take(&message, &mut self.connection) {
                return Ok(Err(problem));
            }
        }
        self.connection.send()?;
        Ok(Ok(self.unit.state()))
    }
}

impl Watcher for Unit {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        if self.manager.as_ref().is_err_and(|at| *at <= Instant::now()) {
            self.manager = Manager::find(&self.socket, &self.name).map_err(|_| Instant::now() + AGAIN);
        }
        let Ok(manager) = &mut self.manager else { return Ok(None) };
        match manager.look() {
            Ok(state) => {
                let state = state?;
                self.was_known |= state.is_some();
                Ok(state.map(Notice::Unit))
            }
            Err(error) if !self.was_known => Err(lost(&error)),
            Err(_) => {
                self.manager = Err(Instant::now() + AGAIN);
                Ok(None)
            }
        }
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let manager = self.manager.iter();
        manager.map(|manager| (manager.connection.as_fd(), manager.connection.flags())).collect()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.manager.as_ref().err().copied()
    }
}

fn lost(error: &io::Error) -> String {
    format!("systemd cannot be asked ({error})")
}
