//! Doors into machines: sockets in the run's directory, at which a terminal gets a guest's shell or its console.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::Driver;
use crate::error::DriverError;
use crate::node::{Node, TerminalSize};

/// What is behind a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A login shell of one's own, with a terminal of this size.
    Shell(TerminalSize),
    /// The serial console.
    Console,
}

/// Those that are open. Dropping a task ends the conversations that it has begun.
#[derive(Debug, Default)]
pub(super) struct Doors(Mutex<Vec<AbortOnDropHandle<()>>>);

impl Doors {
    /// Closes all of them.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Driver {
    /// Opens a door into a machine until the run ends, and returns the path of its socket. Any number of terminals may
    /// come, in raw mode. What keeps one from being let in is said to it, and it is hung up on.
    ///
    /// # Errors
    /// [`DriverError::File`] when there can be no socket.
    pub fn open_door(&self, node: &Arc<Node>, door: Door) -> Result<PathBuf, DriverError> {
        let mut doors = self.doors.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = match door {
            Door::Shell(_) => "shell",
            Door::Console => "console",
        };
        // Machines may have long names, and sockets may not.
        let path = self.run_dir().join(format!("{kind}-{}", doors.len() + 1));
        let listener = UnixListener::bind(&path).map_err(|source| DriverError::File {
            operation: "make the socket",
            path: path.display().to_string(),
            source,
        })?;
        doors.push(AbortOnDropHandle::new(tokio::spawn(serve(Arc::clone(node), door, listener))));
        Ok(path)
    }
}

async fn serve(node: Arc<Node>, door: Door, listener: UnixListener) {
    let mut visits = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((terminal, _)) => drop(visits.spawn(let_in(Arc::clone(&node), door, terminal))),
                Err(error) => {
                    tracing::warn!(machine = node.name(), %error, "a door is closed");
                    return;
                }
            },
            Some(_) = visits.join_next() => {}
        }
    }
}

async fn let_in(node: Arc<Node>, door: Door, mut terminal: UnixStream) {
    let visit = match door {
        Door::Shell(size) => node.visit_shell(&mut terminal, size).await,
        Door::Console => node.visit_console(&mut terminal).await,
    };
    if let Err(error) = visit {
        let told = format!("\r\n{}\r\n", error.chain().replace('\n', "\r\n"));
        // It may be gone.
        let _ = terminal.write_all(told.as_bytes()).await;
    }
}
