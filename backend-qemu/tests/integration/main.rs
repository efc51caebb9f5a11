//! The QEMU backend against QEMU itself. What needs a real guest boots the image `base`, which
//! `cargo xtask guests` makes; boots take ten seconds and more under TCG, so tests share them.

mod contract;
mod direct;
mod endings;
mod network;
mod start_script;
mod support;
