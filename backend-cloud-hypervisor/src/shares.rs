//! Directories of the host that the guest can mount, by virtio-fs: a virtiofsd for each, in the machine's process
//! group.
//!
//! A server ends with its connection, and the program makes a new one when the guest reboots. So the sockets are ours,
//! and the next server takes the next connection.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use backend_kit::console::relay_errors;
use backend_kit::ending::GRACE;
use backend_kit::last_words::Source;
use backend_kit::port::check_path;
use backend_kit::process::Group;
use driver_core::{MachineLog, MachineSpec};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::config::Options;

/// A directory that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// The name to mount it by.
    pub(crate) tag: String,
    /// The directory.
    directory: PathBuf,
}

impl Share {
    /// What makes a guest's systemd (254 and later) mount it where the guests of other backends have it.
    pub(crate) fn mount(&self) -> String {
        format!("systemd.mount-extra={0}:/tmp/{0}:virtiofs", self.tag)
    }
}

/// What a machine shares: its shares, and then the directory that all machines have in common as well. Nothing where
/// nobody asks for any, since not every host has a virtiofsd.
pub(crate) fn of(spec: &MachineSpec, options: &Options) -> Vec<Share> {
    if spec.shares.is_empty() && options.virtiofsd.is_none() {
        return Vec::new();
    }
    let common = Share { tag: "shared".to_owned(), directory: spec.shared_dir.clone() };
    let own = spec.shares.iter().map(|it| Share { tag: it.tag.clone(), directory: it.path.clone() });
    std::iter::once(common).chain(own).collect()
}

/// What serves the shares of a machine.
pub(crate) struct Servers {
    pub(crate) program: PathBuf,
    pub(crate) group: Arc<Group>,
    pub(crate) log: Arc<dyn MachineLog>,
}

impl Servers {
    /// Serves a share at `socket` until the machine has ended.
    pub(crate) fn serve(self: &Arc<Self>, share: &Share, socket: &Path) -> io::Result<()> {
        check_path(socket)?;
        let listener = OwnedFd::from(UnixListener::bind(socket)?);
        // Here, so that a program that cannot be started is told.
        let first = self.start(share, &listener)?;
        let (servers, share) = (Arc::clone(self), share.clone());
        tokio::spawn(async move { servers.stand_by(&share, listener, first).await });
        Ok(())
    }

    fn start(&self, share: &Share, listener: &OwnedFd) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        // Never a cache, as host and guest both write.
        command.args(["--fd=0", "--cache=never", "--log-level=warn", "--shared-dir"]).arg(&share.directory);
        command.stdin(listener.try_clone()?).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.process_group(self.group.id().cast_signed()).kill_on_drop(true).spawn()?;
        if let Some(errors) = child.stderr.take() {
            let (log, words) = (Arc::clone(&self.log), Arc::clone(self.group.words()));
            self.group.read_with(|readers| readers.spawn(relay_errors(errors, "virtiofsd", log, words)));
        }
        Ok(child)
    }

    async fn stand_by(&self, share: &Share, listener: OwnedFd, mut server: Child) {
        let problem = loop {
            let ended = tokio::select! {
                biased;
                _ = self.group.ended() => return,
                ended = server.wait() => ended,
            };
            match ended {
                Ok(status) if !status.success() => break format!("ended with {status}"),
                Err(error) => break format!("cannot be waited for: {error}"),
                // Its connection is closed: the guest reboots, or the program has ended.
                Ok(_) => match self.start(share, &listener) {
                    Ok(next) => server = next,
                    Err(error) => break format!("cannot be started again: {error}"),
                },
            }
        };
        // What ended with the machine is no news. A guest without its share would wait for it, and say nothing.
        if timeout(GRACE, self.group.ended()).await.is_err() {
            let last = format!("its share `{}` is gone: virtiofsd {problem}", share.tag);
            self.group.words().add(Source::Errors, last);
            self.group.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use driver_core::{Boot, MachineSpec};
    use serde_json::{Value, json};

    use super::of;
    use crate::config::Options;

    #[test]
    fn nothing_is_shared_unless_somebody_asks_for_it() {
        let boot = Boot::Firmware { disks: Vec::new() };
        let mut spec = MachineSpec::new("web", boot, 512, "/run/web", "/run/shared");
        let tags = |spec: &MachineSpec, table: Value| {
            let shares = of(spec, &Options::parse(&table, "web").unwrap());
            shares.into_iter().map(|share| share.tag).collect::<Vec<_>>()
        };
        assert_eq!(tags(&spec, json!({})), [""; 0]);
        assert_eq!(tags(&spec, json!({ "virtiofsd": "virtiofsd" })), ["shared"]);
        spec.shares = vec![driver_core::Share { tag: "data".to_owned(), path: "/data".into() }];
        assert_eq!(tags(&spec, json!({})), ["shared", "data"]);
    }
}
