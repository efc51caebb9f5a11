//! Evidence: what somebody wants to see the morning after a failure, gathered while the machines still run. It takes
//! a short time, is bounded in size, and never touches the verdict: what cannot be had is left out, and the log says
//! why.

mod host;
pub(crate) use host::free;

use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::deadline::Deadline;
use crate::driver::Driver;
use crate::error::DriverError;
use crate::event::{Event, FileKind, Level};

/// The folder of the result directory that evidence goes to.
const FOLDER: &str = "evidence";

/// What is gathered after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvidencePolicy {
    /// Nothing.
    None,
    /// What is cheap: screens, what guests say of themselves, the hypervisors' transcripts, the host's load.
    #[default]
    Failure,
    /// That, and images of the guests' memory.
    Full,
}

impl EvidencePolicy {
    /// The time that gathering may take, images of memory not counted, where nobody waits for the run's end.
    pub const LIMIT: Duration = Duration::from_secs(15);

    /// The policies by their names in flags and manifests.
    pub const NAMES: [(&str, Self); 3] =
        [("none", Self::None), ("failure", Self::Failure), ("full", Self::Full)];
}

impl Driver {
    /// Gathers the evidence that the run's configuration asks for, in `limit` (and what images of memory take).
    /// Called when the run has failed, and before [`Driver::shut_down`]; also after [`Driver::cancel`].
    pub async fn gather_evidence(&self, limit: Duration) {
        if self.evidence() == EvidencePolicy::None {
            return;
        }
        let gathering = self.journal().step(None, "gathering evidence", None, async {
            self.gather(Deadline::after(limit)).await;
            Ok(())
        });
        // A bug in here must not cost the run its end; the panic has told of itself.
        drop(AssertUnwindSafe(gathering).catch_unwind().await);
    }

    async fn gather(&self, within: Deadline) {
        let folder = self.out_dir().join(FOLDER);
        if let Err(source) = make_folder(&folder) {
            let path = folder.display().to_string();
            let error = DriverError::File { operation: "make", path, source };
            self.journal().log(Level::Warning, None, format!("no evidence can be kept: {}", error.chain()));
            return;
        }
        let pids: Vec<(&str, u32)> =
            self.nodes().iter().filter_map(|node| Some((node.name(), node.process_id()?))).collect();
        let host = host::look(self.out_dir(), &pids);
        self.journal().log(Level::Info, None, host.in_short);
        match fs::write(folder.join("host.txt"), host.text) {
            Ok(()) => {
                let path = format!("{FOLDER}/host.txt");
                self.journal().emit(None, Event::FileSaved { kind: FileKind::Evidence, path });
            }
            Err(error) => self.journal().log(Level::Warning, None, format!("evidence/host.txt: {error}")),
        }
        join_all(self.nodes().iter().map(|node| node.keep_evidence(&folder, within))).await;
        if self.evidence() == EvidencePolicy::Full {
            // One after the other: each looks how much room the last one has left.
            for node in self.nodes() {
                node.keep_memory(&folder).await;
            }
        }
    }
}

/// Makes a folder of the result directory. Not the directory itself: if that is gone, so is the result, and nothing
/// must look as if it were there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}
