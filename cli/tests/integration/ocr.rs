//! `innkeeper ocr`.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Place, Said};

/// A console before somebody has logged in: Debian's greeting in the text mode of a VGA.
fn login() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ocr/tests/data/vga-login.png")
}

/// What that screen says, with one space between words.
const TEXT: &str = "Debian GNU/Linux 13 guest tty1\nguest login:\n";

#[test]
fn a_picture_is_read_shown_and_told_as_data() {
    let place = Place::with(&[]);
    let image = login().display().to_string();
    for engine in [&[][..], &["--engine", "auto"], &["--engine", "console"]] {
        let said = place.run(&[&["ocr", &image][..], engine].concat());
        assert_eq!((said.status, said.stdout.as_str()), (Some(0), TEXT), "{said:?}");
    }
    let said = place.run(&["ocr", &image, "--json", "--boxes", "boxes.png"]);
    let reading: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(reading["engine"], "console");
    let word = &reading["lines"][1]["words"][1];
    assert_eq!((&word["text"], &word["confidence"]), (&"login:".into(), &1.0.into()));
    assert_eq!((&word["rect"]["x"], &word["rect"]["width"]), (&(6 * 9).into(), &(6 * 9).into()));
    let decoder =
        png::Decoder::new(std::io::BufReader::new(File::open(place.path().join("boxes.png")).unwrap()));
    assert_eq!(decoder.read_info().unwrap().info().size(), (720, 400));
}

#[test]
fn what_cannot_be_read_says_why() {
    let whole = fs::read(login()).unwrap();
    let place = Place::with(&[("text.png", "no picture")]);
    fs::write(place.path().join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    let image = login().display().to_string();
    for (args, text) in [
        (&["ocr"][..], "Usage"),
        (&["ocr", "absent.png"], "the picture `absent.png` cannot be read"),
        (&["ocr", "text.png"], "the picture cannot be read"),
        (&["ocr", "cut.png"], "the picture cannot be read"),
        (
            &["ocr", &image, "--engine", "goggles"],
            "there is no OCR engine \"goggles\": there are `auto`, `console`",
        ),
        (&["ocr", &image, "--engine", "console:x"], "has nothing behind a colon"),
        (&["ocr", "learn", "absent.psf", "-o", "a.glyphs"], "the console font `absent.psf` cannot be used"),
    ] {
        let said = place.run(args);
        assert_eq!(said.status, Some(2), "{args:?}: {said:?}");
        assert!(said.stderr.contains(text), "{args:?}: {said:?}");
    }
}

#[test]
fn pictures_of_8k_are_read_in_less_than_a_gibibyte() {
    let place = Place::with(&[]);
    let (width, height) = (7680, 4320);
    let mut encoder = png::Encoder::new(
        BufWriter::new(File::create(place.path().join("large.png")).unwrap()),
        width,
        height,
    );
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fastest);
    // Every pixel is unlike its neighbours.
    let pixels: Vec<u8> =
        (0..width * height * 3).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    let program = env!("CARGO_BIN_EXE_innkeeper");
    let command = format!("ulimit -v 1048576; exec {program} ocr --engine console large.png");
    let output = Command::new("sh").args(["-c", &command]).current_dir(place.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn fonts_of_the_users_own_are_checked() {
    let place = Place::with(&[]);
    fs::create_dir(place.path().join("fonts")).unwrap();
    fs::write(place.path().join("fonts/mine.glyphs"), "nonsense").unwrap();
    let said = place.program().env("INNKEEPER_FONTS", "fonts").arg("ocr").arg(login()).output().unwrap();
    let said = Said::of(said);
    assert_eq!(said.status, Some(2), "{said:?}");
    let text = "the console font `fonts/mine.glyphs` cannot be used: it is no glyph pack";
    assert!(said.stderr.contains(text), "{said:?}");
}
