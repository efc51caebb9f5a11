//! What the machine's screen shows over time. It is looked at once a second (0.7 % of a processor, with QEMU's text
//! screen): the last picture outlives the machine, and is evidence then; for a video each that differs is kept. Waits
//! for the screen take pictures of their own ([`super::sight`]): theirs are raw, to be read at once, and these are
//! packed, to be kept. Each would only have to convert what the other has.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Node;
use super::life::ended;
use crate::deadline::Deadline;
use crate::driver::Context;
use crate::event::{Event, Level};
use crate::evidence::{EvidencePolicy, make_folder};
use crate::journal::in_scope;
use crate::machine::{Exit, Machine, Screen};

/// The folder of the result directory that frames go to.
const FOLDER: &str = "frames";
/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Changes of the screen after which the pauses are twice as long: a test of an hour has some twelve hundred.
const DENSE: u32 = 300;
/// The longest pause, as a power of two.
const SPARSEST: u32 = 6;
/// Bytes of one picture, and of all pictures of a machine.
const ONE: u64 = 16 << 20;
const ALL: u64 = 128 << 20;

/// What was seen of one machine's screen, over all its launches.
#[derive(Debug)]
pub(super) struct Film {
    name: String,
    /// Where pictures are made.
    place: PathBuf,
    context: Arc<Context>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Vec<u8>, Instant)>,
    /// The hash of what the screen shows.
    shown: Option<u64>,
    /// The pictures that are kept, by their hashes: a cursor that blinks needs two.
    kept: HashMap<u64, String>,
    bytes: u64,
    changes: u32,
}

impl Node {
    /// Looks at the screen of a launch until that ends, in a task of its own, if anybody may want to see it.
    pub(super) fn film(&self, machine: Arc<dyn Machine>, mut exit: watch::Receiver<Option<Exit>>) {
        let wanted = self.context.video || self.context.evidence != EvidencePolicy::None;
        if !wanted || machine.screen().is_none() {
            return;
        }
        let film = Arc::clone(&self.film);
        tokio::spawn(in_scope(0, async move {
            let Some(screen) = machine.screen() else { return };
            tokio::select! {
                _ = ended(&mut exit) => {}
                () = film.follow(screen) => {}
            }
        }));
    }
}

impl Film {
    pub(super) fn new(name: &str, state_dir: &std::path::Path, context: &Arc<Context>) -> Self {
        let place = state_dir.join("film.png");
        Self { name: name.to_owned(), place, context: Arc::clone(context), state: Mutex::default() }
    }

    /// The last picture, and its age.
    pub(super) fn last(&self) -> Option<(Vec<u8>, Duration)> {
        self.lock().last.as_ref().map(|(frame, seen)| (frame.clone(), seen.elapsed()))
    }

    async fn follow(&self, screen: &dyn Screen) {
        loop {
            let doubled = (self.lock().changes / DENSE).min(SPARSEST);
            tokio::time::sleep(PAUSE * 2_u32.pow(doubled)).await;
            // What keeps a picture from being taken now may be over the next time.
            if screen.capture(&self.place, Deadline::after(LOOK_LIMIT)).await.is_ok()
                && let Ok(Some(frame)) = self.fetch().await
            {
                self.see(frame);
            }
        }
    }

    /// The picture that was made.
    async fn fetch(&self) -> std::io::Result<Option<Vec<u8>>> {
        let size = tokio::fs::metadata(&self.place).await?.len();
        if size > ONE {
            return Ok(None);
        }
        tokio::fs::read(&self.place).await.map(Some)
    }

    fn see(&self, frame: Vec<u8>) {
        let mut hasher = DefaultHasher::new();
        frame.hash(&mut hasher);
        let hash = hasher.finish();
        let mut state = self.lock();
        if self.context.video
            && state.shown != Some(hash)
            && let Some(path) = self.keep(&mut state, hash, &frame)
        {
            self.context.journal.emit(Some(&self.name), Event::Frame { path });
            state.changes += 1;
            state.shown = Some(hash);
        }
        state.last = Some((frame, Instant::now()));
    }

    /// Where the picture is kept; `None` when it is not.
    fn keep(&self, state: &mut State, hash: u64, frame: &[u8]) -> Option<String> {
        if let Some(path) = state.kept.get(&hash) {
            return Some(path.clone());
        }
        let bytes = state.bytes.saturating_add(frame.len() as u64);
        if bytes > ALL {
            if state.bytes <= ALL {
                let text = format!("what its screen shows beyond {} MiB of pictures is not kept", ALL >> 20);
                self.context.journal.log(Level::Warning, Some(&self.name), text);
                state.bytes = u64::MAX;
            }
            return None;
        }
        let path = format!("{FOLDER}/{}.{:04}.png", self.name, state.kept.len() + 1);
        let file = self.context.out_dir.join(&path);
        let written = make_folder(&self.context.out_dir.join(FOLDER)).and_then(|()| fs::write(file, frame));
        if let Err(error) = written {
            tracing::debug!(path, %error, "a frame is not kept");
            return None;
        }
        state.bytes = bytes;
        state.kept.insert(hash, path.clone());
        Some(path)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
