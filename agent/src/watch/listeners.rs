//! Who listens on a TCP port of this machine. The kernel tells nobody when that changes, but it can be asked
//! cheaply, and nobody notices: by `sock_diag(7)`, or where that is not there, by `/proc/net/tcp`.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// Bytes of an answer that are taken at once, at least as many as the kernel puts into one.
const ANSWER: usize = 16 << 10;
/// From linux/sock_diag.h and linux/netlink.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The header of a netlink message.
const HEADER: usize = 16;
/// `struct inet_diag_req_v2`, and where the number of the socket is in `struct inet_diag_msg`.
const REQUEST: usize = 56;
const INODE: usize = 68;
/// The state, as in `enum` of net/tcp_states.h.
const LISTEN: u8 = 10;
const TCP: u8 = 6;

/// A way to ask.
#[derive(Debug)]
pub(super) struct Listeners {
    /// `None` where the kernel cannot be asked this way.
    diag: Option<OwnedFd>,
}

impl Listeners {
    pub(super) fn new() -> Self {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Self { diag: socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).ok() }
    }

    /// Whether asking is cheaper than to try a connection to this machine.
    pub(super) fn are_cheap(&self) -> bool {
        self.diag.is_some()
    }

    /// The numbers of the sockets that listen on this port, on whatever address; `None` when nobody knows.
    pub(super) fn on(&mut self, port: u16) -> Option<Vec<u64>> {
        let found = self.diag.as_ref().and_then(|diag| ask(diag, port));
        if found.is_none() {
            // Not asked again: each time the kernel would start modprobe to look for a module.
            self.diag = None;
        }
        let mut found = found.or_else(|| read(port))?;
        found.sort_unstable();
        Some(found)
    }
}

/// Asks by sock_diag.
fn ask(diag: &OwnedFd, port: u16) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    let mut buffer = [0; ANSWER];
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let request = request(u8::try_from(family.as_raw()).ok()?, port);
        sendto(diag, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
        // The kernel has the answer ready when it has taken the question.
        let mut is_over = false;
        while !is_over {
            let (length, _) = recv(diag, &mut buffer[..], RecvFlags::empty()).ok()?;
            is_over = take(buffer.get(..length)?, &mut found)?;
        }
    }
    Some(found)
}

fn request(family: u8, port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(u32::try_from(HEADER + REQUEST).unwrap_or_default().to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, TCP, 0, 0]);
    bytes.extend((1_u32 << LISTEN).to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.resize(HEADER + REQUEST, 0);
    bytes
}

/// Takes the sockets out of a part of an answer. Says whether it was the last one; `None` for an error.
fn take(mut bytes: &[u8], found: &mut Vec<u64>) -> Option<bool> {
    while !bytes.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
        let message = bytes.get(..length.max(HEADER))?;
        match u16::from_ne_bytes(message[4..6].try_into().ok()?) {
            NLMSG_DONE => return Some(true),
            NLMSG_ERROR => return None,
            SOCK_DIAG_BY_FAMILY => {
                let inode = message.get(HEADER + INODE..HEADER + INODE + 4)?;
                found.push(u32::from_ne_bytes(inode.try_into().ok()?).into());
            }
            _ => {}
        }
        bytes = bytes.get(length.max(HEADER).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(false)
}

/// Reads the kernel's tables.
fn read(port: u16) -> Option<Vec<u64>> {
    let mut found = None;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // Without IPv6 there is only one.
        let Ok(text) = fs::read_to_string(table) else { continue };
        let listening = text.lines().skip(1).filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let local = u16::from_str_radix(words.next()?.rsplit_once(':')?.1, 16).ok()?;
            let state = u8::from_str_radix(words.nth(1)?, 16).ok()?;
            let inode = words.nth(5)?.parse::<u64>().ok()?;
            (local == port && state == LISTEN).then_some(inode)
        });
        found.get_or_insert_with(Vec::new).extend(listening);
    }
    found
}
