//! Characters become words with boxes.

use driver_core::{Rect, Word};

use super::plane::{Area, Plane};
use super::reader::Sign;
use super::scale::{FAINT, HEIGHT};

/// Letters that stand twice in a row close to each other, or need little room.
const NARROW: &str = "il1I|!.,:;'`jtfr()[]{}\"·•-_=";

/// Drops echoes: a wide letter that is read twice, at places nearer than two letters can be.
pub(super) fn without_echoes(signs: &mut Vec<Sign>) {
    let mut steps: Vec<usize> = signs.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(0);
    let mut last: Option<Sign> = None;
    signs.retain(|sign| {
        let echo = last.is_some_and(|last| {
            last.char == sign.char && !NARROW.contains(sign.char) && (sign.at - last.at) * 100 < usual * 55
        });
        if !echo {
            last = Some(*sign);
        }
        !echo
    });
}

/// Puts spaces right in a line whose characters are all equally wide: there, places say where they are.
pub(super) fn with_spaces_of_cells(signs: &mut Vec<Sign>) {
    let beside = |pair: &[Sign]| pair.iter().all(|sign| sign.char != ' ').then(|| pair[1].at - pair[0].at);
    let mut steps: Vec<usize> = signs.windows(2).filter_map(beside).collect();
    steps.sort_unstable();
    let cell = steps.get(steps.len() / 2).copied().unwrap_or(0);
    let regular = steps.iter().filter(|step| step.abs_diff(cell) * 5 <= cell).count();
    if steps.len() < 8 || regular * 10 < steps.len() * 9 {
        return;
    }
    let mut spaced: Vec<Sign> = Vec::with_capacity(signs.len());
    for (index, sign) in signs.iter().enumerate() {
        let before = spaced.last().filter(|last| last.char != ' ').map(|last| last.at);
        if sign.char == ' ' {
            let apart = before.zip(signs.get(index + 1)).map(|(before, next)| next.at - before);
            if apart.is_some_and(|apart| apart * 10 < cell * 14) {
                continue;
            }
        } else if let Some(before) = before.filter(|before| (sign.at - before) * 10 > cell * 17) {
            let at = (before + sign.at) / 2;
            spaced.push(Sign { char: ' ', at, confidence: sign.confidence, ..Sign::default() });
        }
        spaced.push(*sign);
    }
    *signs = spaced;
}

/// The words of a strip that was cut from `area`; a word is as sure as its signs are on average.
#[expect(clippy::cast_precision_loss, reason = "a word has few characters")]
pub(super) fn words(signs: &[Sign], area: Area, ink: &Plane) -> Vec<Word> {
    let place = |at: usize| (area.left + at * area.height() / HEIGHT).min(area.right.saturating_sub(1));
    let blank: Vec<bool> = (area.left..area.right)
        .map(|x| (area.top..area.bottom).all(|y| ink.pixels[y * ink.width + x] < FAINT))
        .collect();
    let groups: Vec<&[Sign]> =
        signs.split(|sign| sign.char.is_whitespace()).filter(|group| !group.is_empty()).collect();
    let spans: Vec<(usize, usize)> =
        groups.iter().map(|group| (place(group[0].at), place(group[group.len() - 1].at))).collect();
    let mut left = area.left;
    let mut words = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let last = spans[index].1;
        let right =
            spans.get(index + 1).map_or(area.right, |next| widest_gap(&blank, area.left, last, next.0));
        let part = tight(Area { left, right: right.max(left + 1), ..area }, ink);
        words.push(Word {
            text: group.iter().map(|sign| sign.char).collect(),
            rect: Some(rect(part)),
            confidence: Some(group.iter().map(|sign| sign.confidence).sum::<f32>() / group.len() as f32),
        });
        left = right.max(left + 1).min(area.right.saturating_sub(1));
    }
    words
}

/// The middle of the longest run of blank columns from `from` to `to`.
fn widest_gap(blank: &[bool], left: usize, from: usize, to: usize) -> usize {
    let (mut best, mut length, mut run) = ((from + to) / 2, 0, 0);
    for x in from..to {
        run = if blank.get(x - left).copied().unwrap_or(true) { run + 1 } else { 0 };
        if run > length {
            length = run;
            best = x + 1 - run / 2;
        }
    }
    best
}

/// The box around the ink in a box; the box itself when there is none.
pub(super) fn tight(area: Area, ink: &Plane) -> Area {
    let has_ink = |y: usize| ink.row(y, area).iter().any(|pixel| *pixel >= FAINT);
    let Some(top) = (area.top..area.bottom).find(|y| has_ink(*y)) else { return area };
    let bottom = (area.top..area.bottom).rfind(|y| has_ink(*y)).map_or(area.bottom, |y| y + 1);
    let column = |x: &usize| (top..bottom).any(|y| ink.pixels[y * ink.width + x] >= FAINT);
    let left = (area.left..area.right).find(column).unwrap_or(area.left);
    let right = (area.left..area.right).rfind(column).map_or(area.right, |x| x + 1);
    Area { left, top, right, bottom }
}

/// A box as driver-core has it.
#[expect(clippy::cast_possible_truncation, reason = "a frame's sides fit, and the box is inside")]
pub(super) fn rect(area: Area) -> Rect {
    Rect { x: area.left as u32, y: area.top as u32, width: area.width() as u32, height: area.height() as u32 }
}

#[cfg(test)]
mod tests {
    use super::{with_spaces_of_cells, without_echoes};
    use crate::screen::reader::Sign;

    fn after(signs: &[(char, usize)]) -> String {
        changed(signs, without_echoes)
    }

    fn changed(signs: &[(char, usize)], change: impl Fn(&mut Vec<Sign>)) -> String {
        let mut signs: Vec<Sign> = signs
            .iter()
            .map(|(char, at)| Sign { char: *char, at: *at, confidence: 1.0, ..Sign::default() })
            .collect();
        change(&mut signs);
        signs.iter().map(|sign| sign.char).collect()
    }

    #[test]
    fn cells_say_where_spaces_are() {
        let cells = |text: &str, cells: &[usize]| {
            let signs: Vec<(char, usize)> = text.chars().zip(cells.iter().map(|cell| cell * 10)).collect();
            changed(&signs, with_spaces_of_cells)
        };
        // A space that is none, and one that was not read.
        assert_eq!(cells("[ root@a:~]$", &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), "[root@a:~]$");
        assert_eq!(
            cells("[root@a:~]$man", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14]),
            "[root@a:~]$ man"
        );
        // Letters of different widths say nothing.
        let wide = [0, 1, 5, 7, 8, 12, 13, 17, 19, 20, 24];
        assert_eq!(cells("proportions", &wide), "proportions");
    }

    #[test]
    fn an_echo_goes_and_double_letters_stay() {
        assert_eq!(
            after(&[('t', 0), ('a', 16), ('r', 32), ('g', 48), ('e', 64), ('e', 70), ('t', 80)]),
            "target"
        );
        assert_eq!(after(&[('w', 0), ('o', 16), ('o', 32), ('d', 48)]), "wood");
        assert_eq!(after(&[('a', 0), ('b', 16), ('l', 30), ('l', 36), ('e', 48)]), "ablle");
    }
}
