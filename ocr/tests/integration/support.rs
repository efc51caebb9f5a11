//! Fonts that nobody has, and screens drawn with them.

use std::io::Write as _;

use driver_core::Frame;
use flate2::{Compression, write::GzEncoder};
use ocr::Font;

pub(crate) type Rgb = [u8; 3];

pub(crate) const BLACK: Rgb = [0, 0, 0];
pub(crate) const GREY: Rgb = [170, 170, 170];

/// The characters of the test's font, each with a glyph of its own.
pub(crate) fn characters() -> Vec<char> {
    let ascii = (' '..='~').collect::<Vec<_>>();
    let others = "äöüßéèñÇ░▒▓│┤╣║╗╝┐└┴┬├─┼╚╔╩╦╠═╬┘┌█▄▌▐▀Ωπ√■";
    ascii.into_iter().chain(others.chars()).collect()
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        // Xorshift: https://en.wikipedia.org/wiki/Xorshift
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A font with drawings of its own.
pub(crate) struct Drawn {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) glyphs: Vec<Vec<bool>>,
}

impl Drawn {
    /// Glyphs that no two share, with a free row above and below, but for the blocks, which fill their halves.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let mut dice = Dice::new((width * 100 + height) as u64);
        let glyph = |character: char| -> Vec<bool> {
            let place = |at: usize| (at % width, at / width);
            (0..width * height)
                .map(|at| {
                    let (x, y) = place(at);
                    match character {
                        ' ' => false,
                        '█' => true,
                        '▄' => y >= height / 2,
                        '▀' => y < height / 2,
                        '▌' => x < width / 2,
                        '▐' => x >= width / 2,
                        '_' => y == height - 3,
                        _ => x > 0 && y > 0 && y < height - 3 && dice.below(3) == 0,
                    }
                })
                .collect()
        };
        Self { width, height, glyphs: characters().into_iter().map(glyph).collect() }
    }

    pub(crate) fn glyph(&self, character: char) -> &[bool] {
        let number =
            characters().iter().position(|known| *known == character).expect("a character of the font");
        &self.glyphs[number]
    }

    fn bitmaps(&self, count: usize) -> Vec<u8> {
        let row = |row: &[bool]| {
            row.chunks(8)
                .map(|bits| {
                    bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
                })
                .collect::<Vec<u8>>()
        };
        let mut bytes: Vec<u8> = self
            .glyphs
            .iter()
            .flat_map(|glyph| glyph.chunks(self.width).flat_map(row).collect::<Vec<_>>())
            .collect();
        bytes.resize(count * self.height * self.width.div_ceil(8), 0);
        bytes
    }

    /// As a PSF file of version 2.
    pub(crate) fn psf2(&self) -> Vec<u8> {
        let count = self.glyphs.len();
        let per_glyph = self.height * self.width.div_ceil(8);
        let mut file = vec![0x72, 0xb5, 0x4a, 0x86];
        for field in [0, 32, 1, count, per_glyph, self.height, self.width] {
            file.extend(u32::try_from(field).expect("a small number").to_le_bytes());
        }
        file.extend(self.bitmaps(count));
        for character in characters() {
            file.extend(character.to_string().as_bytes());
            // A sequence, which no cell shows by itself.
            file.extend([0xfe, b'e', 0xcc, 0x81, 0xff]);
        }
        file
    }

    /// As a PSF file of version 1, whose cells have 8 columns.
    pub(crate) fn psf1(&self) -> Vec<u8> {
        let mut file = vec![0x36, 0x04, 2, u8::try_from(self.height).expect("a low glyph")];
        file.extend(self.bitmaps(256));
        for character in characters() {
            for unit in [character as u16, 0xffff] {
                file.extend(unit.to_le_bytes());
            }
        }
        file
    }

    /// As the engine reads it from a file.
    pub(crate) fn font(&self) -> Font {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("test.psf.gz");
        std::fs::write(&file, gzip(&self.psf2())).expect("a file");
        ocr::read_fonts(&file).expect("a font").swap_remove(0)
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A picture that can be drawn on.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, colour: Rgb) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// A console with that text, grey on black, with some pixels left over at the right and below.
    pub(crate) fn console(font: &Drawn, text: &str) -> Self {
        let lines: Vec<_> = text.lines().collect();
        let columns = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let mut canvas = Self::new(columns * font.width + 3, lines.len() * font.height + 5, BLACK);
        for (row, line) in lines.iter().enumerate() {
            for (column, character) in line.chars().enumerate() {
                canvas.put(font, column, row, character, GREY, BLACK);
            }
        }
        canvas
    }

    pub(crate) fn put(
        &mut self,
        font: &Drawn,
        column: usize,
        row: usize,
        character: char,
        ink: Rgb,
        ground: Rgb,
    ) {
        let glyph = font.glyph(character).to_vec();
        for (at, bit) in glyph.into_iter().enumerate() {
            let (x, y) = (column * font.width + at % font.width, row * font.height + at / font.width);
            self.dot(x, y, if bit { ink } else { ground });
        }
    }

    pub(crate) fn dot(&mut self, x: usize, y: usize, colour: Rgb) {
        self.rgb[(y * self.width + x) * 3..][..3].copy_from_slice(&colour);
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> Rgb {
        let pixel = &self.rgb[(y * self.width + x) * 3..][..3];
        [pixel[0], pixel[1], pixel[2]]
    }

    pub(crate) fn frame(&self) -> Frame {
        Frame::new(self.width as u32, self.height as u32, self.rgb.clone()).expect("a picture")
    }
}

/// A picture of which nothing can be read.
pub(crate) fn noise(width: usize, height: usize) -> Canvas {
    let mut dice = Dice::new(7);
    let mut canvas = Canvas::new(width, height, BLACK);
    for y in 0..height {
        for x in 0..width {
            let grey = dice.below(256) as u8;
            canvas.dot(x, y, [grey, grey / 2, 255 - grey]);
        }
    }
    canvas
}
