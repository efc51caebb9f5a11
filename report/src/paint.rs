//! Colours: the few styles of the log, which are those of the NixOS test driver, and durations as text.

use std::fmt;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const STEP: Style = AnsiColor::Green.on_default().bold();
pub(crate) const CONSOLE: Style = Style::new().dimmed();
pub(crate) const ERROR: Style = AnsiColor::Red.on_default();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const GOOD: Style = STEP;
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const STRONG: Style = Style::new().bold();

/// Text in a style, or plain where there are no colours.
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

pub(crate) fn paint<T: fmt::Display>(style: Style, colours: bool, text: T) -> Painted<T> {
    Painted { style: if colours { style } else { PLAIN }, text }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.style, self.text, self.style)
    }
}

/// A duration that is going on, short: `12.3s`, `2m 05s`, `1h 02m`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A limit, without what is zero: `900ms`, `30s`, `15m`, `1h 30m`.
pub(crate) fn limit(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes, seconds % 60) {
        (0, 0, 0) => format!("{}ms", duration.as_millis()),
        (0, 0, rest) => format!("{rest}s"),
        (0, _, 0) => format!("{minutes}m"),
        (0, _, rest) => format!("{minutes}m {rest}s"),
        (_, 0, _) => format!("{hours}h"),
        _ => format!("{hours}h {minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::{limit, short};
    use std::time::Duration;

    #[test]
    fn durations_read_as_people_write_them() {
        let shown = [0.0, 12.34, 59.99, 60.0, 125.0, 3725.0].map(|s| short(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.0s", "12.3s", "59.9s", "1m 00s", "2m 05s", "1h 02m"]);
        let limits = [0.5, 30.0, 90.0, 900.0, 3600.0, 5400.0].map(|s| limit(Duration::from_secs_f64(s)));
        assert_eq!(limits, ["500ms", "30s", "1m 30s", "15m", "1h", "1h 30m"]);
    }
}
