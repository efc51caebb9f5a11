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
    let noise = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8;
    // Every pixel unlike its neighbours; marks of the size of letters, which are none; nothing.
    type Shade<'a> = &'a dyn Fn(u32, u32) -> u8;
    let pictures: [(&str, Shade<'_>); 3] = [
        ("noise", &|x, y| noise(y * width + x)),
        ("marks", &|x, y| if noise(y / 9 * width + x / 9) < 60 { 255 } else { 0 }),
        ("black", &|_, _| 0),
    ];
    for (name, shade) in pictures {
        let file = BufWriter::new(File::create(place.path().join("large.png")).unwrap());
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_compression(png::Compression::Fastest);
        let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| shade(x, y))).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        for engine in ["console", "auto"] {
            let program = env!("CARGO_BIN_EXE_innkeeper");
            let command =
                format!("ulimit -v 1048576; exec {program} ocr --engine {engine} --timeout 10 large.png");
            // Each further arena of the allocator would reserve 64 MiB that nobody uses.
            let shell = Command::new("sh")
                .args(["-c", &command])
                .env("MALLOC_ARENA_MAX", "1")
                .current_dir(place.path())
                .output();
            let said = Said::of(shell.unwrap());
            let is_late = said.status == Some(5) && said.stderr.contains("was not read within 10s");
            assert!(said.status == Some(0) || is_late, "{name}, {engine}: {said:?}");
        }
    }
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
