//! A [`Backend`] as a table of plain functions.

use std::ffi::c_void;
use std::fmt::Display;
use std::ptr;
use std::sync::Arc;

use driver_core::{Backend, Capabilities, MachineSpec};
use plugin_abi::{BackendTable, Buf, LogTable, Status, Str};
use serde_json::{Value, json};

use crate::call::{Problem, block_on, deadline, fill, guarded, text};
use crate::log::ForeignLog;
use crate::machine::{self, Launched};

/// What opening a backend comes to.
pub type OpenedBackend = Result<Arc<dyn Backend>, String>;

/// Makes a backend. [`crate::plugin!`] writes it.
pub trait BackendSource {
    /// The facets that `plugin!` names.
    const FACETS: Facets;

    /// Makes it from the plugin's settings.
    ///
    /// # Errors
    /// Whatever its author says.
    fn open(settings: Value) -> OpenedBackend;
}

/// Makes one kind of result of all.
///
/// # Errors
/// What there was, as text.
pub fn opened_backend<B: Backend + 'static, E: Display>(opened: Result<B, E>) -> OpenedBackend {
    opened.map(|backend| Arc::new(backend) as Arc<dyn Backend>).map_err(|error| error.to_string())
}

/// The facets that a table shows.
#[derive(Debug, Clone, Copy)]
pub struct Facets(Capabilities);

impl Facets {
    /// None.
    pub const NONE: Self = Self(Capabilities {
        screen: false,
        keyboard: false,
        pointer: false,
        monitor: false,
        power: false,
        network: false,
        nics: false,
        snapshots: false,
    });

    /// And a screen.
    #[must_use]
    pub const fn screen(self) -> Self {
        Self(Capabilities { screen: true, ..self.0 })
    }

    /// And a keyboard.
    #[must_use]
    pub const fn keyboard(self) -> Self {
        Self(Capabilities { keyboard: true, ..self.0 })
    }

    /// And a monitor.
    #[must_use]
    pub const fn monitor(self) -> Self {
        Self(Capabilities { monitor: true, ..self.0 })
    }

    /// And power.
    #[must_use]
    pub const fn power(self) -> Self {
        Self(Capabilities { power: true, ..self.0 })
    }

    /// And a pointer.
    #[must_use]
    pub const fn pointer(self) -> Self {
        Self(Capabilities { pointer: true, ..self.0 })
    }
}

/// The table of a backend.
#[must_use]
pub const fn backend_table<S: BackendSource>(name: &'static str) -> BackendTable {
    let facets = S::FACETS.0;
    BackendTable {
        size: size_of::<BackendTable>(),
        name: Str::new(name),
        open: Some(open::<S>),
        close: Some(close),
        probe: Some(probe),
        check: Some(check),
        launch: Some(launch),
        connect: Some(machine::connect),
        request_shutdown: Some(machine::request_shutdown),
        wait_exit: Some(machine::wait_exit),
        destroy: Some(machine::destroy),
        release: Some(machine::release),
        screen: if facets.screen { &raw const machine::SCREEN } else { ptr::null() },
        keyboard: if facets.keyboard { &raw const machine::KEYBOARD } else { ptr::null() },
        monitor: if facets.monitor { &raw const machine::MONITOR } else { ptr::null() },
        power: if facets.power { &raw const machine::POWER } else { ptr::null() },
        pointer: if facets.pointer { &raw const machine::POINTER } else { ptr::null() },
    }
}

/// What the handle of a backend points to.
struct Opened(Arc<dyn Backend>);

unsafe extern "C" fn open<S: BackendSource>(
    settings: Str,
    backend: *mut *mut c_void,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper lends it for the call.
        let settings = unsafe { text(settings) }?;
        let settings = serde_json::from_str(settings).map_err(Problem::failed)?;
        let made = S::open(settings).map_err(Problem::failed)?;
        let (can, named) = (made.capabilities(), S::FACETS.0);
        if can.network || can.nics {
            return Err(Problem::failed(format!(
                "the backend's capabilities are {can:?}, but this ABI cannot carry `network` and `nics` yet (leave them out)"
            )));
        }
        if can != named {
            return Err(Problem::failed(format!(
                "the backend's capabilities are {can:?}, but `plugin!` names {named:?} (make its `facets` say the same)"
            )));
        }
        // SAFETY: innkeeper gives a place for the handle.
        unsafe { backend.write(Box::into_raw(Box::new(Opened(made))).cast()) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn close(backend: *mut c_void) -> Status {
    let work = || {
        // SAFETY: `open` made it, and this is the last call.
        drop(unsafe { Box::from_raw(backend.cast::<Opened>()) });
        Ok(())
    };
    // SAFETY: there is no message.
    unsafe { guarded(ptr::null_mut(), work) }
}

/// # Safety
/// `backend` is what `open` made, and not closed yet.
unsafe fn opened<'a>(backend: *mut c_void) -> &'a Arc<dyn Backend> {
    // SAFETY: the caller says so.
    unsafe { &(*backend.cast::<Opened>()).0 }
}

unsafe extern "C" fn probe(backend: *mut c_void, within_ms: u64, message: *mut Buf) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `open` made.
        let backend = unsafe { opened(backend) };
        let within = deadline(within_ms);
        let probed = block_on(async { tokio::time::timeout_at(within.instant(), backend.probe()).await })?;
        probed.map_err(|_| Problem::new(Status::TIMED_OUT, "the probe of the host"))?.map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn check(backend: *mut c_void, spec: Str, message: *mut Buf) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `open` made.
        let backend = unsafe { opened(backend) };
        // SAFETY: innkeeper lends it for the call.
        let spec = unsafe { read_spec(spec) }?;
        block_on(backend.check(&spec))?.map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn launch(
    backend: *mut c_void,
    spec: Str,
    log: *const LogTable,
    within_ms: u64,
    machine: *mut *mut c_void,
    about: *mut Buf,
    message: *mut Buf,
) -> Status {
    // SAFETY: it is closed below when the launch fails, and else when the machine is released.
    let log = Arc::new(unsafe { ForeignLog::new(log) });
    let work = || {
        // SAFETY: innkeeper hands back what `open` made.
        let backend = unsafe { opened(backend) };
        // SAFETY: innkeeper lends it for the call.
        let spec = unsafe { read_spec(spec) }?;
        let launching = backend.launch(&spec, Arc::clone(&log) as _, deadline(within_ms));
        let launched = block_on(launching)??;
        let process_id = launched.process_id();
        let handle = Launched::new(launched, Arc::clone(&log), spec.state_dir);
        // SAFETY: innkeeper gives a place for the handle.
        unsafe { machine.write(Box::into_raw(Box::new(handle)).cast()) };
        // SAFETY: innkeeper gives an empty buffer.
        unsafe { fill(about, json!({ "process_id": process_id }).to_string().into_bytes()) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    let status = unsafe { guarded(message, work) };
    if status != Status::OK {
        log.close();
    }
    status
}

/// # Safety
/// The text is there until this returns.
unsafe fn read_spec(spec: Str) -> Result<MachineSpec, Problem> {
    // SAFETY: the caller says so.
    let json = unsafe { text(spec) }?;
    serde_json::from_str(json).map_err(|error| {
        Problem::failed(format!("the machine's description is not understood: {error} (rebuild the plugin)"))
    })
}
