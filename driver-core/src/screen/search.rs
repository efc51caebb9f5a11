//! Looks for needles on a screen. How similar two pictures are is counted as openQA counts it, so that percentages of
//! needles that were made for it mean the same: grey, blurred a little, small differences left out.

use std::ops::Range;

use serde::Serialize;

use super::needle::{Area, AreaKind, Needle};
use crate::ocr::{Frame, OcrError, Rect};

/// Differences of grey that do not count.
const NOISE: u8 = 16;
/// So similar is as good as the same: nothing nearer is looked for.
const SAME: f64 = 0.999;

/// Reads the text in a part of a frame.
pub(crate) type Reads<'a> = &'a dyn Fn(&Frame, Rect) -> Result<String, OcrError>;

/// How a needle compares with a screen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeedleMatch {
    /// The needle's name.
    pub needle: String,
    /// Whether all its areas are there.
    #[serde(skip)]
    pub is_found: bool,
    /// Its areas, without those that do not count.
    pub areas: Vec<AreaMatch>,
    /// Where a click goes, in pixels of the screen.
    pub click: (u32, u32),
}

/// How an area of a needle compares with the screen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AreaMatch {
    /// From the left, where it is most similar.
    pub x: u32,
    /// From above.
    pub y: u32,
    /// To the right.
    pub width: u32,
    /// Down.
    pub height: u32,
    /// How similar it is, in percent.
    pub similarity: f64,
    /// How similar it must be.
    pub wanted: f64,
}

impl NeedleMatch {
    /// How similar it is in all: as the area that lacks most.
    #[must_use]
    pub fn worst(&self) -> Option<&AreaMatch> {
        let lack = |area: &AreaMatch| area.similarity - area.wanted;
        self.areas.iter().min_by(|one, other| lack(one).total_cmp(&lack(other)))
    }
}

impl AreaMatch {
    fn rect(&self) -> Rect {
        Rect { x: self.x, y: self.y, width: self.width, height: self.height }
    }
}

impl Needle {
    /// Looks for the needle, whose picture is `picture`, on a screen.
    ///
    /// # Errors
    /// What `reads` returns, for areas of text.
    pub(crate) fn search(
        &self,
        picture: &Frame,
        screen: &Frame,
        reads: Reads<'_>,
    ) -> Result<NeedleMatch, OcrError> {
        let excluded: Vec<Rect> =
            self.areas.iter().filter(|area| area.kind == AreaKind::Exclude).map(|area| area.rect).collect();
        let (mut areas, mut click) = (Vec::new(), None);
        for area in &self.areas {
            let (rect, similarity) = match &area.kind {
                AreaKind::Exclude => continue,
                AreaKind::Match => search_area(area, picture, screen, &excluded),
                AreaKind::Ocr(text) => {
                    let read = reads(screen, area.rect)?;
                    (area.rect, strsim::normalized_levenshtein(read.trim(), text.trim()))
                }
            };
            let Rect { x, y, width, height } = rect;
            areas.push(AreaMatch {
                x,
                y,
                width,
                height,
                similarity: similarity * 100.0,
                wanted: area.wanted,
            });
            if let Some(point) = area.click {
                click = Some((x.saturating_add(point.x), y.saturating_add(point.y)));
            }
        }
        let is_found = areas.iter().all(|area| area.similarity >= area.wanted);
        let last = areas.last().map(|area| area.rect().centre());
        let click = click.or(last).unwrap_or_default();
        Ok(NeedleMatch { needle: self.name.clone(), is_found, areas, click })
    }
}

/// Where an area is most similar, and how similar, from 0 to 1.
fn search_area(area: &Area, picture: &Frame, screen: &Frame, excluded: &[Rect]) -> (Rect, f64) {
    let rect = area.rect;
    let near = Rect {
        x: rect.x.saturating_sub(area.margin),
        y: rect.y.saturating_sub(area.margin),
        width: rect.right().saturating_add(area.margin) - rect.x.saturating_sub(area.margin),
        height: rect.bottom().saturating_add(area.margin) - rect.y.saturating_sub(area.margin),
    }
    .within(screen.whole());
    if rect.within(picture.whole()) != rect || near.width < rect.width || near.height < rect.height {
        return (rect, 0.0);
    }
    let object = Object::new(Grey::of(picture, rect), rect, excluded);
    let scene = Grey::of(screen, near);
    let mut places: Vec<(u64, u32, u32)> = Vec::new();
    for y in near.y..=near.bottom() - rect.height {
        for x in near.x..=near.right() - rect.width {
            let away = u64::from(x.abs_diff(rect.x)).pow(2) + u64::from(y.abs_diff(rect.y)).pow(2);
            places.push((away, x, y));
        }
    }
    places.sort_unstable();
    let (mut best, mut least) = ((rect.x, rect.y), u64::MAX);
    for (_, x, y) in places {
        let at = ((x - near.x) as usize, (y - near.y) as usize);
        let Some(squares) = object.difference(&scene, at, least) else { continue };
        (best, least) = ((x, y), squares);
        if object.similarity(&scene, at) >= SAME {
            break;
        }
    }
    let at = ((best.0 - near.x) as usize, (best.1 - near.y) as usize);
    (Rect { x: best.0, y: best.1, ..rect }, object.similarity(&scene, at))
}

/// A part of a picture in shades of grey, blurred.
struct Grey {
    width: usize,
    shades: Vec<u8>,
}

impl Grey {
    fn of(frame: &Frame, rect: Rect) -> Self {
        let around = Rect {
            x: rect.x.saturating_sub(1),
            y: rect.y.saturating_sub(1),
            width: rect.width + 2,
            height: rect.height + 2,
        }
        .within(frame.whole());
        let (width, height) = (around.width as usize, around.height as usize);
        let luma = |pixel: &[u8]| {
            (u32::from(pixel[0]) * 299 + u32::from(pixel[1]) * 587 + u32::from(pixel[2]) * 114) / 1000
        };
        let plain: Vec<u32> =
            (0..around.height).flat_map(|row| frame.row(around, row).chunks_exact(3).map(luma)).collect();
        let (left, top) = ((rect.x - around.x) as usize, (rect.y - around.y) as usize);
        let mut shades = Vec::with_capacity(rect.width as usize * rect.height as usize);
        for y in (0..rect.height as usize).map(|row| row + top) {
            let rows =
                [y.saturating_sub(1), y, (y + 1).min(height - 1)].map(|row| &plain[row * width..][..width]);
            for x in (0..rect.width as usize).map(|column| column + left) {
                let (before, after) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let across = |row: &[u32]| row[before] + 2 * row[x] + row[after];
                let sum = across(rows[0]) + 2 * across(rows[1]) + across(rows[2]);
                shades.push(u8::try_from((sum + 8) / 16).unwrap_or(u8::MAX));
            }
        }
        Self { width: rect.width as usize, shades }
    }

    fn row(&self, at: usize) -> &[u8] {
        &self.shades[at * self.width..][..self.width]
    }
}

/// What is looked for, and the columns of each row that count.
struct Object {
    grey: Grey,
    columns: Vec<Vec<Range<usize>>>,
    pixels: usize,
}

impl Object {
    fn new(grey: Grey, rect: Rect, excluded: &[Rect]) -> Self {
        let row = |y: u32| {
            let mut counts = vec![true; rect.width as usize];
            for hole in excluded.iter().map(|hole| hole.within(rect)) {
                if (hole.y..hole.bottom()).contains(&y) {
                    counts[(hole.x - rect.x) as usize..(hole.right() - rect.x) as usize].fill(false);
                }
            }
            runs(&counts)
        };
        let columns: Vec<_> = (rect.y..rect.bottom()).map(row).collect();
        let pixels = columns.iter().flatten().map(ExactSizeIterator::len).sum();
        Self { grey, columns, pixels }
    }

    fn rows<'a>(
        &'a self,
        scene: &'a Grey,
        (x, y): (usize, usize),
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.columns.iter().enumerate().flat_map(move |(row, columns)| {
            let (object, scene) = (self.grey.row(row), &scene.row(y + row)[x..]);
            columns.iter().map(move |run| (&object[run.clone()], &scene[run.clone()]))
        })
    }

    /// The sum of the squared differences at a place, if it is less than `limit`.
    fn difference(&self, scene: &Grey, at: (usize, usize), limit: u64) -> Option<u64> {
        let mut sum = 0;
        for (object, scene) in self.rows(scene, at) {
            let squares = object.iter().zip(scene).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2));
            sum += u64::from(squares.sum::<u32>());
            if sum >= limit {
                return None;
            }
        }
        Some(sum)
    }

    /// How similar a place is, from 0 to 1: in steps of sixteen shades, a mean squared error of 2 is the same and one
    /// of 40 is 0.9.
    fn similarity(&self, scene: &Grey, at: (usize, usize)) -> f64 {
        let step = |shade: u8| (i32::from(shade) + 8) / 16;
        let mut squares: u64 = 0;
        for (object, scene) in self.rows(scene, at) {
            for (a, b) in object.iter().zip(scene).filter(|(a, b)| a.abs_diff(**b) >= NOISE) {
                squares += u64::from(((step(*a) - step(*b)) * 16).unsigned_abs()).pow(2);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more")]
        let error = squares as f64 / self.pixels.max(1) as f64;
        (0.9 + (40.0 - error) / 380.0).clamp(0.0, 1.0)
    }
}

/// The runs of what is true.
fn runs(counts: &[bool]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in counts.iter().enumerate().filter(|(_, counts)| **counts) {
        match runs.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::super::needle::{Area, AreaKind, Needle, Point};
    use super::NeedleMatch;
    use crate::ocr::{Frame, Rect};

    const SIZE: u32 = 80;

    /// A dark screen with a pattern at a place, each pixel changed by `change`.
    fn screen((left, top): (u32, u32), change: impl Fn(u32, u32, u8) -> u8) -> Frame {
        let shade = |x: u32, y: u32| {
            let inside = (left..left + 12).contains(&x) && (top..top + 8).contains(&y);
            let shade = if inside && ((x - left) / 2 + (y - top) / 3).is_multiple_of(2) { 230 } else { 20 };
            change(x, y, shade)
        };
        let rgb = (0..SIZE * SIZE).flat_map(|at| [shade(at % SIZE, at / SIZE); 3]).collect();
        Frame::new(SIZE, SIZE, rgb).unwrap()
    }

    fn plain(place: (u32, u32)) -> Frame {
        screen(place, |_, _, shade| shade)
    }

    fn needle(areas: Vec<Area>) -> Needle {
        Needle { name: "pattern".to_owned(), tags: Vec::new(), areas, png: "pattern.png".into() }
    }

    fn area() -> Area {
        Area { margin: 20, ..Area::new(Rect { x: 28, y: 28, width: 16, height: 12 }, AreaKind::Match) }
    }

    fn search(areas: Vec<Area>, screen: &Frame) -> NeedleMatch {
        let reads =
            |frame: &Frame, rect: Rect| Ok(format!("{}x{} at {}", rect.width, rect.height, frame.width()));
        needle(areas).search(&plain((30, 30)), screen, &reads).unwrap()
    }

    #[test]
    fn a_needle_is_found_where_it_has_moved_to_and_not_beyond_its_margin() {
        let found = search(vec![area()], &plain((30, 30)));
        assert!(found.is_found && found.areas[0].similarity > 99.9, "{found:?}");
        assert_eq!(found.click, (36, 34), "the middle of its area");
        let moved = search(vec![Area { click: Some(Point { x: 2, y: 3 }), ..area() }], &plain((45, 19)));
        assert!(moved.is_found, "{moved:?}");
        assert_eq!(((moved.areas[0].x, moved.areas[0].y), moved.click), ((43, 17), (45, 20)));
        let away = search(vec![area()], &plain((60, 60)));
        assert!(!away.is_found && away.worst().unwrap().similarity < 90.0, "{away:?}");
        let outside = Area::new(Rect { x: 70, y: 70, width: 20, height: 20 }, AreaKind::Match);
        assert!(!search(vec![outside], &plain((30, 30))).is_found);
    }

    #[test]
    fn other_shades_are_no_difference_and_another_pattern_is() {
        assert!(search(vec![area()], &screen((30, 30), |_, _, shade| shade + 10)).is_found);
        let half = screen((30, 30), |x, _, shade| if x > 36 { 20 } else { shade });
        assert!(!search(vec![area()], &half).is_found);
        let excluded = Area::new(Rect { x: 36, y: 0, width: 40, height: 80 }, AreaKind::Exclude);
        assert!(search(vec![excluded, area()], &half).is_found, "what differs does not count");
    }

    #[test]
    fn text_in_a_needle_is_read() {
        let ocr = |text: &str| Area { kind: AreaKind::Ocr(text.to_owned()), ..area() };
        assert!(search(vec![ocr("16x12 at 80")], &plain((0, 0))).is_found);
        assert!(!search(vec![ocr("login:")], &plain((0, 0))).is_found);
    }
}
