//! A plugin's machine as a [`Machine`], and its facets.

use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use driver_core::{
    Deadline, DriverError, Exit, GuestPort, GuestStream, Key, Keyboard, Machine, Monitor, Pointer,
    PointerAct, Power, Screen,
};
use plugin_abi::{Buf, LogTable, PORT_BULK, PORT_CONSOLE, PORT_SHELL, Status, Str};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{SocketType, sockopt};
use tokio::net::UnixStream;

use crate::backend::{Facets, Instance, JSON_LIMIT, machine_error, read_exit};
use crate::gate::{Fault, milliseconds};
use crate::log::Desk;
use crate::opened::Opaque;
use crate::outgoing::{Outgoing, printable};
use crate::table::invoke;

/// How long one call of `wait_exit` may wait: whether a plugin hangs shows that soon.
const SLICE: Duration = Duration::from_secs(1);
/// Bytes of a picture that anybody looks at.
const PNG_LIMIT: usize = 256 << 20;
/// Bytes of a monitor's answer that anybody reads.
const ANSWER_LIMIT: usize = 16 << 20;

/// A machine in a plugin. Dropping the last reference ends it, if nobody has, and releases it; every call holds one,
/// so that none is in flight then.
#[derive(Debug)]
pub(crate) struct Handle {
    machine: Opaque,
    instance: Arc<Instance>,
    desk: Arc<Desk>,
    destroyed: AtomicBool,
    /// What the plugin calls; it must outlive `release`.
    log: Option<Box<LogTable>>,
}

impl Handle {
    pub(crate) fn new(machine: Opaque, instance: Arc<Instance>, desk: Arc<Desk>, log: Box<LogTable>) -> Self {
        Self { machine, instance, desk, destroyed: AtomicBool::new(false), log: Some(log) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let gate = Arc::clone(self.instance.gate());
        let (table, machine) = (self.instance.table, self.machine);
        let is_destroyed = self.destroyed.load(Ordering::SeqCst);
        let end = move |_message| {
            let machine = machine;
            if !is_destroyed {
                let status = invoke!(table.destroy, machine.0);
                if status == Status::PANICKED {
                    return (status, ());
                }
            }
            (invoke!(table.release, machine.0), ())
        };
        let ended = gate.call_blocking("release", gate.call_limit(), end);
        if let Err(fault) = ended {
            tracing::warn!(%fault, "a plugin's machine could not be released");
            self.desk.kill_groups();
            // Unless `release` has returned, the plugin may be at work with the log still.
            if !matches!(fault, Fault::Said { .. }) {
                std::mem::forget((Arc::clone(&self.desk), self.log.take()));
            }
        }
    }
}

/// A machine that a plugin has launched.
#[derive(Debug)]
pub(crate) struct PluginMachine {
    name: String,
    process_id: Option<u32>,
    facets: Facets,
    handle: Arc<Handle>,
}

impl PluginMachine {
    pub(crate) fn new(name: String, process_id: Option<u32>, facets: Facets, handle: Arc<Handle>) -> Self {
        Self { name, process_id, facets, handle }
    }

    /// Calls a function of the machine; `operation` is a verb for the messages.
    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        operation: &str,
        within: Deadline,
        work: impl FnOnce(&Handle, *mut Buf) -> (Status, T) + Send + 'static,
    ) -> Result<T, DriverError> {
        let called = self.try_call(function, within, work).await;
        called.map_err(|fault| machine_error(fault, &self.name, operation, within))
    }

    async fn try_call<T: Send + 'static>(
        &self,
        function: &'static str,
        within: Deadline,
        work: impl FnOnce(&Handle, *mut Buf) -> (Status, T) + Send + 'static,
    ) -> Result<T, Fault> {
        let handle = Arc::clone(&self.handle);
        self.handle.instance.gate().call(function, within, move |message| work(&handle, message)).await
    }

    fn nonsense(&self, operation: &str, problem: String) -> DriverError {
        let fault = self.handle.instance.gate().nonsense(problem);
        machine_error(fault, &self.name, operation, Deadline::far())
    }
}

#[async_trait]
impl Machine for PluginMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn process_id(&self) -> Option<u32> {
        self.process_id
    }

    async fn connect(&self, port: GuestPort, within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        let number = match port {
            GuestPort::Console => PORT_CONSOLE,
            GuestPort::Shell => PORT_SHELL,
            GuestPort::Bulk => PORT_BULK,
        };
        let operation = format!("open its {port:?} port");
        let connect = move |handle: &Handle, message| {
            let (table, mut stream) = (handle.instance.table, -1);
            let status = invoke!(
                table.connect,
                handle.machine.0,
                number,
                milliseconds(within),
                &raw mut stream,
                message
            );
            (status, (status == Status::OK).then(|| adopt(stream)))
        };
        let adopted = self.call("connect", &operation, within, connect).await?;
        let stream = adopted.unwrap_or_else(|| Err("connected nothing".to_owned()));
        let stream = stream.map_err(|problem| self.nonsense(&operation, problem))?;
        let stream =
            UnixStream::from_std(stream).map_err(|error| self.nonsense(&operation, error.to_string()))?;
        Ok(Box::new(stream))
    }

    async fn request_shutdown(&self, within: Deadline) -> Result<(), DriverError> {
        let ask = move |handle: &Handle, message| {
            let table = handle.instance.table;
            (invoke!(table.request_shutdown, handle.machine.0, milliseconds(within), message), ())
        };
        self.call("request_shutdown", "press the power button", within, ask).await
    }

    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError> {
        const OPERATION: &str = "wait for its end";
        loop {
            let slice = within.at_most(SLICE);
            let wait = move |handle: &Handle, message| {
                let (table, mut exit) = (handle.instance.table, Outgoing::new());
                let status =
                    invoke!(table.wait_exit, handle.machine.0, milliseconds(slice), exit.place(), message);
                (status, exit.bytes(JSON_LIMIT))
            };
            match self.try_call("wait_exit", slice, wait).await {
                Ok(json) => {
                    let json = json.map_err(|problem| self.nonsense(OPERATION, problem))?;
                    return read_exit(&json).map_err(|error| {
                        self.nonsense(
                            OPERATION,
                            format!("says in no proper JSON how its machine ended: {error}"),
                        )
                    });
                }
                Err(Fault::Said { status: Status::TIMED_OUT, .. }) if !within.is_over() => {}
                Err(Fault::Said { status: Status::TIMED_OUT, .. }) => {
                    return Err(DriverError::Timeout {
                        machine: self.name.clone(),
                        awaited: "the machine's end".to_owned(),
                        limit: within.limit(),
                        seen: None,
                    });
                }
                Err(fault) => return Err(machine_error(fault, &self.name, OPERATION, within)),
            }
        }
    }

    async fn destroy(&self) {
        let within = self.handle.instance.gate().call_limit();
        self.handle.destroyed.store(true, Ordering::SeqCst);
        let destroy =
            |handle: &Handle, _message| (invoke!(handle.instance.table.destroy, handle.machine.0), ());
        if let Err(fault) = self.try_call("destroy", within, destroy).await {
            tracing::warn!(machine = self.name, %fault, "a plugin's machine could not be ended");
            self.handle.desk.kill_groups();
        }
    }

    fn screen(&self) -> Option<&dyn Screen> {
        self.facets.screen.is_some().then_some(self as _)
    }

    fn keyboard(&self) -> Option<&dyn Keyboard> {
        self.facets.keyboard.is_some().then_some(self as _)
    }

    fn monitor(&self) -> Option<&dyn Monitor> {
        self.facets.monitor.is_some().then_some(self as _)
    }

    fn power(&self) -> Option<&dyn Power> {
        self.facets.power.is_some().then_some(self as _)
    }

    fn pointer(&self) -> Option<&dyn Pointer> {
        self.facets.pointer.is_some().then_some(self as _)
    }
}

/// Takes over a descriptor that a plugin gave, if it is what it should be.
fn adopt(stream: i32) -> Result<StdStream, String> {
    let problem = || format!("gave {stream} for a stream, which is no connected stream socket");
    if stream < 0 {
        return Err(problem());
    }
    // SAFETY: it is only asked whether there is such a descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(stream) };
    fcntl_getfd(borrowed).map_err(|_| problem())?;
    // SAFETY: it is open, and the contract gives it to us.
    let owned = unsafe { OwnedFd::from_raw_fd(stream) };
    if sockopt::socket_type(owned.as_fd()) != Ok(SocketType::STREAM) {
        return Err(problem());
    }
    fcntl_setfd(&owned, FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    let stream = StdStream::from(owned);
    stream.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

#[async_trait]
impl Screen for PluginMachine {
    async fn capture(&self, file: &Path, within: Deadline) -> Result<(), DriverError> {
        const OPERATION: &str = "capture its screen";
        let table = self.facets.screen;
        let capture = move |handle: &Handle, message| {
            let (function, mut png) = (table.and_then(|table| table.capture), Outgoing::new());
            let status = invoke!(function, handle.machine.0, milliseconds(within), png.place(), message);
            (status, png.bytes(PNG_LIMIT))
        };
        let png = self.call("capture", OPERATION, within, capture).await?;
        let png = png.map_err(|problem| self.nonsense(OPERATION, problem))?;
        tokio::fs::write(file, png).await.map_err(|source| DriverError::File {
            operation: "write",
            path: file.display().to_string(),
            source,
        })
    }
}

#[async_trait]
impl Keyboard for PluginMachine {
    async fn press(&self, chord: &[Key], hold: Duration, within: Deadline) -> Result<(), DriverError> {
        let table = self.facets.keyboard;
        let chord = serde_json::to_string(chord).map_err(|error| DriverError::usage(error.to_string()))?;
        let hold_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
        let press = move |handle: &Handle, message| {
            let function = table.and_then(|table| table.press);
            let (chord, within_ms) = (Str::new(&chord), milliseconds(within));
            (invoke!(function, handle.machine.0, chord, hold_ms, within_ms, message), ())
        };
        self.call("press", "press keys", within, press).await
    }
}

#[async_trait]
impl Monitor for PluginMachine {
    async fn command(&self, line: &str, within: Deadline) -> Result<String, DriverError> {
        const OPERATION: &str = "run a monitor command";
        let (table, line) = (self.facets.monitor, line.to_owned());
        let command = move |handle: &Handle, message| {
            let (function, mut answer) = (table.and_then(|table| table.command), Outgoing::new());
            let (line, within_ms) = (Str::new(&line), milliseconds(within));
            let status = invoke!(function, handle.machine.0, line, within_ms, answer.place(), message);
            (status, answer.bytes(ANSWER_LIMIT))
        };
        let answer = self.call("command", OPERATION, within, command).await?;
        let answer = answer.map_err(|problem| self.nonsense(OPERATION, problem))?;
        Ok(String::from_utf8(answer).unwrap_or_else(|error| printable(error.as_bytes())))
    }
}

#[async_trait]
impl Power for PluginMachine {
    async fn reset(&self, within: Deadline) -> Result<(), DriverError> {
        let table = self.facets.power;
        let reset = move |handle: &Handle, message| {
            let function = table.and_then(|table| table.reset);
            (invoke!(function, handle.machine.0, milliseconds(within), message), ())
        };
        self.call("reset", "reset the machine", within, reset).await
    }
}

#[async_trait]
impl Pointer for PluginMachine {
    async fn act(&self, act: PointerAct, within: Deadline) -> Result<(), DriverError> {
        let table = self.facets.pointer;
        let act = serde_json::to_string(&act).map_err(|error| DriverError::usage(error.to_string()))?;
        let work = move |handle: &Handle, message| {
            let function = table.and_then(|table| table.act);
            (invoke!(function, handle.machine.0, Str::new(&act), milliseconds(within), message), ())
        };
        self.call("act", "move its pointer", within, work).await
    }
}
