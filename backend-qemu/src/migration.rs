//! QEMU's migration, to a file and from it.
//!
//! The commands are written out here rather than taken from `qapi-qmp`, whose types know only the words of their own
//! QEMU: a newer one has more capabilities, and more states of a migration.

use std::path::Path;
use std::time::Duration;

use driver_core::{Deadline, quote};
use qapi_spec::{Command, Empty};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::control::{Control, ControlError};

/// How often QEMU is asked how far it is: small guests take less than a tenth of a second.
const LOOK: Duration = Duration::from_millis(5);
/// Memory as it lies in the guest, so that several threads can write it at once; since QEMU 9.0.
const CAPABILITIES: [&str; 2] = ["mapped-ram", "multifd"];
/// Threads.
const CHANNELS: u8 = 4;
/// Bytes per second; QEMU's own limit is one of networks.
const BANDWIDTH: u64 = 1 << 40;

/// Why memory was not saved or loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The control channel says.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// QEMU tried.
    #[error("the migration ended as `{status}`{}", .words.as_ref().map_or_else(String::new, |it| format!(": {it}")))]
    Migration { status: String, words: Option<String> },
    /// QEMU tries.
    #[error("QEMU was not done within {limit:?}")]
    TooSlow { limit: Duration },
    /// A path that QMP cannot name.
    #[error("`{path}` is not UTF-8")]
    Path { path: String },
}

/// How far a migration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is none.
    None,
    /// It goes on.
    UnderWay,
    /// It is done.
    Done,
    /// It came to nothing.
    Failed { status: String, words: Option<String> },
}

/// Writes memory and devices of a stopped guest into `file`.
pub(crate) async fn save(control: &Control, file: &Path, within: Deadline) -> Result<(), Failure> {
    let uri = if prepare(control, within).await? {
        format!("file:{}", utf8(file)?)
    } else {
        // Not every QEMU that lacks the capabilities can write files.
        format!("exec:cat >{}", quote(utf8(file)?))
    };
    control.execute(Migrate { uri }, within).await?;
    end(control, within).await
}

/// Reads what [`save`] wrote into a QEMU that was started with `-incoming defer`; its guest stands still.
pub(crate) async fn load(control: &Control, file: &Path, within: Deadline) -> Result<(), Failure> {
    let uri = if prepare(control, within).await? {
        format!("file:{}", utf8(file)?)
    } else {
        format!("exec:cat {}", quote(utf8(file)?))
    };
    control.execute(MigrateIncoming { uri }, within).await?;
    end(control, within).await
}

/// Chooses the fastest way that this QEMU has; `true` for the one by [`CAPABILITIES`].
async fn prepare(control: &Control, within: Deadline) -> Result<bool, Failure> {
    let known = control.execute(QueryCapabilities {}, within).await?;
    let has = |name: &&str| known.iter().any(|it| it.capability == **name);
    let is_mapped = CAPABILITIES.iter().all(has);
    if is_mapped {
        let wanted = CAPABILITIES.map(|name| Capability { capability: name.to_owned(), state: true });
        control.execute(SetCapabilities { capabilities: wanted.into() }, within).await?;
        control.execute(SetChannels { channels: CHANNELS }, within).await?;
    }
    control.execute(SetBandwidth { bandwidth: BANDWIDTH }, within).await?;
    Ok(is_mapped)
}

/// Waits for the end of a migration.
async fn end(control: &Control, within: Deadline) -> Result<(), Failure> {
    loop {
        match progress(control, within).await? {
            Progress::Done => return Ok(()),
            Progress::Failed { status, words } => return Err(Failure::Migration { status, words }),
            Progress::None | Progress::UnderWay if within.is_over() => {
                return Err(Failure::TooSlow { limit: within.limit() });
            }
            Progress::None | Progress::UnderWay => sleep(LOOK).await,
        }
    }
}

/// How far the last migration is.
pub(crate) async fn progress(control: &Control, within: Deadline) -> Result<Progress, Failure> {
    let Information { status, words } = control.execute(QueryMigrate {}, within).await?;
    Ok(match status.as_deref() {
        None | Some("none") => Progress::None,
        Some("completed") => Progress::Done,
        Some(status @ ("failed" | "cancelled")) => Progress::Failed { status: status.to_owned(), words },
        // There are many steps on the way, and newer versions have more.
        Some(_) => Progress::UnderWay,
    })
}

/// Ends a migration before its end.
pub(crate) async fn give_up(control: &Control, within: Deadline) -> Result<(), Failure> {
    control.execute(qapi_qmp::migrate_cancel {}, within).await?;
    match end(control, within).await {
        Err(Failure::Migration { .. }) => Ok(()),
        other => other,
    }
}

fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::Path { path: path.display().to_string() })
}

/// A QMP command with its name and the type of its answer.
macro_rules! command {
    ($type:ident, $name:literal, $answer:ty) => {
        impl Command for $type {
            type Ok = $answer;
            const NAME: &'static str = $name;
            const ALLOW_OOB: bool = false;
        }
    };
}

#[derive(Debug, Serialize)]
struct QueryCapabilities {}
command!(QueryCapabilities, "query-migrate-capabilities", Vec<Capability>);

#[derive(Debug, Serialize, Deserialize)]
struct Capability {
    capability: String,
    state: bool,
}

#[derive(Debug, Serialize)]
struct SetCapabilities {
    capabilities: Vec<Capability>,
}
command!(SetCapabilities, "migrate-set-capabilities", Empty);

#[derive(Debug, Serialize)]
struct SetChannels {
    #[serde(rename = "multifd-channels")]
    channels: u8,
}
command!(SetChannels, "migrate-set-parameters", Empty);

#[derive(Debug, Serialize)]
struct SetBandwidth {
    #[serde(rename = "max-bandwidth")]
    bandwidth: u64,
}
command!(SetBandwidth, "migrate-set-parameters", Empty);

#[derive(Debug, Serialize)]
struct Migrate {
    uri: String,
}
command!(Migrate, "migrate", Empty);

#[derive(Debug, Serialize)]
struct MigrateIncoming {
    uri: String,
}
command!(MigrateIncoming, "migrate-incoming", Empty);

#[derive(Debug, Serialize)]
struct QueryMigrate {}
command!(QueryMigrate, "query-migrate", Information);

#[derive(Debug, Deserialize)]
struct Information {
    status: Option<String>,
    #[serde(rename = "error-desc")]
    words: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use driver_core::Deadline;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixStream;

    use super::{Failure, save};
    use crate::control::Control;

    /// Saves with a QEMU that has these capabilities and tells these states. Returns where it was told to write.
    async fn saved(capabilities: Value, states: &[Value]) -> (Result<(), Failure>, Value) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (control, _events) = Control::start(ours);
        let (input, mut output) = theirs.into_split();
        let mut states = states.iter();
        let mut uri = Value::Null;
        let qemu = async {
            let mut commands = BufReader::new(input).lines();
            while let Ok(Some(line)) = commands.next_line().await {
                let command: Value = serde_json::from_str(&line).unwrap();
                let answer = match command["execute"].as_str().unwrap() {
                    "query-migrate-capabilities" => capabilities.clone(),
                    "query-migrate" => states.next().unwrap().clone(),
                    "migrate" => {
                        uri = command["arguments"]["uri"].clone();
                        json!({})
                    }
                    _ => json!({}),
                };
                let answer = json!({"return": answer, "id": command["id"]});
                output.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
            }
        };
        let within = Deadline::after(Duration::from_secs(30));
        let result = tokio::select! {
            result = save(&control, Path::new("/run/it's/state"), within) => result,
            () = qemu => unreachable!("QEMU listens to the end"),
        };
        (result, uri)
    }

    fn capabilities(names: &[&str]) -> Value {
        names.iter().map(|name| json!({"capability": name, "state": false})).collect()
    }

    #[tokio::test]
    async fn a_newer_qemu_may_have_more_words() {
        let known = capabilities(&["mapped-ram", "of-the-future", "multifd"]);
        let states = [json!({}), json!({"status": "of-the-future"}), json!({"status": "completed", "x": 1})];
        let (result, uri) = saved(known, &states).await;
        result.unwrap();
        assert_eq!(uri, "file:/run/it's/state");
    }

    #[tokio::test]
    async fn an_older_qemu_has_a_program_write() {
        let (result, uri) = saved(capabilities(&["multifd"]), &[json!({"status": "completed"})]).await;
        result.unwrap();
        assert_eq!(uri, format!("exec:cat >{}", driver_core::quote("/run/it's/state")));
    }

    #[tokio::test]
    async fn a_failure_has_qemus_own_words() {
        let failed = json!({"status": "failed", "error-desc": "No space left on device"});
        let (result, _) = saved(capabilities(&[]), &[failed]).await;
        let error = result.unwrap_err().to_string();
        assert_eq!(error, "the migration ended as `failed`: No space left on device");
    }
}
