//! A userspace Ethernet switch that machines of any hypervisor plug into.

mod capture;
mod delay;
mod dgram;
mod dhcp;
mod engine;
mod fault;
mod filter;
mod observer;
mod outlet;
mod port;
mod segment;
mod shared;
mod stream;
mod switch;
mod sys;
mod table;
mod tap;
mod vde;
mod vhost_user;

pub use switch::Switches;
