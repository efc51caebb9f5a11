//! The backend on the real systemd-nspawn, where there is one and the host lets it work.

mod contract;
mod life;
mod support;
