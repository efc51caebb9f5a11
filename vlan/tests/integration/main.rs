//! Switches as the driver has them, with real sockets as machines. No test needs a machine.

mod fuzz;
mod ports;
mod programs;
mod segment;
mod support;
