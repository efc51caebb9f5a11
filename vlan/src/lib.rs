//! A userspace Ethernet switch that machines of any hypervisor plug into.

mod capture;
mod fault;
mod filter;
mod vhost_user;
