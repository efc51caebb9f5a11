//! Ports of QEMU's `-netdev stream`: each frame after its length, four bytes, the highest first.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::engine::{After, Bench, READ, Source};
use crate::outlet::StreamOutlet;
use crate::port::{Kind, LONGEST, Link, Malformed, PortHandle};

/// The socket that a hypervisor connects to. Whoever connects last has the port.
#[derive(Debug)]
pub(crate) struct StreamListener {
    listener: UnixListener,
    port: PortHandle,
}

impl StreamListener {
    /// `listener` must not block.
    pub(crate) fn new(listener: UnixListener, port: PortHandle) -> Self {
        Self { listener, port }
    }

    fn plug(&self, socket: UnixStream) -> std::io::Result<Stream> {
        socket.set_nonblocking(true)?;
        let outlet = StreamOutlet::new(socket.try_clone()?, self.port.doorbell());
        let link = self.port.connect(Kind::Stream, Box::new(outlet));
        Ok(Stream { socket, link, rest: Vec::new() })
    }
}

impl Source for StreamListener {
    fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        match self.listener.accept().and_then(|(socket, _)| self.plug(socket)) {
            Ok(stream) => bench.add(stream),
            Err(error) => return self.port.not_accepted(&error),
        }
        After::Stay
    }
}

/// A connection.
#[derive(Debug)]
struct Stream {
    socket: UnixStream,
    link: Link,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
}

impl Source for Stream {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        let had = self.rest.len();
        bench.buffer[..had].copy_from_slice(&self.rest);
        let count = match self.socket.read(&mut bench.buffer[had..had + READ]) {
            Ok(0) => return After::Remove,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return After::Stay;
            }
            Err(_) => return After::Remove,
        };
        let Some(mut batch) = self.link.enter() else { return After::Remove };
        let mut bytes = &bench.buffer[..had + count];
        while let Some((length, behind)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > LONGEST {
                // Where the next frame begins cannot be known.
                batch.malformed(Malformed::Protocol);
                return After::Remove;
            }
            let Some((frame, behind)) = behind.split_at_checked(length) else { break };
            batch.frame(frame);
            bytes = behind;
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        After::Stay
    }
}
