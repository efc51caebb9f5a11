//! The real agent, with the real link as the driver's side, over a socket or a terminal of this machine.

mod card;
mod commands;
mod direct;
mod endings;
mod fuzz;
mod host;
mod line;
mod same;
mod streams;
mod systemd;
mod watch;
