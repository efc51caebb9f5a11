//! Ports that are network devices of the host: for containers, and for the host's own tools.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use crate::engine::{After, Bench, Source};
use crate::outlet::{PacketOutlet, Packets};
use crate::port::{Kind, LONGEST, Link, PortHandle};
use crate::sys::{self, BATCH};

/// A device that the switch has made. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Tap {
    device: File,
    link: Link,
}

impl Tap {
    /// Makes the device and plugs it in.
    ///
    /// # Errors
    /// When the host does not allow it, or has a device of that name.
    pub(crate) fn new(name: &str, port: impl FnOnce() -> PortHandle) -> io::Result<Self> {
        let device = sys::tap(name)?;
        let out = Device(device.try_clone()?);
        let port = port();
        let link = port.connect(Kind::Tap, Box::new(PacketOutlet::new(out, port.doorbell())));
        Ok(Self { device, link })
    }
}

impl Source for Tap {
    fn fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        let Some(mut batch) = self.link.enter() else { return After::Remove };
        for _ in 0..BATCH {
            match self.device.read(&mut bench.buffer[..=LONGEST]) {
                Ok(count) => batch.frame(&bench.buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Somebody has deleted the device.
                Err(_) => return After::Remove,
            }
        }
        After::Stay
    }
}

/// The way to the device.
#[derive(Debug)]
struct Device(File);

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Packets for Device {
    fn send(&self, bytes: &[u8], lengths: &VecDeque<usize>) -> io::Result<usize> {
        let length = lengths.front().copied().unwrap_or(0);
        (&self.0).write(&bytes[..length]).map(|_| 1)
    }
}
