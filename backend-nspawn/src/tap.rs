//! Tap devices: network cards whose other end is a file.
#![expect(unsafe_code, reason = "structures are handed to the kernel by way of ioctl")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// Makes a card in the network namespace of the calling thread. It lives as long as the file that is returned, of
/// which each read and each write is a frame and none blocks.
///
/// # Errors
/// When the host does not allow it, or has a device of that name.
pub(crate) fn make(name: &str, mac: [u8; 6]) -> io::Result<File> {
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes an `ifreq`, which is what it is given.
    succeeded(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) })?;

    let mut request = self::request(name)?;
    let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
    for (to, from) in address.sa_data.iter_mut().zip(mac) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_hwaddr = address;
    // SAFETY: SIOCSIFHWADDR on a tap device's file reads an `ifreq`, which is what it is given.
    succeeded(unsafe { libc::ioctl(file.as_raw_fd(), libc::SIOCSIFHWADDR, &mut request) })?;
    Ok(file)
}

/// A request about the device of that name.
fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: zeroes are a valid request without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name for a network device"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn succeeded(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
