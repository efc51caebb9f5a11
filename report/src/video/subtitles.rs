//! The log as subtitles: what the test did when the screen showed that.

use std::fmt::Write as _;

use crate::escape::visible;
use crate::transcript::{Entry, Kind};

/// Lines that are remembered; a video that is watched has fewer.
const LINES: usize = 20_000;
/// Characters of a line.
const WIDTH: usize = 120;
/// Lines that are shown at once, the last ones.
const AT_ONCE: usize = 2;

/// Gathers lines of the log with their times.
#[derive(Debug, Default)]
pub(super) struct Subtitles {
    lines: Vec<(u64, String)>,
}

impl Subtitles {
    /// Takes an entry, if it is of the test.
    pub(super) fn add(&mut self, t_us: u64, entry: &Entry) {
        if !matches!(entry.kind, Kind::Step | Kind::Plain | Kind::Warning | Kind::Error | Kind::Script(_))
            || self.lines.len() == LINES
        {
            return;
        }
        let text = entry.render(false);
        // Of a traceback the last line says it.
        let line = if entry.kind == Kind::Error { text.lines().last() } else { text.lines().next() };
        let line: String = visible(line.unwrap_or_default()).chars().take(WIDTH).collect();
        self.lines.push((t_us, line));
    }

    /// The track of a video that begins and ends at these moments of the run.
    pub(super) fn track(&self, from_us: u64, end_us: u64) -> String {
        let mut track = "WEBVTT\n".to_owned();
        // Lines of one millisecond are one cue.
        let millisecond = |(t_us, _): &(u64, String)| t_us.saturating_sub(from_us) / 1_000;
        let mut before: Vec<&str> = Vec::new();
        let mut groups = self.lines.chunk_by(|one, other| millisecond(one) == millisecond(other)).peekable();
        while let Some(group) = groups.next() {
            before.extend(group.iter().map(|(_, line)| line.as_str()));
            before.drain(..before.len().saturating_sub(AT_ONCE));
            let start = group.first().map_or(0, millisecond);
            let end = groups
                .peek()
                .and_then(|next| next.first())
                .map_or(end_us.saturating_sub(from_us) / 1_000, millisecond);
            if end > start {
                // Writing to a string cannot fail.
                let _ =
                    write!(track, "\n{} --> {}\n{}\n", Stamp(start), Stamp(end), escaped(&before.join("\n")));
            }
        }
        track
    }
}

/// Milliseconds as WebVTT has them.
struct Stamp(u64);

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, ms) = (self.0 / 1_000, self.0 % 1_000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

/// Text in which nothing is markup, and no line ends the cue.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use driver_core::event::{Event, Level, Record};

    use super::Subtitles;
    use crate::transcript::Transcript;

    #[test]
    fn cues_follow_each_other_and_nothing_in_them_is_markup() {
        let mut subtitles = Subtitles::default();
        let mut transcript = Transcript::default();
        for (t_us, level, text) in [
            (500_000, Level::Info, "before the video"),
            (2_000_000, Level::Info, "a <b> --> c\n\n00:00.000 --> 99:00.000"),
            (2_000_300, Level::Debug, "not shown"),
            (62_000_000, Level::Error, "Traceback\nlast & least\u{1b}"),
        ] {
            let event = Event::Log { level, text: text.to_owned() };
            let record = Record { seq: 0, t_us, scope: 0, machine: None, event };
            subtitles.add(t_us, &transcript.entry(&record).unwrap());
        }
        assert_eq!(
            subtitles.track(1_000_000, 64_000_000),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nbefore the video\n\n\
             00:00:01.000 --> 00:01:01.000\nbefore the video\na &lt;b&gt; --&gt; c\n\n\
             00:01:01.000 --> 00:01:03.000\na &lt;b&gt; --&gt; c\n!!! last &amp; least\\u{1b}\n"
        );
    }
}
