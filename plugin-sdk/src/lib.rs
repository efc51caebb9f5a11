//! Write a plugin for innkeeper in Rust, with the same traits as inside.
//!
//! A plugin is a package with `crate-type = ["cdylib"]` that implements [`driver_core::Backend`],
//! [`driver_core::OcrEngine`] or [`driver_core::Reporter`], and says so once with [`plugin!`]. Panics are caught
//! and told; async code runs on a runtime of the plugin's own. docs/plugins.md leads through it.
//!
//! ```
//! use plugin_sdk::driver_core::{DriverError, Reporter, event::Record};
//! use plugin_sdk::{Run, Value};
//!
//! /// Counts the events of a run.
//! struct Count(u64);
//!
//! impl Reporter for Count {
//!     fn record(&mut self, _record: &Record) -> Result<(), DriverError> {
//!         self.0 += 1;
//!         Ok(())
//!     }
//! }
//!
//! fn open(_settings: Value, _run: Run) -> Result<Count, String> {
//!     Ok(Count(0))
//! }
//!
//! plugin_sdk::plugin! { name: "count", reporter: open }
//! # fn main() {}
//! ```

#![expect(unsafe_code, reason = "speaks the plain C contract of plugin-abi")]

mod backend;
mod call;
mod log;
mod machine;
mod ocr;
mod reporter;

pub use async_trait::async_trait;
pub use driver_core;
pub use reporter::Run;
pub use serde_json::{self, Value};

/// What [`plugin!`] is made of. Nothing here is for people.
#[doc(hidden)]
pub mod raw {
    pub use plugin_abi::{BackendTable, OcrTable, PluginHeader, ReporterTable};

    pub use crate::backend::{BackendSource, Facets, OpenedBackend, backend_table, opened_backend};
    pub use crate::ocr::{OcrSource, OpenedOcr, ocr_table, opened_ocr};
    pub use crate::reporter::{OpenedReporter, ReporterSource, opened_reporter, reporter_table};

    /// A header that offers nothing yet.
    #[must_use]
    pub const fn header(name: &'static str, version: &'static str) -> PluginHeader {
        PluginHeader {
            magic: plugin_abi::MAGIC,
            abi_major: plugin_abi::ABI_MAJOR,
            abi_minor: plugin_abi::ABI_MINOR,
            size: size_of::<PluginHeader>(),
            name: plugin_abi::Str::new(name),
            version: plugin_abi::Str::new(version),
            backend: std::ptr::null(),
            ocr: std::ptr::null(),
            reporter: std::ptr::null(),
        }
    }
}

/// Exports a plugin: its name, which is also that of what it offers, and up to three functions that make what it
/// offers from the plugin's settings, a [`Value`].
///
/// - `backend: open` with `fn open(settings: Value) -> Result<impl Backend, impl Display>`, and `facets: [screen,
///   keyboard, monitor, power, pointer]`, of these the ones that its capabilities name;
/// - `ocr: open` with `fn open(settings: Value) -> Result<impl OcrEngine, impl Display>`;
/// - `reporter: open` with `fn open(settings: Value, run: Run) -> Result<impl Reporter, impl Display>`.
#[macro_export]
macro_rules! plugin {
    (
        name: $name:literal
        $(, backend: $backend:expr $(, facets: [$($facet:ident),* $(,)?])?)?
        $(, ocr: $ocr:expr)?
        $(, reporter: $reporter:expr)?
        $(,)?
    ) => {
        const _: () = {
            #[unsafe(no_mangle)]
            static INNKEEPER_PLUGIN: $crate::raw::PluginHeader = $crate::raw::PluginHeader {
                $(backend: {
                    struct Source;
                    impl $crate::raw::BackendSource for Source {
                        const FACETS: $crate::raw::Facets = $crate::raw::Facets::NONE $($(.$facet())*)?;
                        fn open(settings: $crate::Value) -> $crate::raw::OpenedBackend {
                            $crate::raw::opened_backend($backend(settings))
                        }
                    }
                    static TABLE: $crate::raw::BackendTable = $crate::raw::backend_table::<Source>($name);
                    &raw const TABLE
                },)?
                $(ocr: {
                    struct Source;
                    impl $crate::raw::OcrSource for Source {
                        fn open(settings: $crate::Value) -> $crate::raw::OpenedOcr {
                            $crate::raw::opened_ocr($ocr(settings))
                        }
                    }
                    static TABLE: $crate::raw::OcrTable = $crate::raw::ocr_table::<Source>($name);
                    &raw const TABLE
                },)?
                $(reporter: {
                    struct Source;
                    impl $crate::raw::ReporterSource for Source {
                        fn open(settings: $crate::Value, run: $crate::Run) -> $crate::raw::OpenedReporter {
                            $crate::raw::opened_reporter($reporter(settings, run))
                        }
                    }
                    static TABLE: $crate::raw::ReporterTable = $crate::raw::reporter_table::<Source>($name);
                    &raw const TABLE
                },)?
                ..$crate::raw::header($name, env!("CARGO_PKG_VERSION"))
            };
        };
    };
}
