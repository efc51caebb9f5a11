//! The fonts that are part of the program; `ocr/fonts/README.md` says where each is from.

use std::sync::{Arc, OnceLock};

use super::font::Font;
use super::pack;

/// The packs, those first that are met most.
const PACKS: &[&str] = &[
    include_str!("../../fonts/kernel-8x16.glyphs"),
    include_str!("../../fonts/vga-9x16.glyphs"),
    include_str!("../../fonts/kernel-16x32.glyphs"),
    include_str!("../../fonts/kernel-8x8.glyphs"),
    include_str!("../../fonts/console-setup.glyphs"),
];

/// All fonts, read once.
pub(crate) fn fonts() -> Arc<[Font]> {
    static FONTS: OnceLock<Arc<[Font]>> = OnceLock::new();
    let read = || PACKS.iter().flat_map(|text| pack::read(text).unwrap_or_default()).collect();
    Arc::clone(FONTS.get_or_init(read))
}
