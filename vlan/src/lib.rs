//! A userspace Ethernet switch that machines of any hypervisor plug into.
//!
//! Each VLAN has one thread, the `engine`, which waits at all sockets (`stream`, `dgram`, `vde`, `tap`). What one
//! of them brings goes through the `segment` as a batch, under its lock, and straight into the outlets of those
//! who get it; the outlets send when the batch is over. vhost-user ports have threads of their own, which enter
//! the same lock. Nobody waits for anything while it is held.

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
