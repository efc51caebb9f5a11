//! What a container says of itself, by the socket of systemd's notification protocol: which process is its first, and
//! when it has booted. Somebody has to listen for as long as it runs.

use std::io;
use std::path::{Path, PathBuf};

use backend_kit::port::check_path;
use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest notice that is read whole.
const LONGEST: usize = 4096;

/// How far a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// The host's number of its first process.
    pub(crate) leader: Option<u32>,
    /// Whether it has booted.
    pub(crate) ready: bool,
}

impl State {
    /// The first process of a container that has booted.
    pub(crate) fn booted(self) -> Option<u32> {
        self.leader.filter(|_| self.ready)
    }

    fn note(&mut self, notice: &str) {
        for line in notice.lines() {
            match line.split_once('=') {
                Some(("READY", "1")) => self.ready = true,
                Some(("X_NSPAWN_LEADER_PID", pid)) => self.leader = pid.parse().ok().or(self.leader),
                _ => {}
            }
        }
    }
}

/// The socket, and what has come by it.
#[derive(Debug)]
pub(crate) struct Notices {
    path: PathBuf,
    state: watch::Sender<State>,
    _listener: JoinSet<()>,
}

impl Notices {
    /// Listens in `directory`; what an earlier launch has left is replaced.
    pub(crate) fn listen(directory: &Path) -> io::Result<Self> {
        let path = directory.join("notify.sock");
        check_path(&path)?;
        remove(&path)?;
        let socket = UnixDatagram::bind(&path)?;
        let state = watch::Sender::new(State::default());
        let mut listener = JoinSet::new();
        listener.spawn({
            let state = state.clone();
            async move {
                let mut buffer = vec![0; LONGEST];
                while let Ok(length) = socket.recv(&mut buffer).await {
                    state.send_modify(|state| state.note(&String::from_utf8_lossy(&buffer[..length])));
                }
            }
        });
        Ok(Self { path, state, _listener: listener })
    }

    /// Where the container has to send its notices.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known by now, and what comes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Forgets a boot that has ended.
    pub(crate) fn forget(&self) {
        self.state.send_replace(State::default());
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        // In a directory that is removed as a whole; this only keeps it tidy until then.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Notices, State};

    /// The notices of systemd-nspawn 252 with `--notify-ready=yes`, as they came.
    #[tokio::test]
    async fn a_container_is_there_with_its_leader_and_up_when_it_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let notices = Notices::listen(directory.path()).unwrap();
        let mut state = notices.state();
        let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
        sender.send_to(b"STATUS=Container running.\nX_NSPAWN_LEADER_PID=4711", notices.path()).unwrap();
        let told = *state.wait_for(|state| state.leader.is_some()).await.unwrap();
        assert_eq!((told, told.booted()), (State { leader: Some(4711), ready: false }, None));
        sender.send_to(b"X_NSPAWN_LEADER_PID=nonsense\nREADY=0\n\xff", notices.path()).unwrap();
        sender.send_to(b"READY=1\n", notices.path()).unwrap();
        assert_eq!(state.wait_for(|state| state.ready).await.unwrap().booted(), Some(4711));
        notices.forget();
        assert_eq!(*state.borrow(), State::default());
    }
}
