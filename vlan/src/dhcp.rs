//! A DHCP server without sockets: a frame comes in, and perhaps one goes out.

use std::net::Ipv4Addr;

use driver_core::vlan::MacAddress;

/// Gives fixed addresses to network cards that it knows, and answers nobody else.
#[derive(Debug)]
pub(crate) struct Dhcp {
    server: MacAddress,
    address: Ipv4Addr,
    prefix: u8,
    leases: Vec<(MacAddress, Ipv4Addr, String)>,
}

impl Dhcp {
    /// A server with that address, for these cards, their addresses and host names.
    pub(crate) fn new(
        server: MacAddress,
        address: Ipv4Addr,
        prefix: u8,
        leases: Vec<(MacAddress, Ipv4Addr, String)>,
    ) -> Self {
        Self { server, address, prefix, leases }
    }

    /// The answer to a frame, which goes to the port that the frame came from. `None` when it is not for us; it
    /// goes its way in any case.
    pub(crate) fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let _ = frame;
        None
    }
}
