//! The processes of one machine: a hypervisor, or a start script with whatever it starts. They form a process
//! group, and end as one.

use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driver_core::MachineLog;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::last_words::LastWords;

/// How long to wait for what follows a death: the other processes of the group, the rest in the pipes.
const AFTERMATH: Duration = Duration::from_millis(500);

/// A running process group. Dropping it kills the group without waiting.
#[derive(Debug)]
pub struct Process {
    group: Arc<Group>,
}

/// What the tasks around a process share.
#[derive(Debug)]
pub struct Group {
    pgid: Pid,
    /// Whether the number is still ours. Locked while a signal is sent, so that none goes to a stranger.
    alive: Mutex<bool>,
    status: watch::Receiver<Option<ExitStatus>>,
    words: Arc<LastWords>,
    /// The tasks that read the pipes.
    readers: TaskTracker,
}

impl Process {
    /// Starts `command` in a group of its own. `attach` takes its streams, as the command has set them up; what it
    /// spawns on the tracker is waited for before the last words are told.
    ///
    /// # Errors
    /// Those of the start, and those of `attach`.
    pub fn spawn<T>(
        mut command: Command,
        log: &Arc<dyn MachineLog>,
        attach: impl FnOnce(&mut Child, &Arc<LastWords>, &TaskTracker) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let mut child = command.process_group(0).spawn()?;
        let pgid = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| io::Error::other("the process ended before it began"))?;
        log.guard_group(pgid.as_raw_pid().cast_unsigned());

        let words = Arc::new(LastWords::default());
        let readers = TaskTracker::new();
        let attached = attach(&mut child, &words, &readers)?;
        readers.close();
        let (publish, status) = watch::channel(None);
        let group = Arc::new(Group { pgid, alive: Mutex::new(true), status, words, readers });
        tokio::spawn(reap(child, Arc::clone(&group), Arc::clone(log), publish));
        Ok((Self { group }, attached))
    }

    /// The handle for tasks that outlive the machine.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.kill();
    }
}

impl Group {
    /// The number of the first process, and of the group.
    pub fn id(&self) -> u32 {
        self.pgid.as_raw_pid().cast_unsigned()
    }

    /// Starts what reads a stream of the processes' beyond those that they were started with.
    pub fn read_with<T>(&self, start: impl FnOnce(&TaskTracker) -> T) -> T {
        start(&self.readers)
    }

    /// What the processes said.
    pub fn words(&self) -> &Arc<LastWords> {
        &self.words
    }

    /// Kills all processes of the group.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends a signal to all processes of the group.
    pub fn signal(&self, signal: Signal) {
        self.send(signal, kill_process_group);
    }

    /// Sends a signal to the process that was started, and not to its own.
    pub fn signal_first(&self, signal: Signal) {
        self.send(signal, kill_process);
    }

    fn send(&self, signal: Signal, send: impl Fn(Pid, Signal) -> rustix::io::Result<()>) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive
            && let Err(error) = send(self.pgid, signal)
            && error != Errno::SRCH
        {
            tracing::error!(pgid = self.id(), ?signal, %error, "failed to signal a process group");
        }
    }

    /// Waits until the group has ended, and returns how its first process did.
    pub async fn ended(&self) -> ExitStatus {
        let mut status = self.status.clone();
        match status.wait_for(Option::is_some).await.map(|status| *status) {
            Ok(Some(status)) => status,
            // Only a runtime that is shutting down drops the task that reaps.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until the group has ended by itself, and kills it when that takes longer than `grace`.
    pub async fn end_within(&self, grace: Duration) -> ExitStatus {
        if let Ok(status) = timeout(grace, self.ended()).await {
            return status;
        }
        self.kill();
        self.ended().await
    }

    /// The last words, once the pipes are empty.
    pub async fn final_words(&self) -> Vec<String> {
        // Who has left the group may hold a pipe open for ever.
        let _ = timeout(AFTERMATH, self.readers.wait()).await;
        self.words.lines()
    }

    /// Waits until no process of the group is left, zombies that somebody else has to reap included. One may be joining
    /// it just now.
    async fn vanished(&self) {
        let started = Instant::now();
        while kill_process_group(self.pgid, Signal::KILL).is_ok() && started.elapsed() < AFTERMATH {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn reap(
    mut child: Child,
    group: Arc<Group>,
    log: Arc<dyn MachineLog>,
    publish: watch::Sender<Option<ExitStatus>>,
) {
    let status = match child.wait().await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!(%error, "failed to wait for a process");
            return;
        }
    };
    // The end of the first process is the end of them all, whatever a script has left behind.
    group.kill();
    group.vanished().await;
    *group.alive.lock().unwrap_or_else(PoisonError::into_inner) = false;
    log.release_group(group.id());
    // Nobody may be left who waits.
    let _ = publish.send(Some(status));
}
