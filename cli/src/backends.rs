//! The backends that manifests can name.

use std::sync::Arc;

use backend_qemu::Qemu;
use driver_core::Backend;

/// Which backend a machine wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BackendKind {
    /// QEMU; also for machines that name none.
    #[default]
    Qemu,
}

impl BackendKind {
    /// All that there are.
    pub(crate) const ALL: &[Self] = &[Self::Qemu];

    /// The word in manifests.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Qemu => backend_qemu::NAME,
        }
    }
}

/// The backends of a run. Each looks at the host once, whatever the number of its machines.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    qemu: Arc<Qemu>,
}

impl Backends {
    /// The backend of that kind.
    pub(crate) fn get(&self, kind: BackendKind) -> Arc<dyn Backend> {
        match kind {
            BackendKind::Qemu => self.qemu.clone(),
        }
    }
}
