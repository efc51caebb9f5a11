//! Rules on the beginning and the end of machines: one that is asked to power off, and one that is destroyed.

use std::sync::Arc;
use std::time::Duration;

use super::log::Recorder;
use super::running::Guest;
use super::{Findings, hold, running};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::{Backend, ExitReason, Machine};
use crate::spec::MachineSpec;

/// How long the end of a machine may take after it was destroyed.
const END: Duration = Duration::from_secs(10);

/// A file of the guest's that only its disk can carry from one launch to the next.
const MARK: &str = "\"$HOME/innkeeper-contract\"";

const DISK: &str = "a machine that is launched again finds its disks as it left them";

pub(super) async fn check(
    backend: &dyn Backend,
    spec: &MachineSpec,
    boot: Duration,
    findings: &mut Findings,
) {
    let has_disk = !spec.boot.disks().is_empty();
    let Some(first) = Launch::new(backend, spec, boot, findings).await else { return };
    running::check(backend, &first.machine, &first.guest, boot, findings).await;
    let written = first.guest.succeed(&format!("echo kept >{MARK}; sync {MARK}")).await;
    findings.add("request_shutdown makes the guest power off", first.powers_off(boot).await);
    first.check_end(findings, "a guest that powered off");

    let Some(second) = Launch::new(backend, spec, boot, findings).await else { return };
    if has_disk {
        let read = async {
            written?;
            let text = second.guest.succeed(&format!("cat {MARK}")).await?;
            hold(text == "kept\n", || format!("the file reads {text:?}"))
        };
        findings.add(DISK, read.await);
    } else {
        findings.skip(DISK, "the description names no disks");
    }
    findings.add("destroy ends the machine, also for all who wait for that", second.is_destroyed().await);
    second.check_end(findings, "a destroyed machine");
    findings.add("a machine that is gone can be destroyed again", {
        let again = tokio::time::timeout(END, second.machine.destroy()).await;
        again.map_err(|_| format!("destroy did not return within {END:?}"))
    });
}

/// A machine that has been launched.
struct Launch {
    machine: Arc<dyn Machine>,
    log: Arc<Recorder>,
    guest: Guest,
}

impl Launch {
    async fn new(
        backend: &dyn Backend,
        spec: &MachineSpec,
        boot: Duration,
        findings: &mut Findings,
    ) -> Option<Self> {
        let log = Arc::new(Recorder::default());
        let within = Deadline::after(boot);
        let launched = backend.launch(spec, Arc::clone(&log) as _, within).await;
        let machine = match launched {
            Ok(machine) => machine,
            Err(error) => {
                findings.add("a machine can be launched", Err(error.chain()));
                return None;
            }
        };
        let booted = Guest::new(machine.as_ref(), within).await;
        let result = booted.as_ref().map(|_| ()).map_err(Clone::clone);
        findings.add("a machine can be launched, its ports opened, and its shell comes up", result);
        match booted {
            Ok(guest) => Some(Self { machine, log, guest }),
            Err(_) => {
                machine.destroy().await;
                None
            }
        }
    }

    async fn powers_off(&self, boot: Duration) -> Result<(), String> {
        let within = Deadline::after(boot);
        self.machine.request_shutdown(within).await.map_err(|error| error.chain())?;
        match self.machine.wait_exit(within).await {
            Ok(exit) => hold(exit.reason == ExitReason::GuestShutdown, || {
                format!("wait_exit says that {exit}, not that the guest powered off")
            }),
            Err(error) => {
                self.machine.destroy().await;
                Err(error.chain())
            }
        }
    }

    async fn is_destroyed(&self) -> Result<(), String> {
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let machine = Arc::clone(&self.machine);
                tokio::spawn(async move { machine.wait_exit(Deadline::after(END * 2)).await })
            })
            .collect();
        let destroyed = tokio::time::timeout(END, self.machine.destroy()).await;
        destroyed.map_err(|_| format!("destroy did not return within {END:?}"))?;
        let late = self.machine.wait_exit(Deadline::after(END)).await;
        let mut ends = vec![late];
        for waiter in waiters {
            ends.push(waiter.await.map_err(|error| error.to_string())?);
        }
        for end in ends {
            let exit = end.map_err(|error| error.chain())?;
            hold(exit.reason == ExitReason::Destroyed, || {
                format!("wait_exit says that {exit}, not that the driver ended it")
            })?;
        }
        Ok(())
    }

    /// Rules that hold for every end.
    fn check_end(&self, findings: &mut Findings, which: &str) {
        const GROUPS: &str =
            "the process groups of a machine are guarded from the start and released at the end";
        const NOTHING: &str = "no process is left of a machine that has ended";
        let groups = self.log.groups();
        if groups.is_empty() && self.machine.process_id().is_none() {
            findings.skip(GROUPS, "the machine has no process of its own");
            findings.skip(NOTHING, "the machine has no process of its own");
            return;
        }
        let guarded =
            hold(!groups.is_empty(), || format!("{which} had no group named to its log")).and_then(|()| {
                match groups.iter().find(|group| !group.was_alive || !group.released) {
                    None => Ok(()),
                    Some(group) if !group.was_alive => Err(format!(
                        "nobody was in the group {} when the log was told of it ({which})",
                        group.id
                    )),
                    Some(group) => Err(format!("the group {} was not released ({which})", group.id)),
                }
            });
        findings.add(GROUPS, guarded);
        let left = groups.iter().find(|group| group.is_alive());
        findings.add(
            NOTHING,
            left.map_or(Ok(()), |group| Err(format!("the group {} lives on ({which})", group.id))),
        );
    }
}

/// The error of a call that should have failed.
pub(super) fn refused<T>(result: Result<T, DriverError>) -> Result<DriverError, String> {
    result.err().ok_or_else(|| "it is accepted".to_owned())
}
