//! A VLAN as a test sees it: faults, captures and packets of its switch, told to the journal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Switch;
use crate::driver::VlanConfig;
use crate::journal::Journal;

/// A VLAN of the run.
pub struct Vlan {
    config: VlanConfig,
    switch: Arc<dyn Switch>,
    machines: Vec<String>,
    seed: u64,
    journal: Journal,
    out_dir: PathBuf,
}

impl Vlan {
    pub(super) fn new(
        config: VlanConfig,
        switch: Arc<dyn Switch>,
        machines: Vec<String>,
        seed: u64,
        journal: Journal,
        out_dir: PathBuf,
    ) -> Self {
        Self { config, switch, machines, seed, journal, out_dir }
    }

    /// The VLAN's number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.config.number
    }

    /// A directory with the socket of a VDE switch, for `vde_plug` and the like.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.switch.vde_dir()
    }

    pub(super) fn switch(&self) -> &Arc<dyn Switch> {
        &self.switch
    }

    pub(crate) async fn close(&self) {
        self.switch.close().await;
    }
}

impl fmt::Debug for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vlan").field("number", &self.config.number).finish_non_exhaustive()
    }
}
