//! Network cards: their names and addresses, by rtnetlink. Here because a guest need not have a program for it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use agent_protocol::message::Card;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Where the kernel shows its network cards.
const CARDS: &str = "/sys/class/net";

/// Gives the card its name and its addresses, and switches it on. One that has its first address is left alone:
/// somebody else looks after it. One that cannot have its name keeps its own, and serves all the same.
pub(crate) fn set_up(card: &Card) -> Result<(), String> {
    let (index, mut name) = find(card)?;
    if card.addresses.first().is_some_and(|(address, _)| is_ours(*address)) {
        return Ok(());
    }
    let kernel = Rtnetlink::open().map_err(|error| format!("no rtnetlink: {error}"))?;
    let mut problems = Vec::new();
    if name != card.name {
        match kernel.rename(index, &card.name) {
            Ok(()) => name.clone_from(&card.name),
            Err(error) => problems.push(format!("{name} cannot be called {}: {error}", card.name)),
        }
    }
    if let Err(error) = kernel.switch(index, true) {
        problems.push(format!("{name} cannot be switched on: {error}"));
    }
    for (address, prefix) in &card.addresses {
        match kernel.add_address(index, *address, *prefix) {
            Err(error) if address.is_ipv6() && is_without_ipv6(&error) => {}
            Err(error) => problems.push(format!("{name} cannot have {address}: {error}")),
            Ok(()) => {}
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// The number and the name of a card. Not of what is stacked on it, which may have its address, too.
fn find(card: &Card) -> Result<(u32, String), String> {
    let [a, b, c, d, e, f] = card.mac;
    let wanted = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let cards = fs::read_dir(CARDS).map_err(|error| format!("{CARDS}: {error}"))?;
    let is_wanted = |dir: &Path| {
        let address = fs::read_to_string(dir.join("address")).unwrap_or_default();
        let is_stacked = || {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("lower_"))
        };
        address.trim_end() == wanted && !is_stacked()
    };
    let found = cards.flatten().map(|entry| entry.path()).find(|dir| is_wanted(dir));
    let dir = found.ok_or_else(|| format!("there is no network card {wanted}"))?;
    let index = fs::read_to_string(dir.join("ifindex")).unwrap_or_default();
    let index = index.trim_end().parse().map_err(|_| format!("{} has no number", dir.display()))?;
    // Who names a card before udev has named it, names it in vain.
    if Path::new("/run/udev/control").exists() && !Path::new(&format!("/run/udev/data/n{index}")).exists() {
        return Err(format!("udev is not done with the network card {wanted}"));
    }
    Ok((index, dir.file_name().unwrap_or_default().to_string_lossy().into_owned()))
}

/// Whether the guest has an IPv4 address: a leaf of the kernel's tables of routes, and below it what it is for.
fn is_ours(address: IpAddr) -> bool {
    let leaf = format!("|-- {address}");
    let tables = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut is_below = false;
    tables.lines().any(|line| {
        if line.contains("-- ") {
            is_below = line.trim_start() == leaf;
        }
        is_below && line.contains("host LOCAL")
    })
}

/// What the kernel says when it has no IPv6, or is told to have none.
fn is_without_ipv6(error: &io::Error) -> bool {
    let codes = [Errno::AFNOSUPPORT, Errno::OPNOTSUPP, Errno::ACCESS];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// A conversation with the kernel about its network.
struct Rtnetlink(OwnedFd);

impl Rtnetlink {
    fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?))
    }

    fn switch(&self, index: u32, on: bool) -> io::Result<()> {
        let up = libc::IFF_UP.cast_unsigned();
        self.change_link(index, if on { up } else { 0 }, up, &[])
    }

    /// Leaves the card off: kernels before 6.2 rename no card that is on.
    fn rename(&self, index: u32, name: &str) -> io::Result<()> {
        self.switch(index, false)?;
        let name = [name.as_bytes(), &[0]].concat();
        self.change_link(index, 0, 0, &attribute(libc::IFLA_IFNAME, &name))
    }

    /// `struct ifinfomsg`: family, type and number of the card, its flags, and which of them change.
    fn change_link(&self, index: u32, flags: u32, mask: u32, attributes: &[u8]) -> io::Result<()> {
        let mut body = vec![0; 4];
        for field in [index, flags, mask] {
            body.extend(field.to_ne_bytes());
        }
        body.extend(attributes);
        self.ask(libc::RTM_NEWLINK, 0, &body)
    }

    /// `struct ifaddrmsg`: family, prefix, flags, scope, and the card's number.
    fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        // Nobody else has it: it serves from now on, not after a second of asking around.
        let no_detection = u8::try_from(libc::IFA_F_NODAD).unwrap_or(0);
        let (family, flags, bytes) = match address {
            IpAddr::V4(address) => (libc::AF_INET, 0, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, no_detection, address.octets().to_vec()),
        };
        let mut body = vec![u8::try_from(family).unwrap_or(0), prefix, flags, 0];
        body.extend(index.to_ne_bytes());
        body.extend(attribute(libc::IFA_LOCAL, &bytes));
        body.extend(attribute(libc::IFA_ADDRESS, &bytes));
        if let IpAddr::V4(address) = address {
            let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            let broadcast = address.to_bits() | hosts;
            body.extend(attribute(libc::IFA_BROADCAST, &broadcast.to_be_bytes()));
        }
        match self.ask(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Sends `struct nlmsghdr` with a body, and hears what became of it: the kernel answers before it returns.
    fn ask(&self, kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<()> {
        const HEADER: usize = 16;
        let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK).unwrap_or(0);
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        rustix::net::send(&self.0, &message, SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (count, _) = rustix::net::recv(&self.0, &mut answer, RecvFlags::DONTWAIT)?;
        // `struct nlmsgerr`: an error number, negative, or zero.
        let code = answer[..count].get(HEADER..HEADER + 4).and_then(|code| code.try_into().ok());
        match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// `struct rtattr`: length and kind, then the value, filled up to a multiple of four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
