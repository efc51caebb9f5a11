//! What is written and what it is written on: a frame becomes ink on nothing.
//!
//! Background is where a small window is of one colour, or of a gradient. Every other pixel lies on the background that
//! is fewest edges away, so reverse video, selections, buttons and dark themes all come out as bright ink on black.

use driver_core::Frame;

use super::plane::{Area, Plane};

/// The window's side: the strokes of ordinary text are thinner.
const WINDOW: u8 = 5;
/// By how much neighbours in a gradient differ.
const GRADIENT: u8 = 3;
/// By how much pixels of the same stroke differ.
const STROKE: u8 = 6;
/// No background is in reach.
const UNREACHED: u8 = u8::MAX;
/// So many edges from any background, a pixel belongs to a picture rather than to text.
const TEXTURE: u8 = 7;

/// A frame, told apart into ink and background.
#[derive(Debug)]
pub(super) struct Ink {
    /// How far each pixel's colour is from its background's.
    pub(super) strength: Plane,
    /// 1 where there is a picture: no background near.
    pub(super) texture: Plane,
}

/// The largest difference of the three colours.
fn distance(one: [u8; 3], other: [u8; 3]) -> u8 {
    (0..3).map(|colour| one[colour].abs_diff(other[colour])).max().unwrap_or(0)
}

/// How bright a colour is, three times over.
fn sum(colour: [u8; 3]) -> u16 {
    colour.iter().map(|part| u16::from(*part)).sum()
}

/// The pixels' colours.
fn colours(frame: &Frame) -> &[[u8; 3]] {
    frame.rgb().as_chunks().0
}

/// The background under a pixel: its colour and how many edges away it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground {
    colour: [u8; 3],
    edges: u8,
}

impl Ground {
    /// How far the colour of a pixel on it is from its own; nothing where there is no background.
    pub(super) fn ink(&self, frame: &Frame, index: usize) -> u8 {
        if self.is_texture() { 0 } else { distance(colours(frame)[index], self.colour) }
    }

    /// Whether a pixel on it is brighter than it.
    pub(super) fn is_darker(&self, frame: &Frame, index: usize) -> bool {
        sum(colours(frame)[index]) > sum(self.colour)
    }

    fn is_texture(&self) -> bool {
        self.edges > TEXTURE
    }
}

/// Finds the background under each pixel of a frame.
pub(super) fn ground(frame: &Frame) -> Vec<Ground> {
    let (width, height, colours) = (frame.width() as usize, frame.height() as usize, colours(frame));
    let flat = flat(colours, width, height);
    let begin = |(colour, flat): (&[u8; 3], &u8)| Ground {
        colour: *colour,
        edges: if *flat == 0 { UNREACHED } else { 0 },
    };
    let mut ground: Vec<Ground> = colours.iter().zip(&flat.pixels).map(begin).collect();
    // Each pair of sweeps takes the nearest background around one more corner; letters have few.
    for _ in 0..2 {
        sweep(colours, &mut ground, width);
    }
    ground
}

/// Tells ink and background of a frame apart.
pub(super) fn ink(frame: &Frame, ground: &[Ground]) -> Ink {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let plane = |pixels| Plane { width, height, pixels };
    Ink {
        strength: plane(ground.iter().enumerate().map(|(index, ground)| ground.ink(frame, index)).collect()),
        texture: plane(ground.iter().map(|ground| u8::from(ground.is_texture())).collect()),
    }
}

/// The ink of a box that is brighter, and that which is darker than the background; `None` when one of them is nearly
/// all.
///
/// Text with an outline or a shadow has both, and only one of them is the text.
pub(super) fn sides(frame: &Frame, ground: &[Ground], area: Area) -> Option<[Plane; 2]> {
    let mut sides = [Plane::black(area.width(), area.height()), Plane::black(area.width(), area.height())];
    let mut sums = [0_usize; 2];
    for (place, (x, y)) in
        (area.top..area.bottom).flat_map(|y| (area.left..area.right).map(move |x| (x, y))).enumerate()
    {
        let index = y * frame.width() as usize + x;
        let strength = ground[index].ink(frame, index);
        let side = usize::from(ground[index].is_darker(frame, index));
        sides[side].pixels[place] = strength;
        sums[side] += usize::from(strength);
    }
    (sums.iter().min()? * 7 > sums.iter().sum()).then_some(sides)
}

/// 1 for each pixel that lies in some window without an edge.
fn flat(colours: &[[u8; 3]], width: usize, height: usize) -> Plane {
    let mut flat = Plane::black(width, height);
    // For each column, how many rows up to this one have an edgeless stretch of a window's width that begins there.
    let mut rows = vec![0_u8; width];
    for y in 0..height {
        let line = &colours[y * width..(y + 1) * width];
        let above = &colours[y.saturating_sub(1) * width..];
        let (mut across, mut down) = (0_u8, 0_u8);
        for x in (0..width).rev() {
            across = if across > 0 && distance(line[x], line[x + 1]) <= GRADIENT {
                across.saturating_add(1)
            } else {
                1
            };
            down = if y > 0 && distance(line[x], above[x]) <= GRADIENT { down.saturating_add(1) } else { 0 };
            rows[x] = if across < WINDOW {
                0
            } else if rows[x] > 0 && down >= WINDOW {
                rows[x].saturating_add(1)
            } else {
                1
            };
            // The window's lower left corner; the next loop fills the window.
            flat.pixels[y * width + x] = u8::from(rows[x] >= WINDOW);
        }
    }
    let mut left = vec![0; width];
    for line in flat.pixels.chunks_exact_mut(width.max(1)).rev() {
        let mut across = 0_u8;
        for (pixel, left) in line.iter_mut().zip(&mut left) {
            across = if *pixel == 1 { WINDOW } else { across.saturating_sub(1) };
            *left = if across > 0 { WINDOW } else { left.saturating_sub(1) };
            *pixel = u8::from(*left > 0);
        }
    }
    flat
}

/// Spreads the backgrounds over what is none: right and down, then left and up.
fn sweep(colours: &[[u8; 3]], ground: &mut [Ground], width: usize) {
    if width == 0 {
        return;
    }
    for (y, line) in colours.chunks_exact(width).enumerate() {
        for x in 0..width {
            let index = y * width + x;
            if x > 0 {
                spread(ground, index, index - 1, line[x], line[x - 1]);
            }
            if y > 0 {
                spread(ground, index, index - width, line[x], colours[index - width]);
            }
        }
    }
    for (y, line) in colours.chunks_exact(width).enumerate().rev() {
        for x in (0..width).rev() {
            let index = y * width + x;
            if x + 1 < width {
                spread(ground, index, index + 1, line[x], line[x + 1]);
            }
            if let Some(below) = colours.get(index + width) {
                spread(ground, index, index + width, line[x], *below);
            }
        }
    }
}

/// Gives a pixel its neighbour's background, if that is nearer than its own.
#[inline]
fn spread(ground: &mut [Ground], index: usize, neighbour: usize, here: [u8; 3], there: [u8; 3]) {
    let next = ground[neighbour];
    if next.edges >= ground[index].edges {
        return;
    }
    let edges = (next.edges + u8::from(distance(here, there) > STROKE)).min(UNREACHED - 1);
    if edges < ground[index].edges {
        ground[index] = Ground { colour: next.colour, edges };
    }
}
