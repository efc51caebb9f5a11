//! Whether a TCP connection can be made: the same question that `nc -z` puts. A connection is tried, and only
//! tried, when the listeners on the port have changed, or in case something else has.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use agent_protocol::message::Notice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, bind, connect, sockopt::socket_error};

use super::Watcher;
use super::listeners::Listeners;
use super::pace::Pace;
use super::socket::open;

/// When to try although the listeners are the same: a packet filter may lead a port elsewhere.
const SLOW: Duration = Duration::from_secs(1);
/// When to try what the listeners say nothing about: another machine, or one that is there and refuses. Such
/// tries are seen by others.
const TRIES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// How long a try may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The watch of one port.
#[derive(Debug)]
pub(super) struct Port {
    port: u16,
    addresses: Vec<IpAddr>,
    listeners: Listeners,
    /// The listeners when a connection was tried last.
    known: Option<Vec<u64>>,
    tried: Option<Instant>,
    attempt: Option<Attempt>,
    is_open: Option<bool>,
    pace: Pace,
    since: Instant,
    wake_at: Instant,
}

/// A connection on its way.
#[derive(Debug)]
struct Attempt {
    socket: OwnedFd,
    /// The place of its address.
    place: usize,
    until: Instant,
}

impl Port {
    pub(super) fn new(address: &str, port: u16) -> Result<Self, String> {
        let addresses = match address.parse() {
            Ok(address) => vec![address],
            Err(_) => resolve(address),
        };
        if addresses.is_empty() {
            return Err(format!("{address} is neither an address nor in /etc/hosts"));
        }
        let now = Instant::now();
        Ok(Self {
            port,
            addresses,
            listeners: Listeners::new(),
            known: None,
            tried: None,
            attempt: None,
            is_open: None,
            pace: Pace::new(),
            since: now,
            wake_at: now,
        })
    }

    /// Whether to try a connection now.
    fn is_worth_a_try(&mut self, now: Instant) -> bool {
        let is_local = self.is_local();
        if is_local && self.is_open != Some(true) && !self.listeners.are_cheap() {
            return true;
        }
        let listeners = self.listeners.on(self.port);
        let changed = listeners != self.known;
        // What the listeners say decides, unless the address is elsewhere or they should answer and do not.
        let expected = listeners.as_ref().map(|listeners| !listeners.is_empty());
        let is_told = is_local && expected.is_some() && self.is_open.is_none_or(|_| self.is_open == expected);
        self.known = listeners;
        if changed || self.tried.is_none() {
            return true;
        }
        if is_told && self.is_open == Some(true) {
            // Not made again only to see whether it still can be.
            return false;
        }
        let pause = if is_told { SLOW } else { ((now - self.since) / 50).clamp(TRIES.0, TRIES.1) };
        self.tried.is_none_or(|tried| tried + pause <= now)
    }

    /// Whether all addresses are this machine's.
    fn is_local(&self) -> bool {
        self.addresses.iter().all(|address| {
            address.is_loopback() || address.is_unspecified() || {
                open(family(*address), SocketType::DGRAM)
                    .is_ok_and(|socket| bind(socket, &SocketAddr::new(*address, 0)).is_ok())
            }
        })
    }

    /// Tries one address after the other, from `place` on, as far as nothing has to be waited for. Says
    /// whether a connection was made, once that is clear.
    fn attempt(&mut self, mut place: usize) -> Result<Option<bool>, String> {
        while let Some(address) = self.addresses.get(place) {
            let socket = open(family(*address), SocketType::STREAM)?;
            match connect(&socket, &SocketAddr::new(*address, self.port)) {
                Ok(()) => return Ok(Some(true)),
                Err(Errno::INPROGRESS) => {
                    self.attempt = Some(Attempt { socket, place, until: Instant::now() + PATIENCE });
                    return self.go_on();
                }
                Err(_) => place += 1,
            }
        }
        Ok(Some(false))
    }

    /// Looks at the connection on its way.
    fn go_on(&mut self) -> Result<Option<bool>, String> {
        let Some(attempt) = self.attempt.take() else { return Ok(None) };
        let mut files = [PollFd::from_borrowed_fd(attempt.socket.as_fd(), PollFlags::OUT)];
        let is_ready = poll(&mut files, Some(&Timespec::default())) == Ok(1);
        if is_ready && matches!(socket_error(&attempt.socket), Ok(Ok(()))) {
            return Ok(Some(true));
        }
        if is_ready || attempt.until <= Instant::now() {
            return self.attempt(attempt.place + 1);
        }
        self.attempt = Some(attempt);
        Ok(None)
    }
}

impl Watcher for Port {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        let now = Instant::now();
        let found = if self.attempt.is_some() {
            self.go_on()?
        } else if self.is_worth_a_try(now) {
            self.tried = Some(now);
            self.attempt(0)?
        } else {
            None
        };
        if found.is_some() && found != self.is_open {
            self.is_open = found;
            self.since = now;
            self.pace = Pace::new();
        }
        self.wake_at = self.pace.after(now);
        Ok(found.map(Notice::There))
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.attempt.iter().map(|attempt| (attempt.socket.as_fd(), PollFlags::OUT)).collect()
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.attempt.as_ref().map_or(self.wake_at, |attempt| attempt.until))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// The addresses of a name in `/etc/hosts`. Others would have to be asked for, and waited for.
fn resolve(name: &str) -> Vec<IpAddr> {
    let table = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut found: Vec<IpAddr> = lines
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect();
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
    }
    found
}
