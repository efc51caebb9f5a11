//! Pictures in other forms: PPM in, PNG out, parts of them.

use crate::ocr::{Frame, FrameError, Rect};

/// What a binary PPM begins with.
const PPM: &[u8] = b"P6";

impl Frame {
    /// Reads a PNG, or a binary PPM of 8 bits a colour.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FrameError> {
        if bytes.starts_with(PPM) { Self::from_ppm(bytes) } else { Self::from_png(&bytes) }
    }

    /// Takes the header off, and keeps the rest as it is: that is what makes it quick.
    fn from_ppm(mut bytes: Vec<u8>) -> Result<Self, FrameError> {
        let wrong = |problem: &str| FrameError::new(problem);
        let mut at = PPM.len();
        let mut numbers = [0_u32; 3];
        for number in &mut numbers {
            at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let text = std::str::from_utf8(&bytes[at..at + digits]).unwrap_or_default();
            *number = text.parse().map_err(|_| wrong("the header of the PPM is none"))?;
            at += digits;
        }
        let [width, height, most] = numbers;
        if most != 255 || !bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            return Err(wrong("the PPM has not 8 bits a colour"));
        }
        bytes.drain(..=at);
        Self::new(width, height, bytes).ok_or_else(|| wrong("the PPM is not as large as it says"))
    }

    /// The picture as a PNG.
    ///
    /// # Errors
    /// For a picture without pixels.
    pub fn to_png(&self) -> Result<Vec<u8>, FrameError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width(), self.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(self.rgb()));
        written.map_err(|error| FrameError::new(&error.to_string()))?;
        Ok(bytes)
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.width(), height: self.height() }
    }

    /// The bytes of one row of a part, which must be inside.
    pub(crate) fn row(&self, part: Rect, row: u32) -> &[u8] {
        let start = (part.y + row) as usize * self.width() as usize + part.x as usize;
        &self.rgb()[start * 3..(start + part.width as usize) * 3]
    }

    /// A part as a picture of its own; what lies outside is left out, which may be all of it.
    #[must_use]
    pub fn part(&self, part: Rect) -> Self {
        let mut part = part.within(self.whole());
        if part.is_empty() {
            part = Rect { x: 0, y: 0, width: 0, height: 0 };
        }
        let rgb = (0..part.height).flat_map(|row| self.row(part, row)).copied().collect();
        Self::new(part.width, part.height, rgb).expect("rows of one length")
    }
}

impl Rect {
    /// What two have in common.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = self.right().min(other.right());
        let bottom = self.bottom().min(other.bottom());
        Self { x, y, width: right.saturating_sub(x), height: bottom.saturating_sub(y) }
    }

    /// The smallest one around two.
    #[must_use]
    pub fn around(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = self.right().max(other.right());
        let bottom = self.bottom().max(other.bottom());
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// The first column after it.
    #[must_use]
    pub fn right(self) -> u32 {
        self.x.saturating_add(self.width)
    }

    /// The first row after it.
    #[must_use]
    pub fn bottom(self) -> u32 {
        self.y.saturating_add(self.height)
    }

    /// Its middle.
    #[must_use]
    pub fn centre(self) -> (u32, u32) {
        (self.x.saturating_add(self.width / 2), self.y.saturating_add(self.height / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Rect};

    #[test]
    fn a_ppm_is_read_and_a_broken_one_is_told() {
        let frame = Frame::from_bytes(b"P6\n2 1\n255\nabcdef".to_vec()).unwrap();
        assert_eq!((frame.width(), frame.height(), frame.rgb()), (2, 1, &b"abcdef"[..]));
        for broken in
            ["P6", "P6\n2 1\n255", "P6\n2 1\n255\nabc", "P6 2 1 65535 abcdef", "P6 99999999999 1 255 a"]
        {
            let error = Frame::from_bytes(broken.into()).unwrap_err().to_string();
            assert!(error.starts_with("the picture cannot be read: "), "{broken}: {error}");
        }
    }

    #[test]
    fn a_part_of_a_picture_is_a_picture_and_survives_a_png() {
        let frame = Frame::new(3, 3, (0..27).collect()).unwrap();
        let part = frame.part(Rect { x: 1, y: 2, width: 9, height: 9 });
        assert_eq!((part.width(), part.height(), part.rgb()), (2, 1, &[21, 22, 23, 24, 25, 26][..]));
        assert_eq!(Frame::from_png(&part.to_png().unwrap()).unwrap(), part);
        assert!(frame.part(Rect { x: 3, y: 0, width: 1, height: 1 }).rgb().is_empty());
    }
}
