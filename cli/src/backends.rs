//! The backends that manifests can name.

use std::sync::Arc;

use backend_cloud_hypervisor::CloudHypervisor;
use backend_qemu::Qemu;
use driver_core::Backend;
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use crate::manifest::fields_of;

/// Which backend a machine wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BackendKind {
    /// QEMU; also for machines that name none.
    #[default]
    Qemu,
    /// Cloud Hypervisor.
    CloudHypervisor,
}

impl BackendKind {
    /// All that there are.
    pub(crate) const ALL: &[Self] = &[Self::Qemu, Self::CloudHypervisor];

    /// The word in manifests.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Qemu => backend_qemu::NAME,
            Self::CloudHypervisor => backend_cloud_hypervisor::NAME,
        }
    }

    /// The keys of the table under its word.
    pub(crate) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Qemu => fields_of::<backend_qemu::Options>(),
            Self::CloudHypervisor => fields_of::<backend_cloud_hypervisor::Options>(),
        }
    }

    /// Says what is wrong with that table, and where.
    pub(crate) fn check_settings(self, table: Spanned<DeValue<'_>>) -> Result<(), toml::de::Error> {
        let table = ValueDeserializer::from(table);
        match self {
            Self::Qemu => backend_qemu::Options::deserialize(table).map(drop),
            Self::CloudHypervisor => backend_cloud_hypervisor::Options::deserialize(table).map(drop),
        }
    }
}

/// The backends of a run. Each looks at the host once, whatever the number of its machines.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    qemu: Arc<Qemu>,
    cloud_hypervisor: Arc<CloudHypervisor>,
}

impl Backends {
    /// The backend of that kind.
    pub(crate) fn get(&self, kind: BackendKind) -> Arc<dyn Backend> {
        match kind {
            BackendKind::Qemu => self.qemu.clone(),
            BackendKind::CloudHypervisor => self.cloud_hypervisor.clone(),
        }
    }
}
