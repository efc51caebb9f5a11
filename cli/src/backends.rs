//! The backends that manifests can name: our own, and those of plugins.

use std::collections::HashMap;
use std::sync::Arc;

use driver_core::{Backend, Capabilities};
use plugin_host::PluginError;
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use crate::manifest::fields_of;
use crate::plugins::Plugins;

/// A backend of our own.
struct BuiltIn {
    word: &'static str,
    make: fn() -> Arc<dyn Backend>,
    /// The keys of the table under its word.
    settings: fn() -> &'static [&'static str],
    /// Says what is wrong with that table, and where.
    check: fn(ValueDeserializer<'_>) -> Result<(), toml::de::Error>,
}

/// All of our own; machines that name none get the first, unless the user says otherwise.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        word: backend_qemu::NAME,
        make: || Arc::<backend_qemu::Qemu>::default(),
        settings: fields_of::<backend_qemu::Options>,
        check: |table| backend_qemu::Options::deserialize(table).map(drop),
    },
    BuiltIn {
        word: backend_cloud_hypervisor::NAME,
        make: || Arc::<backend_cloud_hypervisor::CloudHypervisor>::default(),
        settings: fields_of::<backend_cloud_hypervisor::Options>,
        check: |table| backend_cloud_hypervisor::Options::deserialize(table).map(drop),
    },
    BuiltIn {
        word: backend_nspawn::NAME,
        make: || Arc::<backend_nspawn::Nspawn>::default(),
        settings: fields_of::<backend_nspawn::Options>,
        check: |table| backend_nspawn::Options::deserialize(table).map(drop),
    },
];

/// Whether a backend of our own has that name.
pub(crate) fn is_built_in(word: &str) -> bool {
    BUILT_IN.iter().any(|backend| backend.word == word)
}

/// The backends that there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backends<'p> {
    plugins: &'p Plugins,
    usual: &'p str,
}

impl<'p> Backends<'p> {
    /// Our own, and those of `plugins`.
    pub(crate) fn new(plugins: &'p Plugins) -> Self {
        Self { plugins, usual: BUILT_IN[0].word }
    }

    /// With another backend for machines that name none.
    ///
    /// # Errors
    /// With those that there are, when it is none of them.
    pub(crate) fn with_usual(self, usual: &'p str) -> anyhow::Result<Self> {
        if self.words().any(|known| known == usual) {
            return Ok(Self { usual, ..self });
        }
        let words: Vec<_> = self.words().map(|word| format!("`{word}`")).collect();
        anyhow::bail!(
            "there is no backend `{usual}` (there are {}; others come as plugins, see `innkeeper plugins`)",
            words.join(", ")
        )
    }

    /// The words in manifests.
    pub(crate) fn words(self) -> impl Iterator<Item = &'p str> {
        BUILT_IN.iter().map(|backend| backend.word).chain(self.plugins.backends())
    }

    /// What each can do.
    pub(crate) fn choice(self) -> Vec<(String, Capabilities)> {
        let built_in =
            BUILT_IN.iter().map(|backend| (backend.word.to_owned(), (backend.make)().capabilities()));
        built_in.chain(self.plugins.capabilities()).collect()
    }

    /// The word for machines that name none. A start script starts QEMU, whatever else there is.
    pub(crate) fn usual(self, start_script: bool) -> &'p str {
        if start_script { backend_qemu::NAME } else { self.usual }
    }

    /// Whether it is a plugin's, of which nothing is known here but its name.
    pub(crate) fn is_foreign(self, word: &str) -> bool {
        !is_built_in(word)
    }

    /// The keys of the table under a word, where that can be known.
    pub(crate) fn settings(self, word: &str) -> Option<&'static [&'static str]> {
        built_in(word).map(|backend| (backend.settings)())
    }

    /// Says what is wrong with that table, and where. What belongs to a plugin is checked by it, with the machine.
    pub(crate) fn check_settings(
        self,
        word: &str,
        table: Spanned<DeValue<'_>>,
    ) -> Result<(), toml::de::Error> {
        built_in(word).map_or(Ok(()), |backend| (backend.check)(ValueDeserializer::from(table)))
    }

    /// Makes those that `words` name. Each looks at the host once, whatever the number of its machines.
    pub(crate) fn open<'w>(self, words: impl Iterator<Item = &'w str>) -> Result<Opened, PluginError> {
        let mut opened = HashMap::new();
        for word in words {
            if opened.contains_key(word) {
                continue;
            }
            let backend = match built_in(word) {
                Some(backend) => Some((backend.make)()),
                None => self.plugins.open_backend(word).transpose()?,
            };
            opened.extend(backend.map(|backend| (word.to_owned(), backend)));
        }
        Ok(opened)
    }
}

/// The backends of a run, by their names.
pub(crate) type Opened = HashMap<String, Arc<dyn Backend>>;

fn built_in(word: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|backend| backend.word == word)
}
