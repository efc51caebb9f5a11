//! The backend on the real program, where there is one: `cargo xtask test-cloud-hypervisor` finds or makes a place
//! for it.

mod contract;
mod endings;
mod firmware;
mod shares;
mod snapshots;
mod stand_in;
mod support;
mod versions;
