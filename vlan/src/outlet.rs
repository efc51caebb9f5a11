//! What waits to be sent through a socket: bounded queues that never make anybody wait.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::port::{Gone, Outlet};
use crate::sys;

/// How many bytes wait for a slow receiver: 8 ms at 1 Gbit/s, and several windows of a TCP connection between
/// guests. What is more is lost, as in a real switch.
const LIMIT: usize = 1 << 20;

/// The engine tells by this when a socket has room again.
#[derive(Debug)]
pub(crate) struct Doorbell {
    epoll: Arc<OwnedFd>,
    token: u64,
    added: bool,
}

impl Doorbell {
    pub(crate) fn new(epoll: Arc<OwnedFd>, token: u64) -> Self {
        Self { epoll, token, added: false }
    }

    /// Asks to be told once.
    fn ask(&mut self, socket: BorrowedFd<'_>) -> Result<(), Gone> {
        let (data, flags) = (EventData::new_u64(self.token), EventFlags::OUT | EventFlags::ONESHOT);
        let done = if self.added {
            epoll::modify(&*self.epoll, socket, data, flags)
        } else {
            epoll::add(&*self.epoll, socket, data, flags)
        };
        self.added = true;
        done.map_err(|_| Gone)
    }

    /// To be called before the socket is closed: the kernel goes by the connection, which others may keep open.
    fn take_down(&self, socket: BorrowedFd<'_>) {
        if self.added {
            // Fails only when it is not there.
            let _ = epoll::delete(&*self.epoll, socket);
        }
    }
}

/// Frames to a stream socket, each after its length.
#[derive(Debug)]
pub(crate) struct StreamOutlet {
    socket: UnixStream,
    doorbell: Doorbell,
    queue: Vec<u8>,
    /// How much of the queue has gone.
    sent: usize,
    blocked: bool,
    gone: bool,
}

impl StreamOutlet {
    /// `socket` must not block. It is shut down when the port is taken by somebody else.
    pub(crate) fn new(socket: UnixStream, doorbell: Doorbell) -> Self {
        Self { socket, doorbell, queue: Vec::new(), sent: 0, blocked: false, gone: false }
    }

    fn write(&mut self) -> Result<(), Gone> {
        if self.gone {
            return Err(Gone);
        }
        while !self.blocked && self.sent < self.queue.len() {
            match self.socket.write(&self.queue[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return self.lose(),
            }
            if self.sent < self.queue.len() {
                self.blocked = true;
                if self.doorbell.ask(self.socket.as_fd()).is_err() {
                    return self.lose();
                }
            }
        }
        if self.sent == self.queue.len() {
            self.queue.clear();
            self.sent = 0;
        } else if self.sent >= LIMIT / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }

    fn lose(&mut self) -> Result<(), Gone> {
        self.gone = true;
        Err(Gone)
    }
}

impl Outlet for StreamOutlet {
    fn deliver(&mut self, frame: &[u8]) -> bool {
        let full = |outlet: &Self| outlet.queue.len() - outlet.sent + 4 + frame.len() > LIMIT;
        if full(self) && (self.blocked || self.write().is_err() || full(self)) {
            return false;
        }
        let length = u32::try_from(frame.len()).unwrap_or(0);
        self.queue.extend_from_slice(&length.to_be_bytes());
        self.queue.extend_from_slice(frame);
        true
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.blocked { Ok(()) } else { self.write() }
    }

    fn writable(&mut self) -> Result<(), Gone> {
        self.blocked = false;
        self.write()
    }
}

impl Drop for StreamOutlet {
    fn drop(&mut self) {
        self.doorbell.take_down(self.socket.as_fd());
        // The reading side sees the end by this. Fails only when the other side has ended it.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// What takes one frame at a time, and keeps them apart.
pub(crate) trait Packets: AsFd + Send {
    /// Sends some of the frames that lie one after the other, and returns how many.
    fn send(&self, bytes: &[u8], lengths: &VecDeque<usize>) -> io::Result<usize>;

    /// Ends it for the reading side too, when the port is taken by somebody else.
    fn hang_up(&self) {}
}

impl Packets for UnixDatagram {
    fn send(&self, bytes: &[u8], lengths: &VecDeque<usize>) -> io::Result<usize> {
        sys::send(self, bytes, lengths.iter().copied())
    }
}

/// Frames to a datagram socket or a device.
#[derive(Debug)]
pub(crate) struct PacketOutlet<P: Packets> {
    packets: P,
    doorbell: Doorbell,
    queue: Vec<u8>,
    /// How much of the queue has gone.
    sent: usize,
    /// The lengths of those that have not.
    lengths: VecDeque<usize>,
    blocked: bool,
    gone: bool,
}

impl<P: Packets> PacketOutlet<P> {
    /// `packets` must not block.
    pub(crate) fn new(packets: P, doorbell: Doorbell) -> Self {
        Self {
            packets,
            doorbell,
            queue: Vec::new(),
            sent: 0,
            lengths: VecDeque::new(),
            blocked: false,
            gone: false,
        }
    }

    fn write(&mut self) -> Result<(), Gone> {
        if self.gone {
            return Err(Gone);
        }
        while !self.blocked && !self.lengths.is_empty() {
            match self.packets.send(&self.queue[self.sent..], &self.lengths) {
                Ok(count) => self.forget(count),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => {
                        self.blocked = true;
                        if self.doorbell.ask(self.packets.as_fd()).is_err() {
                            return self.lose();
                        }
                    }
                    Some(libc::ECONNREFUSED | libc::ECONNRESET | libc::ENOTCONN | libc::EPIPE) => {
                        return self.lose();
                    }
                    // This frame cannot be sent: too long for the host's buffers, a device that is down.
                    _ => self.forget(1),
                },
            }
        }
        if self.lengths.is_empty() {
            self.queue.clear();
            self.sent = 0;
        } else if self.sent >= LIMIT / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }

    fn forget(&mut self, count: usize) {
        self.sent += self.lengths.drain(..count.min(self.lengths.len())).sum::<usize>();
    }

    fn lose(&mut self) -> Result<(), Gone> {
        self.gone = true;
        Err(Gone)
    }
}

impl<P: Packets> Outlet for PacketOutlet<P> {
    fn deliver(&mut self, frame: &[u8]) -> bool {
        let full = |outlet: &Self| outlet.queue.len() - outlet.sent + frame.len() > LIMIT;
        if full(self) && (self.blocked || self.write().is_err() || full(self)) {
            return false;
        }
        self.queue.extend_from_slice(frame);
        self.lengths.push_back(frame.len());
        true
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.blocked { Ok(()) } else { self.write() }
    }

    fn writable(&mut self) -> Result<(), Gone> {
        self.blocked = false;
        self.write()
    }
}

impl<P: Packets> Drop for PacketOutlet<P> {
    fn drop(&mut self) {
        self.doorbell.take_down(self.packets.as_fd());
        self.packets.hang_up();
    }
}
