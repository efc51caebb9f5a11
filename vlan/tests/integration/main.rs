//! Switches as the driver has them, with real sockets as machines. No test needs a machine.

mod ports;
mod programs;
mod support;
