//! Frames as one animated PNG. Of each frame only the rectangle is stored that differs from the one before: a screen
//! with text changes in few places.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use driver_core::Frame;

use super::Shot;
use crate::html::is_inside;

/// Bytes of one frame, as a run keeps them.
const ONE: u64 = 16 << 20;
/// Pixels of a canvas on each side: that of an 8K display.
const SIDE: u32 = 8192;
/// Bytes of pixels in an animation, if all of each frame were new. Of more frames every second one is left out, or two
/// of three, and so on: compressing them must not take minutes.
const ALL: usize = 3 << 30;

/// What is shown at a moment: rows of three bytes a pixel.
struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// A part of the canvas, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// The animation of `shots`, whose files lie in `dir`, up to `end_us`; `None` when no frame can be read.
pub(super) fn of(dir: &Path, shots: &[Shot], end_us: u64) -> Option<Vec<u8>> {
    // The canvas is as large as the largest frame, which has to be known first.
    let sizes: Vec<Option<(u32, u32)>> = shots.iter().map(|shot| size(dir, shot)).collect();
    let shown: Vec<&Shot> =
        shots.iter().zip(&sizes).filter_map(|(shot, size)| size.is_some().then_some(shot)).collect();
    let width = sizes.iter().flatten().map(|(width, _)| *width).max()?;
    let height = sizes.iter().flatten().map(|(_, height)| *height).max()?;
    let canvas = Canvas::black(width, height);
    let most = (ALL / canvas.rgb.len()).max(1);
    animate(dir, &thinned(&shown, most), end_us, canvas).ok()
}

/// At most so many of the shots, the last one among them: a failure is at the end.
fn thinned<'a>(shots: &[&'a Shot], most: usize) -> Vec<&'a Shot> {
    let step = shots.len().div_ceil(most).max(1);
    let mut kept: Vec<&Shot> = shots.iter().rev().step_by(step).copied().collect();
    kept.reverse();
    kept
}

fn animate(
    dir: &Path,
    shots: &[&Shot],
    end_us: u64,
    mut canvas: Canvas,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, canvas.width, canvas.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Balanced);
    encoder.set_animated(u32::try_from(shots.len()).unwrap_or(u32::MAX), 1)?;
    let mut writer = encoder.write_header()?;
    for (index, shot) in shots.iter().enumerate() {
        let until = shots.get(index + 1).map_or(end_us, |next| next.t_us);
        // A file that cannot be read is the same picture once more.
        let changed = read(dir, shot).and_then(|frame| canvas.show(&frame));
        // The first one is the whole canvas: what follows stands on it.
        let area = match (index, changed) {
            (0, _) => canvas.whole(),
            (_, Some(area)) => area,
            (_, None) => Area { x: 0, y: 0, width: 1, height: 1 },
        };
        let (numerator, denominator) = delay(until.saturating_sub(shot.t_us));
        writer.set_frame_delay(numerator, denominator)?;
        if index > 0 {
            // An area must fit at each moment in which it is set.
            writer.reset_frame_position()?;
            writer.set_frame_dimension(area.width, area.height)?;
            writer.set_frame_position(area.x, area.y)?;
        }
        writer.write_image_data(&canvas.cut(area))?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// A time as a fraction of seconds with two bytes each: milliseconds, or seconds where they are too many.
fn delay(us: u64) -> (u16, u16) {
    match u16::try_from(us / 1_000) {
        Ok(ms) => (ms, 1_000),
        Err(_) => (u16::try_from(us / 1_000_000).unwrap_or(u16::MAX), 1),
    }
}

fn open(dir: &Path, shot: &Shot) -> Option<impl std::io::Read + use<>> {
    is_inside(&shot.path).then(|| File::open(dir.join(&shot.path)).ok()).flatten().map(|file| file.take(ONE))
}

/// The size of a frame, if it is one.
fn size(dir: &Path, shot: &Shot) -> Option<(u32, u32)> {
    let mut header = Vec::new();
    open(dir, shot)?.take(24).read_to_end(&mut header).ok()?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let size = (number(16)?, number(20)?);
    (header.starts_with(b"\x89PNG") && (1..=SIDE).contains(&size.0) && (1..=SIDE).contains(&size.1))
        .then_some(size)
}

fn read(dir: &Path, shot: &Shot) -> Option<Frame> {
    let mut bytes = Vec::new();
    open(dir, shot)?.read_to_end(&mut bytes).ok()?;
    Frame::from_png(&bytes).ok()
}

impl Canvas {
    fn black(width: u32, height: u32) -> Self {
        Self { width, height, rgb: vec![0; index(width) * index(height) * 3] }
    }

    fn whole(&self) -> Area {
        Area { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Shows a frame at the upper left, and says what has changed, if anything has.
    fn show(&mut self, frame: &Frame) -> Option<Area> {
        let (mut left, mut right) = (self.width, 0);
        let (mut top, mut bottom) = (self.height, 0);
        let (row_bytes, frame_bytes) = (index(self.width) * 3, index(frame.width()) * 3);
        for (y, row) in (0..self.height).zip(self.rgb.chunks_exact_mut(row_bytes)) {
            let start = index(y) * frame_bytes;
            let mut next = vec![0; row_bytes];
            if let Some(source) = frame.rgb().get(start..start + frame_bytes) {
                // A frame that has grown since its size was looked at is cut.
                let fits = frame_bytes.min(row_bytes);
                next[..fits].copy_from_slice(&source[..fits]);
            }
            if next == *row {
                continue;
            }
            let differs = |x: &u32| row[index(*x) * 3..][..3] != next[index(*x) * 3..][..3];
            left = left.min((0..self.width).find(differs).unwrap_or(left));
            right = right.max((0..self.width).rfind(differs).unwrap_or(right));
            (top, bottom) = (top.min(y), y);
            row.copy_from_slice(&next);
        }
        (left <= right && top <= bottom).then(|| Area {
            x: left,
            y: top,
            width: right - left + 1,
            height: bottom - top + 1,
        })
    }

    fn cut(&self, area: Area) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(index(area.width) * index(area.height) * 3);
        for row in self.rgb.chunks_exact(index(self.width) * 3).skip(index(area.y)).take(index(area.height)) {
            pixels.extend_from_slice(&row[index(area.x) * 3..][..index(area.width) * 3]);
        }
        pixels
    }
}

fn index(pixels: u32) -> usize {
    usize::try_from(pixels).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use driver_core::Frame;

    use super::{Area, Canvas, Shot, delay, of};

    fn picture(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(rgb).unwrap();
        bytes
    }

    #[test]
    fn a_canvas_knows_what_has_changed_and_frames_of_other_sizes_are_black_outside() {
        let mut canvas = Canvas::black(3, 2);
        let mut rgb = vec![0; 18];
        rgb[12..15].copy_from_slice(&[9, 9, 9]);
        assert_eq!(
            canvas.show(&Frame::new(3, 2, rgb).unwrap()),
            Some(Area { x: 1, y: 1, width: 1, height: 1 })
        );
        assert_eq!(canvas.cut(Area { x: 1, y: 1, width: 1, height: 1 }), [9, 9, 9]);
        let small = Frame::new(1, 1, vec![5, 5, 5]).unwrap();
        assert_eq!(canvas.show(&small), Some(Area { x: 0, y: 0, width: 2, height: 2 }));
        assert_eq!(canvas.show(&small), None);
    }

    #[test]
    fn an_animation_shows_each_frame_for_as_long_as_the_screen_did() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.png"), picture(2, 1, &[1; 6])).unwrap();
        std::fs::write(dir.path().join("b.png"), picture(2, 2, &[7; 12])).unwrap();
        let shot = |t_us, path: &str| Shot { t_us, path: path.to_owned() };
        let shots = [
            shot(1_000_000, "a.png"),
            shot(1_500_000, "gone.png"),
            shot(2_500_000, "b.png"),
            shot(3_000_000, "../outside.png"),
            shot(100_000_000, "a.png"),
        ];
        let bytes = of(dir.path(), &shots, 101_000_000).unwrap();
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (2, 2));
        assert_eq!(reader.info().animation_control.unwrap().num_frames, 3);
        let mut times = Vec::new();
        let mut buffer = vec![0; 12];
        for _ in 0..3 {
            reader.next_frame(&mut buffer).unwrap();
            let control = reader.info().frame_control.unwrap();
            times.push((control.delay_num, control.delay_den));
        }
        assert_eq!(times, [(1_500, 1_000), (97, 1), (1_000, 1_000)]);
        assert!(of(dir.path(), &[shot(0, "gone.png")], 1).is_none());
    }

    #[test]
    fn of_too_many_frames_some_are_left_out_and_never_the_last() {
        let shots: Vec<Shot> = (0..10).map(|t_us| Shot { t_us, path: String::new() }).collect();
        let shots: Vec<&Shot> = shots.iter().collect();
        let times = |most| super::thinned(&shots, most).iter().map(|shot| shot.t_us).collect::<Vec<_>>();
        assert_eq!(times(4), [0, 3, 6, 9]);
        assert_eq!(times(1), [9]);
        assert_eq!(times(10).len(), 10);
    }

    #[test]
    fn a_long_time_is_told_in_seconds() {
        assert_eq!(
            [0, 65_535_999, 65_536_000, u64::MAX].map(delay),
            [(0, 1_000), (65_535, 1_000), (65, 1), (u16::MAX, 1)]
        );
    }
}
