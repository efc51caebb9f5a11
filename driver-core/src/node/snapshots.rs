//! Snapshots: a machine as it is at one moment, kept in its own directory, and going on from there as often as a test
//! likes.
//!
//! The backend keeps memory and disks. Here is what the guest has to do with it: folders of the host, whose server
//! keeps what no snapshot can hold, are unmounted meanwhile; the commands' channel is found again; the clock is set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::Node;
use super::command::excerpt;
use super::life::Running;
use crate::agent::Nobody;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::Level;
use crate::facet::Facet;
use crate::shell::{ShellOutput, quote};
use crate::spec::Boot;

/// What defines the functions that a guest's bash calls.
const FUNCTIONS: &str = include_str!("snapshots.bash");
/// The status that says that folders of the host are in use.
const BUSY: i32 = 3;
/// How long a machine may take to be written. Memory of many GiB goes to a slow disk as well.
const SAVE_LIMIT: Duration = Duration::from_secs(600);
/// How long a guest may take for its part of it: a moment's work, also where a host has no time for it.
const GUEST_LIMIT: Duration = Duration::from_secs(300);
/// Bytes of a name, at most: it becomes a part of a path.
const NAME_LIMIT: usize = 100;
/// Bytes of a guest's list of mounts, at most: guests are hostile.
const MOUNTS_LIMIT: usize = 64 << 10;

/// A snapshot, as far as it is not in the backend's files.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The backend's files.
    pub(super) dir: PathBuf,
    /// Whether commands went through the agent, which is in the guest's memory then.
    pub(super) has_agent: bool,
    allow_reboot: bool,
    /// The boot in which the guest was given its addresses.
    boot_id: String,
    mounts: Mounts,
}

/// The snapshots of one machine.
#[derive(Debug, Default)]
pub(super) struct Album {
    by_name: BTreeMap<String, Snapshot>,
    /// How many were begun: disks may go on needing the files of one that failed.
    begun: usize,
}

/// Folders of the host that the guest had mounted, as lines of its `/proc/mounts`: device, place, type and
/// options.
#[derive(Debug, Clone, Default)]
struct Mounts(String);

impl Node {
    /// Keeps the machine as it is, memory and disks, under a name, and lets it go on. Boots it first if it is off.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a name that is taken or no name, for a start script's machine, while a command runs
    /// in the guest or something there uses a folder of the host; [`DriverError::LacksFacet`] by backends that
    /// cannot; [`DriverError::Control`] when the hypervisor fails, and the guest goes on; as [`Node::connect`].
    pub async fn snapshot(&self, name: &str) -> Result<(), DriverError> {
        self.may_have_snapshots()?;
        check_name(name)?;
        self.step(format!("taking the snapshot {name}"), async {
            let running = self.connected().await?;
            let _changing = self.changing.lock().await;
            if let Some(command) = running.line.channel().busy_with() {
                return Err(DriverError::usage(format!(
                    "machine `{}` is running `{}`: a snapshot can be taken when no command is running (wait for its \
                     end, or start it as a service or with `&`)",
                    self.name(),
                    excerpt(&command)
                )));
            }
            let dir = self.new_folder(name)?;
            let mounts = self.unmount_shares(&running).await?;
            let saved = self.save(&running, &dir).await;
            // The guest goes on, saved or not.
            let mounted = match &saved {
                Err(DriverError::Exited { .. }) => Ok(()),
                _ => self.set_up(&running, mounts.script()).await,
            };
            saved.and(mounted)?;
            let snapshot = Snapshot {
                dir,
                has_agent: matches!(*running.line.channel(), Channel::Agent(_)),
                allow_reboot: running.allow_reboot,
                boot_id: running.boot_id(),
                mounts,
            };
            self.album().by_name.insert(name.to_owned(), snapshot);
            Ok(())
        })
        .await
    }

    /// Lets the machine go on from a snapshot: with its memory, its disks, and what ran in it. If the machine is on,
    /// it is ended first, as by [`Node::crash`]. The guest's clock is set to the host's.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when there is no such snapshot; as [`Node::start`] and [`Node::connect`].
    pub async fn restore(&self, name: &str) -> Result<(), DriverError> {
        self.may_have_snapshots()?;
        check_name(name)?;
        let snapshot = self.find_snapshot(name)?;
        self.step(format!("restoring the snapshot {name}"), async {
            let _changing = self.changing.lock().await;
            if let Some(running) = self.running() {
                running.ending.store(true, Ordering::SeqCst);
                running.machine.destroy().await;
                self.wait_for_shutdown(None).await?;
            }
            self.launch(snapshot.allow_reboot, Some(&snapshot)).await?;
            let running = self.must_run("be connected to")?;
            let limit = Deadline::after(self.config.boot_timeout);
            if let Channel::Shell(shell) = running.line.channel().as_ref() {
                let during = || "asking the shell whether it is there".to_owned();
                self.while_it_runs(&running, during, shell.ask_to_greet(limit)).await?;
            }
            self.greeted(&running, limit).await?;
            running.set_boot_id(&snapshot.boot_id);
            self.set_clock(&running).await?;
            self.set_up(&running, snapshot.mounts.script()).await?;
            self.reached_shell(&running);
            Ok(())
        })
        .await
    }

    fn may_have_snapshots(&self) -> Result<(), DriverError> {
        if matches!(self.config.boot, Boot::StartScript { .. }) {
            return Err(DriverError::usage(format!(
                "machine `{}` has a start script, and its disks are that script's own affair: no snapshot can be taken \
                 (describe the machine by kernel and disks)",
                self.name()
            )));
        }
        self.must_have(Facet::Snapshots)
    }

    fn album(&self) -> std::sync::MutexGuard<'_, Album> {
        self.album.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_snapshot(&self, name: &str) -> Result<Snapshot, DriverError> {
        let album = self.album();
        album.by_name.get(name).cloned().ok_or_else(|| {
            let known: Vec<String> = album.by_name.keys().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let machine = self.name();
            DriverError::usage(format!("machine `{machine}` has no snapshot `{name}` (it has {known})"))
        })
    }

    /// Makes the folder of a snapshot that is to be taken.
    fn new_folder(&self, name: &str) -> Result<PathBuf, DriverError> {
        let mut album = self.album();
        if album.by_name.contains_key(name) {
            return Err(DriverError::usage(format!(
                "machine `{}` has a snapshot `{name}` already, and they are never replaced (take another name)",
                self.name()
            )));
        }
        album.begun += 1;
        let dir = self.state_dir.join("snapshots").join(format!("{}-{name}", album.begun));
        std::fs::create_dir_all(&dir).map_err(|source| DriverError::File {
            operation: "make the folder",
            path: dir.display().to_string(),
            source,
        })?;
        Ok(dir)
    }

    async fn save(&self, running: &Running, dir: &std::path::Path) -> Result<(), DriverError> {
        let facet = running.machine.snapshots().ok_or_else(|| self.lacks(Facet::Snapshots))?;
        let saving = facet.save(dir, self.context.deadline.at_most(SAVE_LIMIT));
        self.while_it_runs(running, || "taking a snapshot".to_owned(), saving).await
    }

    /// Runs functions of [`FUNCTIONS`] in the guest.
    async fn run_function(&self, running: &Running, calls: &str) -> Result<ShellOutput, DriverError> {
        let script = format!("{FUNCTIONS}{calls}\n");
        let channel = running.line.channel();
        let mut nobody = Nobody;
        let limit = self.context.deadline.at_most(GUEST_LIMIT);
        let run = channel.run(&script, None, self.context.grace, limit, &mut nobody);
        self.while_it_runs(running, || format!("running `{}`", excerpt(calls)), run).await
    }

    async fn unmount_shares(&self, running: &Running) -> Result<Mounts, DriverError> {
        let output = self.run_function(running, "unmount_all").await?;
        let text = String::from_utf8_lossy(&output.stdout);
        match output.status {
            0 if text.len() <= MOUNTS_LIMIT => Ok(Mounts(text.into_owned())),
            BUSY => Err(DriverError::usage(format!(
                "machine `{}`: no snapshot can be taken while something in the guest uses a folder of the host ({})",
                self.name(),
                excerpt(&text.lines().collect::<Vec<_>>().join(", "))
            ))),
            status => Err(DriverError::assertion(format!(
                "machine `{}`: the folders of the host could not be unmounted in the guest (exit code {status}): {}",
                self.name(),
                excerpt(&text)
            ))),
        }
    }

    /// Runs calls that say something only when they fail.
    async fn set_up(&self, running: &Running, calls: String) -> Result<(), DriverError> {
        if calls.is_empty() {
            return Ok(());
        }
        let output = self.run_function(running, &calls).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        if said.is_empty() {
            return Ok(());
        }
        let machine = self.name();
        Err(DriverError::assertion(format!(
            "machine `{machine}`: folders of the host could not be mounted again in the guest: {}",
            excerpt(&said)
        )))
    }

    async fn set_clock(&self, running: &Running) -> Result<(), DriverError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let output = self.run_function(running, &format!("set_clock {:.3}", now.as_secs_f64())).await?;
        if !output.stdout.is_empty() {
            let text =
                format!("the guest goes on from a snapshot: {}", String::from_utf8_lossy(&output.stdout));
            self.context.journal.log(Level::Warning, Some(self.name()), excerpt(&text));
        }
        Ok(())
    }
}

impl Mounts {
    /// What mounts them again.
    fn script(&self) -> String {
        let mut script = String::new();
        for line in self.0.lines() {
            let words: Vec<String> = line.split(' ').map(quote).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(script, "mount_again {}", words.join(" "));
        }
        script
    }
}

fn check_name(name: &str) -> Result<(), DriverError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.is_empty() && name.len() <= NAME_LIMIT && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(DriverError::usage(format!(
        "`{}` cannot be the name of a snapshot (1 to {NAME_LIMIT} of letters, digits, `-`, `_` and `.`)",
        excerpt(name)
    )))
}
