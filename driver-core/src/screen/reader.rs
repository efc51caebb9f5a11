//! Reads a screen again and again, and only what has changed: rows of text that were read before are remembered by
//! their pixels.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::Arc;

use crate::deadline::Deadline;
use crate::ocr::{Frame, OcrEngine, OcrError, Reading, Rect, TextLine};

/// Readings of whole screens that are kept: a cursor that blinks takes two.
const READINGS: usize = 16;
/// Strips that are kept: some screens full of lines.
const STRIPS: usize = 2000;
/// Blank rows that may be within a line of text: over the dot of an i.
const GAP: u32 = 2;
/// Blank rows that are read together with a strip.
const MARGIN: u32 = 4;
/// Parts that are read one by one; more are read at once, as a whole.
const PARTS: usize = 8;

/// How much of a screen an engine has to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What was not read before, if the engine can.
    Changed,
    /// All of it, unless it was read like that before.
    Whole,
}

/// What has been read of a machine's screen.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    readings: VecDeque<((u32, u64), Kept)>,
    strips: HashMap<u64, Strip>,
    /// Whether the engine reads parts, once it was asked.
    reads_parts: Option<bool>,
    clock: u64,
    hasher: RandomState,
}

/// A reading, and whether it was put together from parts.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) reading: Arc<Reading>,
    pub(crate) is_pieced: bool,
}

/// The lines of a strip, with their places from its top, and when it was seen last.
#[derive(Debug)]
struct Strip {
    lines: Vec<TextLine>,
    seen: u64,
}

/// Rows with something in them, between blank ones: a line of text or a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rows {
    top: u32,
    bottom: u32,
}

impl Memory {
    /// Reads what lies in `area` of a frame; what lies outside of the frame is left out.
    pub(crate) fn read(
        &mut self,
        engine: &dyn OcrEngine,
        frame: &Frame,
        area: Rect,
        scope: Scope,
        within: Deadline,
    ) -> Result<Kept, OcrError> {
        let area = area.within(frame.whole());
        let key = (area.y, self.key(frame, area));
        let known = self
            .readings
            .iter()
            .find(|(known, kept)| *known == key && (scope == Scope::Changed || !kept.is_pieced));
        if let Some((_, kept)) = known {
            return Ok(kept.clone());
        }
        let pieced = if scope == Scope::Changed { self.piece(engine, frame, area, within)? } else { None };
        let kept = match pieced {
            Some(reading) => Kept { reading: Arc::new(reading), is_pieced: true },
            None => {
                Kept { reading: Arc::new(self.read_whole(engine, frame, area, within)?), is_pieced: false }
            }
        };
        self.readings.retain(|(known, _)| *known != key);
        self.readings.truncate(READINGS - 1);
        self.readings.push_front((key, kept.clone()));
        Ok(kept)
    }

    fn read_whole(
        &mut self,
        engine: &dyn OcrEngine,
        frame: &Frame,
        area: Rect,
        within: Deadline,
    ) -> Result<Reading, OcrError> {
        if area.is_empty() {
            return Ok(Reading { engine: engine.name().to_owned(), lines: Vec::new() });
        }
        let reading = if area == frame.whole() {
            engine.read(frame, within)?
        } else {
            let part = engine.read_part(frame, area, within);
            part.unwrap_or_else(|| Reading::of_part(engine, frame, area, within))?
        };
        if self.reads_parts != Some(false) {
            let strips = strips(frame, area);
            self.remember(frame, area, &strips, &reading);
        }
        Ok(reading)
    }

    /// Puts a reading together of what is known and of what is read now. `None` when too much is unknown, or the
    /// engine reads no parts.
    fn piece(
        &mut self,
        engine: &dyn OcrEngine,
        frame: &Frame,
        area: Rect,
        within: Deadline,
    ) -> Result<Option<Reading>, OcrError> {
        if self.reads_parts == Some(false) || self.strips.is_empty() {
            return Ok(None);
        }
        let all = strips(frame, area);
        let keys: Vec<u64> = all.iter().map(|rows| self.key(frame, rows.of(area))).collect();
        let groups = unknown(&keys, |key| self.strips.contains_key(key));
        let height = |range: &[Rows]| range.iter().map(|rows| rows.bottom - rows.top).sum::<u32>();
        let missing: u32 = groups.iter().map(|group| height(&all[group.clone()])).sum();
        if groups.len() > PARTS || missing * 2 > height(&all) {
            return Ok(None);
        }
        for group in groups {
            let (Some(first), Some(last)) = (all.get(group.start), all.get(group.end - 1)) else { continue };
            let above = group.start.checked_sub(1).map_or(area.y, |before| all[before].bottom);
            let below = all.get(group.end).map_or(area.bottom(), |after| after.top);
            let top = first.top.saturating_sub(MARGIN).max(above);
            let part = Rows { top, bottom: (last.bottom + MARGIN).min(below) }.of(area);
            let read = engine.read_part(frame, part, within);
            self.reads_parts = Some(read.is_some());
            let Some(read) = read else { return Ok(None) };
            if !self.remember(frame, area, &all[group], &read?) {
                return Ok(None);
            }
        }
        if self.reads_parts.is_none() {
            // All is known; but whether the engine would have it put together is not.
            return Ok(None);
        }
        let mut lines = Vec::new();
        for (rows, key) in all.iter().zip(&keys) {
            // An engine may have put a line elsewhere than where its pixels are.
            let Some(strip) = self.strips.get_mut(key) else { return Ok(None) };
            strip.seen = self.clock;
            lines.extend(strip.lines.iter().map(|line| moved(line, |y| y.saturating_add(rows.top))));
        }
        Ok(Some(Reading { engine: engine.name().to_owned(), lines }))
    }

    /// Remembers the lines of strips. False when the engine does not say where they are.
    fn remember(&mut self, frame: &Frame, area: Rect, all: &[Rows], reading: &Reading) -> bool {
        let mut lines: Vec<Vec<TextLine>> = vec![Vec::new(); all.len()];
        for line in &reading.lines {
            let middle = line.rect().map(|rect| rect.centre().1);
            let at = all.iter().position(|rows| middle.is_some_and(|y| (rows.top..rows.bottom).contains(&y)));
            let Some(at) = at else { return false };
            lines[at].push(moved(line, |y| y.saturating_sub(all[at].top)));
        }
        self.clock += 1;
        for (rows, lines) in all.iter().zip(lines) {
            let key = self.key(frame, rows.of(area));
            self.strips.insert(key, Strip { lines, seen: self.clock });
        }
        if self.strips.len() > STRIPS {
            let mut seen: Vec<u64> = self.strips.values().map(|strip| strip.seen).collect();
            seen.sort_unstable();
            let middle = seen[seen.len() / 2];
            self.strips.retain(|_, strip| strip.seen > middle);
        }
        true
    }

    /// The pixels of an area, and its place in a row.
    fn key(&self, frame: &Frame, area: Rect) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (area.x, area.width, area.height).hash(&mut hasher);
        for row in 0..area.height {
            hasher.write(frame.row(area, row));
        }
        hasher.finish()
    }
}

impl Rows {
    fn of(self, area: Rect) -> Rect {
        Rect { y: self.top, height: self.bottom - self.top, ..area }
    }
}

fn moved(line: &TextLine, to: impl Fn(u32) -> u32) -> TextLine {
    let mut line = line.clone();
    for rect in line.words.iter_mut().filter_map(|word| word.rect.as_mut()) {
        rect.y = to(rect.y);
    }
    line
}

/// The strips of an area, from top to bottom. A row is blank when it has one colour.
fn strips(frame: &Frame, area: Rect) -> Vec<Rows> {
    let mut strips: Vec<Rows> = Vec::new();
    for row in 0..area.height {
        let pixels = frame.row(area, row);
        if pixels.get(3..) == pixels.get(..pixels.len().saturating_sub(3)) {
            continue;
        }
        let y = area.y + row;
        match strips.last_mut() {
            Some(last) if y <= last.bottom + GAP => last.bottom = y + 1,
            _ => strips.push(Rows { top: y, bottom: y + 1 }),
        }
    }
    strips
}

/// The runs of neighbours that are not known.
fn unknown(keys: &[u64], is_known: impl Fn(&u64) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in keys.iter().enumerate().filter(|(_, key)| !is_known(key)) {
        match groups.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::{Memory, Scope};
    use crate::deadline::Deadline;
    use crate::ocr::{Frame, OcrEngine, OcrError, Reading, Rect, TextLine, Word};

    const WIDTH: u32 = 8;

    /// Reads the brightest pixel of each row that has one, as a line of that number. Notes what it was given.
    #[derive(Debug, Default)]
    struct Engine {
        given: Mutex<Vec<Rect>>,
        reads_parts: bool,
    }

    impl Engine {
        fn given(&self) -> Vec<(u32, u32)> {
            let given: Vec<_> = self.given.lock().unwrap().drain(..).collect();
            given.into_iter().map(|part| (part.y, part.bottom())).collect()
        }
    }

    impl OcrEngine for Engine {
        fn name(&self) -> &'static str {
            "rows"
        }

        fn read(&self, frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
            self.given.lock().unwrap().push(frame.whole());
            let mut lines = Vec::new();
            for (y, row) in frame.rgb().chunks(frame.width() as usize * 3).enumerate() {
                let most = row.iter().max().copied().unwrap_or_default();
                if most > 0 {
                    let rect = Rect { x: 0, y: u32::try_from(y).unwrap(), width: WIDTH, height: 1 };
                    let word = Word { text: most.to_string(), rect: Some(rect), confidence: None };
                    lines.push(TextLine { words: vec![word] });
                }
            }
            Ok(Reading { engine: self.name().to_owned(), lines })
        }

        fn read_part(
            &self,
            frame: &Frame,
            part: Rect,
            within: Deadline,
        ) -> Option<Result<Reading, OcrError>> {
            let read = self.reads_parts.then(|| Reading::of_part(self, frame, part, within))?;
            *self.given.lock().unwrap().last_mut().unwrap() = part;
            Some(read)
        }
    }

    /// A screen with numbers in every tenth row.
    fn screen(numbers: &[u8]) -> Frame {
        let mut rgb = vec![0; WIDTH as usize * 3 * 100];
        for (line, number) in numbers.iter().enumerate() {
            rgb[line * 10 * WIDTH as usize * 3] = *number;
        }
        Frame::new(WIDTH, 100, rgb).unwrap()
    }

    struct Reader {
        memory: Memory,
        engine: Engine,
    }

    impl Reader {
        fn new(reads_parts: bool) -> Self {
            Self { memory: Memory::default(), engine: Engine { reads_parts, ..Engine::default() } }
        }

        fn read(&mut self, frame: &Frame, scope: Scope) -> String {
            let within = Deadline::after(Duration::from_secs(1));
            self.memory.read(&self.engine, frame, frame.whole(), scope, within).unwrap().reading.text()
        }
    }

    #[test]
    fn only_rows_that_have_changed_are_read() {
        let mut reader = Reader::new(true);
        assert_eq!(reader.read(&screen(&[1, 2, 3, 4]), Scope::Changed), "1\n2\n3\n4\n");
        assert_eq!(reader.engine.given(), [(0, 100)], "the first time");
        assert_eq!(reader.read(&screen(&[1, 2, 9, 4]), Scope::Changed), "1\n2\n9\n4\n");
        assert_eq!(reader.engine.given(), [(16, 25)], "a line and a little around it");
        assert_eq!(reader.read(&screen(&[2, 9, 4, 5]), Scope::Changed), "2\n9\n4\n5\n");
        assert_eq!(reader.engine.given(), [(26, 35)], "it has scrolled");
        assert_eq!(reader.read(&screen(&[9, 1]), Scope::Changed), "9\n1\n");
        assert_eq!(reader.read(&screen(&[1, 2, 3, 4]), Scope::Changed), "1\n2\n3\n4\n");
        assert_eq!(reader.engine.given(), [], "all was there before");
        assert_eq!(reader.read(&screen(&[9, 1]), Scope::Whole), "9\n1\n");
        assert_eq!(reader.engine.given(), [(0, 100)], "it had been put together");
        assert_eq!(reader.read(&screen(&[9, 1]), Scope::Whole), "9\n1\n");
        assert_eq!(reader.read(&screen(&[5, 6, 7, 8]), Scope::Changed), "5\n6\n7\n8\n");
        assert_eq!(reader.engine.given(), [(0, 100)], "another screen");
    }

    #[test]
    fn an_engine_that_reads_no_parts_is_given_whole_frames_and_each_once() {
        let mut reader = Reader::new(false);
        let (off, on) = (screen(&[1, 2, 3, 4]), screen(&[1, 2, 3, 4, 5]));
        for frame in [&off, &on, &off, &on] {
            reader.read(frame, Scope::Changed);
        }
        assert_eq!(reader.engine.given(), [(0, 100), (0, 100)]);
    }

    #[test]
    fn a_part_of_the_screen_is_read_alone_and_in_its_place() {
        for reads_parts in [false, true] {
            let mut reader = Reader::new(reads_parts);
            let area = Rect { x: 0, y: 15, width: 100, height: 10 };
            let within = Deadline::after(Duration::from_secs(1));
            let frame = screen(&[1, 2, 3, 4]);
            let read = reader.memory.read(&reader.engine, &frame, area, Scope::Changed, within).unwrap();
            assert_eq!(read.reading.text(), "3\n");
            assert_eq!(read.reading.lines[0].rect().unwrap().y, 20);
            let outside = Rect { x: 900, y: 900, width: 1, height: 1 };
            let read = reader.memory.read(&reader.engine, &frame, outside, Scope::Changed, within).unwrap();
            assert_eq!(read.reading.text(), "");
        }
    }
}
