//! Calls to the kernel that neither std nor rustix has: several datagrams at once, and tap devices.
#![expect(unsafe_code, reason = "structures with pointers are handed to the kernel")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

use crate::port::LONGEST;

/// How many datagrams are taken or sent by one call.
pub(crate) const BATCH: usize = 64;

/// Room for a datagram: one byte more than the longest frame, to tell what is too long. The rest staggers the
/// beginnings, which would meet in one set of the cache otherwise.
const SLOT: usize = LONGEST + 1 + 192;

/// Datagrams that were taken at once.
#[derive(Debug)]
pub(crate) struct Datagrams {
    buffer: Vec<u8>,
    lengths: [usize; BATCH],
}

impl Datagrams {
    pub(crate) fn new() -> Self {
        // Zeroed pages cost nothing until they are used; most never are.
        Self { buffer: vec![0; BATCH * SLOT], lengths: [0; BATCH] }
    }

    /// Takes what is there, [`BATCH`] datagrams at most, and returns how many. One that is longer than any frame
    /// is cut after [`LONGEST`] bytes and one.
    pub(crate) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        for (part, slot) in parts.iter_mut().zip(self.buffer.chunks_exact_mut(SLOT)) {
            *part = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: LONGEST + 1 };
        }
        let mut headers = parts.each_mut().map(message);
        // SAFETY: the headers point to `parts`, those into `buffer`, and all outlive the call; each length is
        // within its slot.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (length, header) in self.lengths.iter_mut().zip(&headers[..count]) {
            *length = (header.msg_len as usize).min(LONGEST + 1);
        }
        Ok(count)
    }

    /// A datagram of the last [`Datagrams::receive`].
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        &self.buffer[index * SLOT..][..self.lengths[index]]
    }
}

/// Sends datagrams that lie one after the other in `bytes`, [`BATCH`] of them at most, and returns how many went.
pub(crate) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    lengths: impl Iterator<Item = usize>,
) -> io::Result<usize> {
    let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    let (mut rest, mut count) = (bytes, 0);
    for (part, length) in parts.iter_mut().zip(lengths) {
        let (datagram, behind) = rest.split_at(length);
        *part = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: length };
        (rest, count) = (behind, count + 1);
    }
    let mut headers = parts.each_mut().map(message);
    // SAFETY: the first `count` headers point to `parts`, those into `bytes`, which sending does not write to, and
    // all outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A header without address and control data.
fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: zeroes are a valid header (no address, no control data), on every C library.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_iov = part;
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// Makes a tap device that lives as long as the file that is returned.
pub(crate) fn tap(name: &str) -> io::Result<File> {
    // SAFETY: zeroes are a valid request without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains(['/', '%', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name for a network device"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: TUNSETIFF reads and writes an `ifreq`, which is what it is given.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}
