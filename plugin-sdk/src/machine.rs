//! A [`Machine`] and its facets as plain functions.

use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd as _;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driver_core::{DriverError, GuestPort, Machine};
use plugin_abi::{
    Buf, KeyboardTable, MonitorTable, PORT_BULK, PORT_CONSOLE, PORT_SHELL, PointerTable, PowerTable,
    ScreenTable, Status, Str,
};
use tokio::io::copy_bidirectional;
use tokio::net::UnixStream;

use crate::call::{Problem, block_on, deadline, fill, guarded, runtime, text};
use crate::log::ForeignLog;

/// The facets' tables.
pub(crate) static SCREEN: ScreenTable =
    ScreenTable { size: size_of::<ScreenTable>(), capture: Some(capture) };
pub(crate) static KEYBOARD: KeyboardTable =
    KeyboardTable { size: size_of::<KeyboardTable>(), press: Some(press) };
pub(crate) static MONITOR: MonitorTable =
    MonitorTable { size: size_of::<MonitorTable>(), command: Some(command) };
pub(crate) static POWER: PowerTable = PowerTable { size: size_of::<PowerTable>(), reset: Some(reset) };
pub(crate) static POINTER: PointerTable = PointerTable { size: size_of::<PointerTable>(), act: Some(act) };

/// What the handle of a machine points to.
pub(crate) struct Launched {
    machine: Arc<dyn Machine>,
    log: Arc<ForeignLog>,
    /// Where pictures go on their way.
    state_dir: PathBuf,
    pictures: AtomicU64,
}

impl Launched {
    pub(crate) fn new(machine: Arc<dyn Machine>, log: Arc<ForeignLog>, state_dir: PathBuf) -> Self {
        Self { machine, log, state_dir, pictures: AtomicU64::new(0) }
    }
}

/// # Safety
/// `machine` is what `launch` made, and not released yet.
unsafe fn launched<'a>(machine: *mut c_void) -> &'a Launched {
    // SAFETY: the caller says so.
    unsafe { &*machine.cast::<Launched>() }
}

pub(crate) unsafe extern "C" fn connect(
    machine: *mut c_void,
    port: u32,
    within_ms: u64,
    stream: *mut c_int,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        let port = match port {
            PORT_CONSOLE => GuestPort::Console,
            PORT_SHELL => GuestPort::Shell,
            PORT_BULK => GuestPort::Bulk,
            other => return Err(Problem::new(Status::USAGE, format!("there is no port {other}"))),
        };
        let mut guest = block_on(machine.connect(port, deadline(within_ms)))??;
        let _inside = runtime()?.enter();
        let (mut ours, theirs) = UnixStream::pair().map_err(Problem::failed)?;
        let theirs = theirs.into_std().map_err(Problem::failed)?;
        tokio::spawn(async move {
            // Whoever sees the end of the stream sees why.
            let _ = copy_bidirectional(&mut guest, &mut ours).await;
        });
        // SAFETY: innkeeper gives a place for the descriptor.
        unsafe { stream.write(theirs.into_raw_fd()) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

pub(crate) unsafe extern "C" fn request_shutdown(
    machine: *mut c_void,
    within_ms: u64,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        block_on(machine.request_shutdown(deadline(within_ms)))?.map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

pub(crate) unsafe extern "C" fn wait_exit(
    machine: *mut c_void,
    within_ms: u64,
    exit: *mut Buf,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        let end = block_on(machine.wait_exit(deadline(within_ms)))??;
        let json = serde_json::to_vec(&end).map_err(Problem::failed)?;
        // SAFETY: innkeeper gives an empty buffer.
        unsafe { fill(exit, json) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

pub(crate) unsafe extern "C" fn destroy(machine: *mut c_void) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        block_on(machine.destroy())
    };
    // SAFETY: there is no message.
    unsafe { guarded(ptr::null_mut(), work) }
}

pub(crate) unsafe extern "C" fn release(machine: *mut c_void) -> Status {
    let work = || {
        // SAFETY: `launch` made it, and this is the last call.
        let launched = unsafe { Box::from_raw(machine.cast::<Launched>()) };
        // Dropping a machine may start tasks that end it.
        let _inside = runtime()?.enter();
        let log = Arc::clone(&launched.log);
        drop(launched);
        log.close();
        Ok(())
    };
    // SAFETY: there is no message.
    unsafe { guarded(ptr::null_mut(), work) }
}

unsafe extern "C" fn capture(
    machine: *mut c_void,
    within_ms: u64,
    png: *mut Buf,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let launched = unsafe { launched(machine) };
        let screen = launched.machine.screen().ok_or_else(|| lacks("screen"))?;
        let number = launched.pictures.fetch_add(1, Ordering::Relaxed);
        let file = launched.state_dir.join(format!("plugin-picture-{number}.png"));
        let captured = block_on(screen.capture(&file, deadline(within_ms)))?;
        let picture = captured.map(|()| std::fs::read(&file));
        // It is not there when there was no picture.
        let _ = std::fs::remove_file(&file);
        let bytes =
            picture?.map_err(|error| Problem::failed(format!("the picture cannot be read: {error}")))?;
        // SAFETY: innkeeper gives an empty buffer.
        unsafe { fill(png, bytes) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn press(
    machine: *mut c_void,
    chord: Str,
    hold_ms: u64,
    within_ms: u64,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        let keyboard = machine.keyboard().ok_or_else(|| lacks("keyboard"))?;
        // SAFETY: innkeeper lends it for the call.
        let chord = unsafe { text(chord) }?;
        let keys: Vec<_> = serde_json::from_str(chord).map_err(|error| Problem::new(Status::USAGE, error))?;
        let hold = Duration::from_millis(hold_ms);
        block_on(keyboard.press(&keys, hold, deadline(within_ms)))?.map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn command(
    machine: *mut c_void,
    line: Str,
    within_ms: u64,
    answer: *mut Buf,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        let monitor = machine.monitor().ok_or_else(|| lacks("monitor"))?;
        // SAFETY: innkeeper lends it for the call.
        let line = unsafe { text(line) }?;
        let said = block_on(monitor.command(line, deadline(within_ms)))??;
        // SAFETY: innkeeper gives an empty buffer.
        unsafe { fill(answer, said.into_bytes()) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn reset(machine: *mut c_void, within_ms: u64, message: *mut Buf) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        let power = machine.power().ok_or_else(|| lacks("power"))?;
        block_on(power.reset(deadline(within_ms)))?.map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn act(machine: *mut c_void, act: Str, within_ms: u64, message: *mut Buf) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `launch` made.
        let machine = &unsafe { launched(machine) }.machine;
        let pointer = machine.pointer().ok_or_else(|| lacks("pointer"))?;
        // SAFETY: innkeeper lends it for the call.
        let act = unsafe { text(act) }?;
        let act = serde_json::from_str(act).map_err(|error| Problem::new(Status::USAGE, error))?;
        block_on(pointer.act(act, deadline(within_ms)))?.map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

fn lacks(facet: &str) -> Problem {
    Problem::from(DriverError::usage(format!("this machine has no {facet}")))
}
