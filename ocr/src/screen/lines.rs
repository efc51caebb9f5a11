//! Marks become lines: letters that stand side by side, with the dots and accents around them.

use super::marks::Mark;
use super::plane::{Area, Plane};

/// Letters that a line of text has at least; what has fewer may be a part of a frame.
const TEXT: usize = 5;

/// A line that is being put together.
#[derive(Debug, Clone)]
struct Line {
    area: Area,
    /// Where its letters stand: a line that grew by the marks of the next would soon take all of it.
    core: Area,
    /// Letters in it.
    letters: usize,
}

/// Boxes of lines, from top to bottom, each with room around its ink.
pub(super) fn lines(ink: &Plane, marks: &[Mark]) -> Vec<Area> {
    let (mut letters, mut small, tall) = sort(marks);
    let mut lines = join(&mut letters);
    let usual = usual(&lines).unwrap_or(12);
    let rest = attach(&mut lines, &mut small);
    for bar in &tall {
        clip(&mut lines, bar);
    }
    merge(&mut lines);
    lines.extend(rows_of_marks(rest));
    lines.sort_by_key(|line| (line.area.top, line.area.left));
    let mut areas: Vec<Area> = lines.iter().map(|line| with_room(line.area, usual, ink)).collect();
    keep_apart(&lines, &mut areas);
    areas.sort_by_key(|area| (area.top, area.left));
    areas
}

/// Letters, small marks (dots, dashes, accents), and bars that are as tall as several lines.
fn sort(marks: &[Mark]) -> (Vec<Area>, Vec<Area>, Vec<Area>) {
    let usual =
        median(marks.iter().map(|mark| mark.area.height()).filter(|height| *height >= 6)).unwrap_or(12);
    // In the smallest fonts a letter is as low as a dash in others.
    let least = if usual <= 9 { 4 } else { 6 };
    let (mut letters, mut small, mut tall) = (Vec::new(), Vec::new(), Vec::new());
    for mark in marks {
        let (width, height) = (mark.area.width(), mark.area.height());
        // Bars one above the other touch, as in a tree of processes or the frame of a table, and so do their branches.
        let is_bar = height > usual * 2 + 4 && width < height / 2;
        // A row of a frame is much wider than high, and a line of its own where the font does not join rows.
        let is_row = width > height * 4;
        let has_branches = height * 10 > usual * 16 && mark.ink * 9 < width * height * 2 && !is_row;
        if marks.len() > 30 && (is_bar || has_branches) {
            tall.push(mark.area);
            continue;
        }
        // Letters of a word may touch, but then they are still many.
        if height >= least && (width <= height * 12 || (8..=60).contains(&height)) {
            letters.push(mark.area);
        } else if mark.ink >= 2 {
            small.push(mark.area);
        }
    }
    // The outermost branch is the last to reach a line.
    tall.sort_unstable_by_key(|area| std::cmp::Reverse(area.left));
    (letters, small, tall)
}

fn median(values: impl Iterator<Item = usize>) -> Option<usize> {
    let mut values: Vec<usize> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The height of most letters' lines.
fn usual(lines: &[Line]) -> Option<usize> {
    median(lines.iter().flat_map(|line| std::iter::repeat_n(line.area.height(), line.letters.min(200))))
}

/// Lines by the rows of the picture that they cover: who looks for neighbours need not look at all.
#[derive(Default)]
struct Shelves {
    shelves: Vec<Vec<usize>>,
}

impl Shelves {
    /// Rows on one shelf.
    const ROWS: usize = 16;

    fn put(&mut self, index: usize, area: Area) {
        let last = area.bottom / Self::ROWS;
        if self.shelves.len() <= last {
            self.shelves.resize(last + 1, Vec::new());
        }
        for shelf in &mut self.shelves[area.top / Self::ROWS..=last] {
            if !shelf.contains(&index) {
                shelf.push(index);
            }
        }
    }

    /// Who covers any of these rows, and others.
    fn near(&self, top: usize, bottom: usize) -> Vec<usize> {
        let last = (bottom / Self::ROWS + 1).min(self.shelves.len());
        let first = (top / Self::ROWS).min(last);
        let mut near: Vec<usize> = self.shelves[first..last].concat();
        near.sort_unstable();
        near.dedup();
        near
    }
}

/// Puts letters, from left to right, at the end of the line that fits best.
fn join(letters: &mut [Area]) -> Vec<Line> {
    letters.sort_unstable_by_key(|area| (area.left, area.top));
    let (mut lines, mut shelves): (Vec<Line>, _) = (Vec::new(), Shelves::default());
    for letter in letters.iter() {
        let fits = |line: &Line| {
            let (shared, low) = (line.area.shared_rows(letter), line.area.height().min(letter.height()));
            let high = line.area.height().max(letter.height());
            let both = line.area.with(letter).height();
            let gap = letter.left.saturating_sub(line.area.right);
            let fits = shared * 20 >= low * 9
                && both * 20 <= high.max(8) * 31
                && gap * 10 <= high * 17
                && high * 5 <= low * 16;
            fits.then(|| (shared * 100 / low).saturating_sub(gap * 25 / high))
        };
        let near = shelves.near(letter.top, letter.bottom);
        let best = near
            .into_iter()
            .filter_map(|index| Some((fits(&lines[index])?, index)))
            .max_by_key(|(score, index)| (*score, usize::MAX - index));
        let index = if let Some((_, index)) = best {
            lines[index].area = lines[index].area.with(letter);
            lines[index].core = lines[index].area;
            lines[index].letters += 1;
            index
        } else {
            lines.push(Line { area: *letter, core: *letter, letters: 1 });
            lines.len() - 1
        };
        shelves.put(index, lines[index].area);
    }
    lines
}

/// Gives small marks to the lines beside, over or under which they stand; what stands alone is left.
fn attach(lines: &mut [Line], small: &mut Vec<Area>) -> Vec<Area> {
    let mut shelves = Shelves::default();
    for (index, line) in lines.iter().enumerate() {
        shelves.put(index, line.area);
    }
    small.sort_unstable_by_key(|area| (area.left, area.top));
    // What is given in one round brings the line nearer to more in the next.
    for _ in 0..8 {
        let before = small.len();
        small.retain(|mark| {
            let (reach, middle) = (60, mark.middle() / 2);
            let near = shelves.near(mark.top.saturating_sub(reach), mark.bottom + reach);
            let near = near.into_iter().filter_map(|index| {
                let area = lines[index].core;
                let (height, gap) = (area.height().max(8), lines[index].area.gap(mark));
                let over = area.top.saturating_sub(middle);
                let under = middle.saturating_sub(area.bottom);
                let fits = over * 100 <= height * 35
                    && under * 100 <= height * 42
                    && mark.height() <= height
                    && gap * 10 <= height * 17;
                fits.then_some((gap + 4 * (over + under), index))
            });
            let Some((_, index)) = near.min() else { return true };
            let Line { area, core, .. } = &mut lines[index];
            area.left = area.left.min(mark.left);
            area.right = area.right.max(mark.right);
            if mark.bottom * 100 <= core.bottom * 100 + core.height() * 45 {
                area.bottom = area.bottom.max(mark.bottom);
            }
            if mark.top * 10 + core.height() * 3 >= core.top * 10 {
                area.top = area.top.min(mark.top);
            }
            lines[index].letters += 1;
            false
        });
        if small.len() == before {
            break;
        }
    }
    std::mem::take(small)
}

/// Widens the lines that a tall bar runs beside: it is a `|` in each of them.
fn clip(lines: &mut [Line], bar: &Area) {
    for line in lines {
        let beside = line.area.shared_rows(bar) * 5 >= line.area.height() * 2;
        if beside && line.area.gap(bar) * 2 <= line.area.height() * 5 {
            line.area.left = line.area.left.min(bar.left);
            line.area.right = line.area.right.max(bar.right);
        }
    }
}

/// Puts lines together that are parts of one: each, from the lowest on, goes to the line that it fits best.
fn merge(lines: &mut Vec<Line>) {
    lines.sort_by_key(|line| line.core.height());
    let mut shelves = Shelves::default();
    for (index, line) in lines.iter().enumerate() {
        shelves.put(index, line.area);
    }
    let mut gone = vec![false; lines.len()];
    for index in 0..lines.len() {
        let part = lines[index].clone();
        let reach = part.core.height() * 3;
        let near = shelves.near(part.core.top.saturating_sub(reach), part.core.bottom + reach);
        let fits = |other: usize| {
            let whole = &lines[other];
            let (high, low) = (whole.core.height(), part.core.height());
            let gap = whole.area.gap(&part.area);
            let near = other > index && !gone[other] && gap * 10 <= high * 17;
            let shared = whole.core.shared_rows(&part.core);
            let beside = shared * 20 >= low * 11
                && whole.core.with(&part.core).height() * 2 <= high * 3
                && high <= low * 3;
            let out = whole.core.top.saturating_sub(part.core.top)
                + part.core.bottom.saturating_sub(whole.core.bottom);
            let inside = low * 2 < high && out * 10 <= high * 3;
            (near && (beside || inside)).then_some((gap + 4 * (low - shared.min(low)), other, beside))
        };
        if let Some((_, whole, beside)) = near.into_iter().filter_map(fits).min() {
            gone[index] = true;
            let whole_line = &mut lines[whole];
            whole_line.area = whole_line.area.with(&part.area);
            whole_line.letters += part.letters;
            if beside {
                whole_line.core = whole_line.core.with(&part.core);
            }
            shelves.put(whole, lines[whole].area);
        }
    }
    let mut gone = gone.into_iter();
    lines.retain(|_| !gone.next().unwrap_or(false));
}

/// Lines that have no letter, such as `-----` and `...`.
fn rows_of_marks(rest: Vec<Area>) -> Vec<Line> {
    let mut rows: Vec<Line> = Vec::new();
    let mut shelves = Shelves::default();
    for mark in rest {
        let fits = |row: &Line| {
            let apart =
                row.area.top.saturating_sub(mark.bottom).max(mark.top.saturating_sub(row.area.bottom));
            apart <= 6
                && mark.left.saturating_sub(row.area.right) <= 24
                && row.area.with(&mark).height() <= 20
        };
        let near = shelves.near(mark.top.saturating_sub(24), mark.bottom + 24);
        let index = near.into_iter().find(|index| fits(&rows[*index]));
        let index = index.unwrap_or(rows.len());
        if index == rows.len() {
            rows.push(Line { area: mark, core: mark, letters: 1 });
        } else {
            rows[index].area = rows[index].area.with(&mark);
            rows[index].letters += 1;
        }
        shelves.put(index, rows[index].area);
    }
    rows.retain(|row| row.letters >= 2 || row.area.width() >= 6);
    rows
}

/// A line's box with room around its ink; one without tall letters gets the height of the others.
fn with_room(area: Area, usual: usize, ink: &Plane) -> Area {
    let height = area.height();
    let least = height.div_ceil(10).max(1);
    let room = if height * 10 >= usual * 9 { least } else { (usual - height).div_ceil(2).max(least) };
    Area {
        left: area.left.saturating_sub(2),
        top: area.top.saturating_sub(room),
        right: (area.right + 2).min(ink.width),
        bottom: (area.bottom + room).min(ink.height),
    }
}

/// Takes the room back where the ink of another line stands: of `areas`, which belong to `lines` from top to bottom.
fn keep_apart(lines: &[Line], areas: &mut [Area]) {
    for (upper, line) in lines.iter().enumerate() {
        let reach = areas[upper].bottom;
        let near = (upper + 1..lines.len()).take_while(|lower| lines[*lower].area.top < reach);
        for lower in near {
            let (above, below) = (line.area, lines[lower].area);
            let is_text = line.letters.min(lines[lower].letters) >= TEXT;
            if is_text && below.top >= above.bottom && above.gap(&below) == 0 {
                areas[upper].bottom = areas[upper].bottom.min(below.top);
                areas[lower].top = areas[lower].top.max(above.bottom);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;
    use crate::screen::marks::Mark;
    use crate::screen::plane::{Area, Plane};

    /// The lines of marks at `(left, top, width, height)`, as `(left, top, right, bottom)`.
    fn found(marks: &[(usize, usize, usize, usize)]) -> Vec<(usize, usize, usize, usize)> {
        let mark = |(left, top, width, height): &(usize, usize, usize, usize)| Mark {
            area: Area { left: *left, top: *top, right: left + width, bottom: top + height },
            ink: width * height,
        };
        let marks: Vec<Mark> = marks.iter().map(mark).collect();
        let lines = lines(&Plane::black(400, 200), &marks);
        lines.iter().map(|area| (area.left, area.top, area.right, area.bottom)).collect()
    }

    #[test]
    fn letters_side_by_side_are_a_line_and_those_far_apart_are_two() {
        let word = [(20, 50, 7, 10), (29, 50, 7, 10), (38, 53, 7, 7)];
        assert_eq!(found(&word), [(18, 49, 47, 61)]);
        let far = [(20, 50, 7, 10), (29, 50, 7, 10), (80, 50, 7, 10), (89, 50, 7, 10)];
        assert_eq!(found(&far), [(18, 49, 38, 61), (78, 49, 98, 61)]);
    }

    #[test]
    fn a_dash_before_letters_that_touch_belongs_to_them() {
        // As `-rwx` at 13 pixels: the three letters are one mark.
        let row = [(6, 60, 4, 1), (14, 57, 20, 7), (38, 60, 5, 1), (46, 54, 7, 10), (55, 54, 7, 10)];
        assert_eq!(found(&row), [(4, 53, 64, 65)]);
    }

    #[test]
    fn marks_between_two_rows_do_not_make_them_one() {
        // Apostrophes of the lower row hang right under the tails of the upper one.
        let upper = (0..12).map(|letter| (10 + letter * 9, 50, 7, 14));
        let apostrophes = [(14, 67, 2, 4), (50, 67, 2, 4), (54, 67, 2, 4)];
        let lower = (0..12).map(|letter| (22 + letter * 9, 67, 7, 11));
        let marks: Vec<_> = upper.chain(apostrophes).chain(lower).collect();
        let lines = found(&marks);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].3 <= 72 && lines[1].1 >= 64, "{lines:?}");
    }

    #[test]
    fn the_room_around_a_line_has_no_ink_of_the_next() {
        let upper = (0..8).map(|letter| (10 + letter * 9, 50, 7, 14));
        let lower = (0..8).map(|letter| (10 + letter * 9, 65, 7, 14));
        let marks: Vec<_> = upper.chain(lower).collect();
        assert_eq!(found(&marks), [(8, 48, 82, 65), (8, 64, 82, 81)]);
    }

    #[test]
    fn a_branch_ends_in_the_middle_of_its_last_line() {
        // As `├──` and `└──` before two names, whose letters reach below the line.
        let names = [50, 70].map(|top| (0..16).map(move |letter| (26 + letter * 9, top, 7, 10)));
        let tails = [(26, 70, 7, 14), (10, 44, 8, 32)];
        let marks: Vec<_> = names.into_iter().flatten().chain(tails).collect();
        let lines = found(&marks);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.0 <= 10), "{lines:?}");
    }

    #[test]
    fn a_row_of_dashes_is_a_line() {
        let dashes: Vec<_> = (0..10).map(|dash| (10 + dash * 8, 80, 6, 2)).collect();
        let lines = found(&dashes);
        assert_eq!((lines.len(), lines[0].0, lines[0].2), (1, 8, 90), "{lines:?}");
    }
}
