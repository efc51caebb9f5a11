//! Who a machine is on a VLAN: the addresses that NixOS gives to its test machines, from two numbers.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{DhcpSetup, MacAddress};
use crate::error::DriverError;

/// A machine on a VLAN, with the addresses that it has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// The VLAN's number, 1 to 255.
    pub vlan: u32,
    /// The machine's name.
    pub machine: String,
    /// The address of its network card.
    pub mac: MacAddress,
    /// `192.168.VLAN.MACHINE`, in a network of [`Station::IPV4_PREFIX`].
    pub ipv4: Ipv4Addr,
    /// `2001:db8:VLAN::MACHINE`, in a network of [`Station::IPV6_PREFIX`]. The digits are the decimal ones.
    pub ipv6: Ipv6Addr,
}

impl Station {
    /// The length of the prefix of an IPv4 network, in bits.
    pub const IPV4_PREFIX: u8 = 24;
    /// The length of the prefix of an IPv6 network, in bits.
    pub const IPV6_PREFIX: u8 = 64;

    /// The machine with that number, which counts from one in the alphabetical order of all machines.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when one of the numbers fits into no address.
    pub fn new(vlan: u32, machine: &str, number: usize) -> Result<Self, DriverError> {
        let net = net(vlan)?;
        let host = u8::try_from(number).ok().filter(|host| (1..=254).contains(host)).ok_or_else(|| {
            let message = "is one of more than the 254 machines that VLANs have addresses for";
            DriverError::usage(format!("machine `{machine}` {message}"))
        })?;
        Ok(Self {
            vlan,
            machine: machine.to_owned(),
            mac: mac(net, host),
            ipv4: Ipv4Addr::new(192, 168, net, host),
            ipv6: Ipv6Addr::new(0x2001, 0xdb8, digits(net), 0, 0, 0, 0, digits(host)),
        })
    }
}

/// A DHCP server on a VLAN: the address that NixOS gives to the host there, which at most the last of 254
/// machines would have, and a card that none has.
///
/// # Errors
/// As [`Station::new`].
pub(super) fn dhcp_server(vlan: u32) -> Result<DhcpSetup, DriverError> {
    let net = net(vlan)?;
    Ok(DhcpSetup { server: Ipv4Addr::new(192, 168, net, 254), mac: mac(net, 255) })
}

fn net(vlan: u32) -> Result<u8, DriverError> {
    let net = u8::try_from(vlan).ok().filter(|net| *net != 0);
    net.ok_or_else(|| DriverError::usage(format!("there is no VLAN {vlan} (they are numbered 1 to 255)")))
}

fn mac(net: u8, host: u8) -> MacAddress {
    MacAddress([0x52, 0x54, 0x00, 0x12, net, host])
}

/// The number whose hexadecimal digits are the decimal ones of `number`.
fn digits(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10
}

#[cfg(test)]
mod tests {
    use super::Station;

    #[test]
    fn addresses_are_those_of_nixos() {
        let station = Station::new(12, "server", 254).unwrap();
        assert_eq!(station.mac.to_string(), "52:54:00:12:0c:fe");
        assert_eq!(station.ipv4.to_string(), "192.168.12.254");
        assert_eq!(station.ipv6.to_string(), "2001:db8:12::254");
    }

    #[test]
    fn numbers_without_an_address_are_refused() {
        for (vlan, number) in [(0, 1), (256, 1), (1, 0), (1, 255)] {
            assert!(Station::new(vlan, "server", number).is_err(), "{vlan} {number}");
        }
    }
}
