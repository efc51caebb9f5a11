//! Times as the page writes them.

/// A moment of the run: `0:04.2`, `12:04.2`, `1:02:04.2`.
pub(crate) fn moment(us: u64) -> String {
    let tenths = us / 100_000;
    let (minutes, seconds) = (tenths / 600, tenths % 600);
    let rest = format!("{:02}.{}", seconds / 10, seconds % 10);
    match minutes / 60 {
        0 => format!("{minutes}:{rest}"),
        hours => format!("{hours}:{:02}:{rest}", minutes % 60),
    }
}

/// A span of time, with as many digits as tell something: `3 ms`, `0.42 s`, `25.1 s`, `2 min 05 s`.
pub(crate) fn span(us: u64) -> String {
    let seconds = us / 1_000_000;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{} ms", us / 1_000),
        100_000..10_000_000 => format!("{}.{:02} s", seconds, us / 10_000 % 100),
        10_000_000..60_000_000 => format!("{}.{} s", seconds, us / 100_000 % 10),
        60_000_000..3_600_000_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The distance of the marks on an axis of `total_us`: a round number that leaves at most a dozen.
pub(super) fn tick(total_us: u64) -> u64 {
    const STEPS: [u64; 16] = [
        10_000,
        50_000,
        100_000,
        200_000,
        500_000,
        1_000_000,
        2_000_000,
        5_000_000,
        10_000_000,
        20_000_000,
        30_000_000,
        60_000_000,
        120_000_000,
        300_000_000,
        600_000_000,
        1_800_000_000,
    ];
    STEPS.into_iter().find(|step| total_us / step <= 12).unwrap_or((total_us / 12).max(1))
}

#[cfg(test)]
mod tests {
    use super::{moment, span, tick};

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!(
            [0, 4_260_000, 724_000_000, 3_724_000_000].map(moment),
            ["0:00.0", "0:04.2", "12:04.0", "1:02:04.0"]
        );
        assert_eq!(
            [900, 42_000, 4_260_000, 25_140_000, 125_000_000, 7_260_000_000].map(span),
            ["900 µs", "42 ms", "4.26 s", "25.1 s", "2 min 05 s", "2 h 01 min"]
        );
    }

    #[test]
    fn an_axis_has_a_dozen_marks_at_most_whatever_its_length() {
        for total in (0..16).map(|power| 10_u64.pow(power)) {
            assert!(total / tick(total) <= 12, "{total}");
        }
    }
}
