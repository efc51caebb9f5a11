//! Unix sockets that we listen on before the hypervisor starts and that it connects to: nothing is polled for, and
//! a socket that is there answers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use driver_core::{DriverError, GuestPort};
use tokio::net::{UnixListener, UnixStream};

/// The longest path that a Unix socket can have: `sun_path` without its final zero.
const PATH_LIMIT: usize = 107;

/// Says what is wrong with the path of a Unix socket that is to be made.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is too long.
pub fn check_path(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().len();
    if length <= PATH_LIMIT {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "the path of a socket has at most {PATH_LIMIT} bytes, `{}` has {length} (set TMPDIR to a directory with a shorter path)",
            path.display()
        ),
    ))
}

/// A socket that waits for the hypervisor. The file is gone when this is.
#[derive(Debug)]
pub struct Port {
    listener: UnixListener,
    path: PathBuf,
}

impl Port {
    /// Listens on `directory/name`; one left by an earlier launch is replaced.
    pub fn listen(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(name);
        check_path(&path)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }

    /// Where the hypervisor has to connect.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the hypervisor. There is one connection, so the socket's file goes away.
    pub async fn accept(self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // It is in a directory that is removed as a whole; this only keeps it tidy until then.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What is behind a port of a machine's. It can be opened once.
#[derive(Debug)]
pub struct Once<T>(Mutex<Option<T>>);

impl<T> Once<T> {
    /// One that nobody has opened.
    pub const fn new(stream: T) -> Self {
        Self(Mutex::new(Some(stream)))
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when that has been done.
    pub fn open(&self, machine: &str, port: GuestPort) -> Result<T, DriverError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| {
            DriverError::usage(format!("machine `{machine}`: its {port:?} port is open already"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Port;

    #[tokio::test]
    async fn a_path_that_is_too_long_is_named_with_the_way_out() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("x".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        let error = Port::listen(&deep, "qmp").unwrap_err().to_string();
        assert!(error.contains("at most 107 bytes") && error.contains("TMPDIR"), "{error}");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_none_is_left() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("qmp"), "").unwrap();
        let port = Port::listen(directory.path(), "qmp").unwrap();
        let client = tokio::net::UnixStream::connect(port.path().to_owned());
        let (accepted, connected) = tokio::join!(port.accept(), client);
        assert!(accepted.is_ok() && connected.is_ok());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
