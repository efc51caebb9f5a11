//! Durations in the manner of ISO 8601, and those with colons, as pydantic reads both.

/// The seconds of `PT1H30M`, `P1DT12H`, `01:30:00`, or of a plain number.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.strip_prefix('P') {
        Some(rest) => iso(rest),
        None if text.contains(':') => clock(text),
        None => text.parse().ok(),
    }
}

fn iso(text: &str) -> Option<f64> {
    let (days, time) = text.split_once('T').unwrap_or((text, ""));
    let (mut total, mut number) = (0.0, String::new());
    for (part, units) in [(days, &[('W', 604_800.0), ('D', 86_400.0)][..]), (time, &TIME)] {
        for character in part.chars() {
            match units.iter().find(|(unit, _)| *unit == character) {
                Some((_, length)) => total += std::mem::take(&mut number).parse::<f64>().ok()? * length,
                None => number.push(character),
            }
        }
        if !number.is_empty() {
            return None;
        }
    }
    (text.len() > 1).then_some(total)
}

const TIME: [(char, f64); 3] = [('H', 3600.0), ('M', 60.0), ('S', 1.0)];

fn clock(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |total, part| Some(total * 60.0 + part.parse::<f64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_read_as_pydantic_reads_them() {
        let good = [
            ("PT1H", 3600.0),
            ("PT1H30M", 5400.0),
            ("P1DT0.5S", 86_400.5),
            ("01:30:00", 5400.0),
            ("90", 90.0),
        ];
        for (text, expected) in good {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "P", "PT", "PT1X", "one hour", "1:x"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
