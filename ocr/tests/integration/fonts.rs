//! Fonts in files.

use std::fs;

use ocr::ConsoleEngine;

use crate::support::{Canvas, Drawn, gzip};

#[test]
fn psf_files_of_both_versions_and_packs_say_the_same() {
    let place = tempfile::tempdir().unwrap();
    let font = Drawn::new(8, 16);
    let write = |name: &str, bytes: &[u8]| {
        let file = place.path().join(name);
        fs::write(&file, bytes).unwrap();
        ocr::read_fonts(&file).unwrap()
    };
    let two = write("a.psf", &font.psf2());
    for (name, bytes) in [
        ("a.psfu", font.psf1()),
        ("a.psf.gz", gzip(&font.psf1())),
        ("a.psfu.gz", gzip(&font.psf2())),
        ("a.glyphs", ocr::write_pack("from\na test", &two).into_bytes()),
    ] {
        assert_eq!(write(name, &bytes), two, "{name}");
    }
    assert_eq!(two.len(), 2, "also as a VGA shows it");
    let engine = ConsoleEngine::with_directories([place.path()]).unwrap();
    let screen = Canvas::console(&font, "root@guest:~#").frame();
    assert_eq!(engine.decode(&screen).unwrap().text().trim_end(), "root@guest:~#");
}

#[test]
fn what_is_no_font_says_why() {
    let place = tempfile::tempdir().unwrap();
    let font = Drawn::new(8, 16);
    let whole = font.psf2();
    let mut wide = whole.clone();
    wide[28] = 200;
    let mut huge = whole.clone();
    huge[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut bare = whole.clone();
    bare[12] = 0;
    for (name, bytes, problem) in [
        ("a.psf", &b"BM"[..], "it is no PSF file"),
        ("a.psf", &whole[..100], "it ends before its last glyph"),
        ("a.psf", &whole[..10], "it ends before its last glyph"),
        ("a.psf", &huge, "it ends before its last glyph"),
        ("a.psf", &wide, "its cells have 200x16 pixels, which no console has"),
        ("a.psf", &bare, "it has no table of characters"),
        ("a.psf.gz", &gzip(&whole)[..50], "it cannot be unpacked"),
        ("a.glyphs", b"font x", "it is no glyph pack: the first line is not `innkeeper glyphs 1`"),
        ("a.glyphs", b"innkeeper glyphs 1\n0041 12 34\n", "line 2 is none of a glyph pack: \"0041 12 34\""),
        ("a.glyphs", b"innkeeper glyphs 1\nfont x\ncell 0 99\n", "line 3 is none of a glyph pack"),
    ] {
        let file = place.path().join(name);
        fs::write(&file, bytes).unwrap();
        let error = ocr::read_fonts(&file).unwrap_err().to_string();
        let start = format!("the console font `{}` cannot be used: {problem}", file.display());
        assert!(error.starts_with(&start), "{error}");
        fs::remove_file(&file).unwrap();
    }
    let error = ConsoleEngine::with_directories([place.path().join("none").as_path()]).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn the_built_in_fonts_are_there() {
    let fonts = ConsoleEngine::builtin();
    for name in ["kernel 8x16", "VGA 9x16"] {
        let font = fonts.fonts().iter().find(|font| font.name() == name).expect(name);
        let lacks: Vec<_> = ('!'..='~').filter(|c| !font.characters().contains(c)).collect();
        assert_eq!(lacks, [], "{name}");
    }
}
