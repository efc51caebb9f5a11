//! The port: standard input and output, in a guest the virtio console.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};

/// How often a port that hung up is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// The port, read and written without waiting.
#[derive(Debug)]
pub(crate) struct Port {
    /// The terminal's path; `None` when it is none.
    terminal: Option<PathBuf>,
    /// Where the port is open, or when it is to be opened again.
    files: Result<Files, Instant>,
}

#[derive(Debug)]
enum Files {
    /// A terminal opened anew: so that not waiting is no concern of others who have it open.
    Terminal(OwnedFd),
    /// Standard input and output as they are.
    Standard,
}

impl Port {
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = terminal()?;
        let files = match &terminal {
            Some(path) => Files::Terminal(open_terminal(path)?),
            None => {
                set_waiting(false)?;
                Files::Standard
            }
        };
        Ok(Self { terminal, files: Ok(files) })
    }

    /// Where to read and to write; `None` while it has hung up.
    pub(crate) fn files(&self) -> Option<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        match self.files.as_ref().ok()? {
            Files::Terminal(file) => Some((file.as_fd(), file.as_fd())),
            Files::Standard => Some((rustix::stdio::stdin(), rustix::stdio::stdout())),
        }
    }

    /// When to call [`Port::reopen`].
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.files.as_ref().err().copied()
    }

    /// Opens a port again that hung up.
    pub(crate) fn reopen(&mut self) {
        let due = self.wake_at().is_some_and(|at| at <= Instant::now());
        if let Some(path) = self.terminal.as_deref().filter(|_| due) {
            self.files = match open_terminal(path) {
                Ok(file) => {
                    // A terminal that hung up forgets its settings.
                    let _ = make_raw(&file);
                    Ok(Files::Terminal(file))
                }
                Err(_) => Err(Instant::now() + AGAIN),
            };
        }
    }

    /// What has come. An error when nothing will come ever again.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some((file, _)) = self.files() else { return Ok(Vec::new()) };
        let mut bytes = Vec::with_capacity(READ);
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => self.hung_up()?,
            Err(Errno::AGAIN | Errno::INTR) | Ok(_) => {}
            Err(_) => self.hung_up()?,
        }
        Ok(bytes)
    }

    /// Writes; says how much was taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((_, file)) = self.files() else { return Ok(0) };
        match rustix::io::write(file, bytes) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(_) => self.hung_up().map(|()| 0),
        }
    }

    /// A terminal comes back; anything else is gone.
    fn hung_up(&mut self) -> io::Result<()> {
        self.files = Err(Instant::now() + AGAIN);
        match self.terminal {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the port was closed")),
        }
    }

    /// What a shell must be given to serve the port: its path, or `None` for its standard input.
    pub(crate) fn give_back(self) -> io::Result<Option<PathBuf>> {
        if self.terminal.is_none() {
            set_waiting(true)?;
        }
        Ok(self.terminal)
    }
}

/// The path of the terminal that standard input is, if it is one.
pub(crate) fn terminal() -> io::Result<Option<PathBuf>> {
    isatty(rustix::stdio::stdin()).then(|| std::fs::read_link("/proc/self/fd/0")).transpose()
}

fn open_terminal(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

fn make_raw(file: &OwnedFd) -> io::Result<()> {
    let mut settings = tcgetattr(file)?;
    settings.make_raw();
    Ok(tcsetattr(file, OptionalActions::Now, &settings)?)
}

fn set_waiting(waiting: bool) -> io::Result<()> {
    for file in [rustix::stdio::stdin(), rustix::stdio::stdout()] {
        let flags = fcntl_getfl(file)?;
        let flags = if waiting { flags - OFlags::NONBLOCK } else { flags | OFlags::NONBLOCK };
        fcntl_setfl(file, flags)?;
    }
    Ok(())
}
