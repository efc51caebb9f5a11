//! What a plugin exports. It is data, so that it can be read before any of the plugin's functions is called.

use crate::backend::BackendTable;
use crate::ocr::OcrTable;
use crate::reporter::ReporterTable;
use crate::value::Str;

/// The name of the static that a plugin exports.
pub const SYMBOL: &str = "INNKEEPER_PLUGIN";
/// What the header begins with: what has the symbol but not this is no plugin.
pub const MAGIC: [u8; 8] = *b"innkeepr";
/// Plugin and program must agree on it.
pub const ABI_MAJOR: u32 = 1;
/// Counts what was appended to the tables. Any two of the same major understand each other.
pub const ABI_MINOR: u32 = 1;

/// What a plugin exports as a static named `INNKEEPER_PLUGIN`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PluginHeader {
    /// `MAGIC`.
    pub magic: [u8; 8],
    /// `ABI_MAJOR` of the plugin's build.
    pub abi_major: u32,
    /// `ABI_MINOR` of the plugin's build.
    pub abi_minor: u32,
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// What the plugin is called: letters, digits, `-` and `_`.
    pub name: Str,
    /// The plugin's own version, for people.
    pub version: Str,
    /// A hypervisor, or null.
    pub backend: *const BackendTable,
    /// An OCR engine, or null.
    pub ocr: *const OcrTable,
    /// A reporter, or null.
    pub reporter: *const ReporterTable,
}

// SAFETY: a header and all that it points to are never written to.
unsafe impl Sync for PluginHeader {}
