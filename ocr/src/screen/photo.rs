//! Text on pictures, where there is no background to be far from: white or black strokes thinner than what is around.

use driver_core::Frame;

use super::plane::Plane;

/// Wider than the strokes that are looked for.
const WINDOW: usize = 11;
/// How much of the way from its surroundings to white (or black) a pixel must be to count; of 255.
const LEAST: u8 = 100;
/// Sides of the squares by which pictures are told from the rest of a screen.
const TILE: usize = 32;

/// White and black ink where a frame has pictures; nothing when it has none.
pub(super) fn strokes(frame: &Frame, texture: &Plane) -> Vec<Plane> {
    let tiles = tiles(texture);
    if tiles.pixels.iter().filter(|tile| **tile > 0).count() < 4 {
        return Vec::new();
    }
    let light = |pixel: &[u8]| pixel.iter().copied().min().unwrap_or(0);
    let dark = |pixel: &[u8]| u8::MAX - pixel.iter().copied().max().unwrap_or(0);
    vec![thin(frame, &tiles, light), thin(frame, &tiles, dark)]
}

/// 1 for the tiles of which a fifth is texture, and their neighbours.
fn tiles(texture: &Plane) -> Plane {
    let mut counts = Plane::black(texture.width.div_ceil(TILE), texture.height.div_ceil(TILE));
    let mut textured = vec![0_usize; counts.pixels.len()];
    for (index, pixel) in texture.pixels.iter().enumerate() {
        textured[index / texture.width / TILE * counts.width + index % texture.width / TILE] +=
            usize::from(*pixel);
    }
    for (index, _) in textured.iter().enumerate().filter(|(_, count)| **count * 5 > TILE * TILE) {
        let (x, y) = (index % counts.width, index / counts.width);
        for row in y.saturating_sub(1)..(y + 2).min(counts.height) {
            for column in x.saturating_sub(1)..(x + 2).min(counts.width) {
                counts.pixels[row * counts.width + column] = 1;
            }
        }
    }
    counts
}

/// How much brighter each pixel is than the brightest that a window around it has everywhere.
fn thin(frame: &Frame, tiles: &Plane, level: impl Fn(&[u8]) -> u8) -> Plane {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let levels = Plane { width, height, pixels: frame.rgb().chunks_exact(3).map(level).collect() };
    // The window is centred on the pixel in both, so that what is left lies where it was.
    let around = extreme(&extreme(&levels, u8::min), u8::max);
    let pixels = (0..width * height)
        .map(|index| {
            let inside = tiles.pixels[index / width / TILE * tiles.width + index % width / TILE] > 0;
            let (here, around) = (u16::from(levels.pixels[index]), u16::from(around.pixels[index]));
            if !inside || here <= around {
                return 0;
            }
            let way = (here - around) * 255 / (255 - around);
            u8::try_from(way.saturating_sub(u16::from(LEAST)) * 255 / (255 - u16::from(LEAST)))
                .unwrap_or(u8::MAX)
        })
        .collect();
    Plane { width, height, pixels }
}

/// The least or greatest of each window: of rows, then of columns.
fn extreme(plane: &Plane, choose: impl Fn(u8, u8) -> u8) -> Plane {
    let mut out = plane.clone();
    let mut line = Vec::new();
    for row in out.pixels.chunks_exact_mut(plane.width.max(1)) {
        line.clear();
        line.extend_from_slice(row);
        for x in 0..row.len() {
            let window = &line[x.saturating_sub(WINDOW / 2)..(x + WINDOW / 2 + 1).min(line.len())];
            row[x] = window.iter().copied().reduce(&choose).unwrap_or(0);
        }
    }
    let rows = out.clone();
    for (y, row) in out.pixels.chunks_exact_mut(plane.width.max(1)).enumerate() {
        for other in y.saturating_sub(WINDOW / 2)..(y + WINDOW / 2 + 1).min(plane.height) {
            let start = other * plane.width;
            for (to, from) in row.iter_mut().zip(&rows.pixels[start..start + plane.width]) {
                *to = choose(*to, *from);
            }
        }
    }
    out
}
