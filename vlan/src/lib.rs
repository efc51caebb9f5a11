//! A userspace Ethernet switch that machines of any hypervisor plug into.

mod capture;
mod delay;
mod dhcp;
mod fault;
mod filter;
mod port;
mod segment;
mod table;
mod vhost_user;
