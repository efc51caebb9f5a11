//! What screens showed over time: the frames that the run has kept, for the page to leaf through.

use serde_json::json;

use crate::escape::visible;
use crate::html::pictures::{Pictures, address_inside};
use crate::html::{Story, moment};
use crate::video;

/// The film of one machine.
pub(super) struct Film {
    pub(super) machine: String,
    /// The last frame.
    pub(super) source: String,
    pub(super) at: String,
    /// How often the screen changed.
    pub(super) changes: usize,
    /// Pictures, and when which of them was shown, in JSON.
    pub(super) frames: String,
    /// The files of the video.
    pub(super) video: Option<String>,
    pub(super) subtitles: Option<String>,
}

/// The films of all machines, with their pictures inside the page as far as there is room.
pub(super) fn of(story: &Story, inside: &mut Pictures<'_>) -> Vec<Film> {
    let mut films = Vec::new();
    for (machine, shots) in &story.frames {
        let mut sources: Vec<String> = Vec::new();
        let mut known: Vec<&str> = Vec::new();
        let mut frames = Vec::new();
        for (seq, shot) in shots {
            let index = known.iter().position(|path| *path == shot.path).or_else(|| {
                let link = address_inside(&shot.path)?;
                known.push(&shot.path);
                sources.push(inside.take(&shot.path).unwrap_or(link));
                Some(known.len() - 1)
            });
            frames.extend(index.map(|index| (moment(shot.t_us), index, *seq, shot.t_us / 1_000)));
        }
        let (Some(last), Some((_, shot))) = (frames.last(), shots.last()) else { continue };
        films.push(Film {
            machine: visible(machine).into_owned(),
            source: sources[last.1].clone(),
            at: moment(shot.t_us),
            changes: frames.len(),
            frames: json!({ "sources": sources, "frames": frames }).to_string(),
            subtitles: address_inside(&video::subtitles_of(machine)),
            video: address_inside(&video::path_of(machine)),
        });
    }
    films
}
