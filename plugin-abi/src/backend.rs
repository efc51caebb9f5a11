//! The table of a hypervisor, and one for each of its facets.

use core::ffi::{c_int, c_void};

use crate::value::{Buf, Status, Str};

/// A hypervisor. All functions but the facets must be there.
///
/// Threads: `open` and `close` are called one at a time. All others may be called from any thread, and several at
/// once, also for one machine: `destroy` comes while `wait_exit` waits. `release` is the last call for a machine.
///
/// Time: `within_ms` is what a call may take, in milliseconds; the others are given half a minute. A call that
/// takes much longer counts as hanging, and the plugin is not called again.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BackendTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// The word that manifests use.
    pub name: Str,
    /// Makes the backend. `settings`: the plugin's settings as JSON, an object or `null`. `*backend` is handed to
    /// all other calls, and may stay null.
    pub open:
        Option<unsafe extern "C" fn(settings: Str, backend: *mut *mut c_void, message: *mut Buf) -> Status>,
    /// Ends the backend. No machine of it is there any more.
    pub close: Option<unsafe extern "C" fn(backend: *mut c_void) -> Status>,
    /// Says why this host cannot run the backend, if it cannot: `HOST`.
    pub probe:
        Option<unsafe extern "C" fn(backend: *mut c_void, within_ms: u64, message: *mut Buf) -> Status>,
    /// Checks a description before anything is started: `REFUSED` for files that are not there and options that
    /// make no sense. `spec`: JSON, see docs/plugins.md.
    pub check: Option<unsafe extern "C" fn(backend: *mut c_void, spec: Str, message: *mut Buf) -> Status>,
    /// Starts a machine and returns once it can be controlled. `log` is valid until `release` returns, or until
    /// this call returns if that is not with `OK`. `*machine` is handed to the calls below. `about`: JSON, an object
    /// that may name the hypervisor's `process_id`, or nothing.
    pub launch: Option<
        unsafe extern "C" fn(
            backend: *mut c_void,
            spec: Str,
            log: *const LogTable,
            within_ms: u64,
            machine: *mut *mut c_void,
            about: *mut Buf,
            message: *mut Buf,
        ) -> Status,
    >,
    /// Opens a byte stream into the guest: one of the ports, each once in a launch. `*stream` is a connected
    /// stream socket, such as one end of a socketpair, that belongs to the caller from then on.
    pub connect: Option<
        unsafe extern "C" fn(
            machine: *mut c_void,
            port: u32,
            within_ms: u64,
            stream: *mut c_int,
            message: *mut Buf,
        ) -> Status,
    >,
    /// Asks the guest to power off, as the power button does. Does not wait for it to do so.
    pub request_shutdown:
        Option<unsafe extern "C" fn(machine: *mut c_void, within_ms: u64, message: *mut Buf) -> Status>,
    /// Waits until the machine is gone, however that came about: `OK` and JSON in `exit`, or `TIMED_OUT`. Called
    /// again and again, with a second at a time.
    pub wait_exit: Option<
        unsafe extern "C" fn(
            machine: *mut c_void,
            within_ms: u64,
            exit: *mut Buf,
            message: *mut Buf,
        ) -> Status,
    >,
    /// Ends the machine now, and returns when nothing of it is left. A machine that is gone stays so.
    pub destroy: Option<unsafe extern "C" fn(machine: *mut c_void) -> Status>,
    /// Forgets the machine, which is gone. Nobody holds `machine` any more.
    pub release: Option<unsafe extern "C" fn(machine: *mut c_void) -> Status>,
    /// Facet: pictures of the guest's display, or null.
    pub screen: *const ScreenTable,
    /// Facet: keys pressed for the guest, or null.
    pub keyboard: *const KeyboardTable,
    /// Facet: the hypervisor's own command line, or null.
    pub monitor: *const MonitorTable,
    /// Facet: reset without the guest's consent, or null.
    pub power: *const PowerTable,
    /// Facet: a pointer that is put anywhere on the guest's display, or null. Since 1.1.
    pub pointer: *const PointerTable,
}

// SAFETY: a table and all that it points to are never written to.
unsafe impl Sync for BackendTable {}
// SAFETY: as above.
unsafe impl Send for BackendTable {}

/// Facet: pictures of the guest's display.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ScreenTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// Gives the current frame as a PNG.
    pub capture: Option<
        unsafe extern "C" fn(
            machine: *mut c_void,
            within_ms: u64,
            png: *mut Buf,
            message: *mut Buf,
        ) -> Status,
    >,
}

/// Facet: keys pressed for the guest.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KeyboardTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// Presses the keys in order, holds them for `hold_ms`, and releases them in reverse order. `chord`: JSON, a
    /// list of `{"name": "ctrl"}`, as QEMU names keys, and `{"code": 30}`, by their number in the IBM PC set 1.
    pub press: Option<
        unsafe extern "C" fn(
            machine: *mut c_void,
            chord: Str,
            hold_ms: u64,
            within_ms: u64,
            message: *mut Buf,
        ) -> Status,
    >,
}

/// Facet: the hypervisor's own command line.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MonitorTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// Runs one line and gives what it printed.
    pub command: Option<
        unsafe extern "C" fn(
            machine: *mut c_void,
            line: Str,
            within_ms: u64,
            answer: *mut Buf,
            message: *mut Buf,
        ) -> Status,
    >,
}

/// Facet: reset without the guest's consent.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PowerTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// Resets the machine as the reset button does. Without `allow_reboot` in its description that ends it.
    pub reset:
        Option<unsafe extern "C" fn(machine: *mut c_void, within_ms: u64, message: *mut Buf) -> Status>,
}

/// Facet: a pointer that is put anywhere on the guest's display. Since 1.1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PointerTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// Does one thing with it. `act`: JSON, one of `{"move": {"x": 0.5, "y": 1.0}}`, from 0 at the left and at the top
    /// of the display to 1 at the right and at the bottom; `{"press": "left"}` and `{"release": "left"}`, also of
    /// `middle` and `right`; `{"scroll": -2}`, notches of the wheel down, or up when negative.
    pub act: Option<
        unsafe extern "C" fn(machine: *mut c_void, act: Str, within_ms: u64, message: *mut Buf) -> Status,
    >,
}

/// Where a backend says what happens to one machine. Made by innkeeper; may be called from any thread.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LogTable {
    /// The size of this struct in innkeeper's build, in bytes.
    pub size: usize,
    /// To be handed to all calls below.
    pub context: *mut c_void,
    /// A line for the user: `level` is `LEVEL_INFO` or `LEVEL_WARNING`.
    pub line: Option<unsafe extern "C" fn(context: *mut c_void, level: u32, text: Str)>,
    /// Processes that must die with innkeeper: the group is killed when that is gone, kill -9 included. To be said
    /// right after their start.
    pub guard_group: Option<unsafe extern "C" fn(context: *mut c_void, group: u32)>,
    /// The group has ended; its number may belong to somebody else from now on.
    pub release_group: Option<unsafe extern "C" fn(context: *mut c_void, group: u32)>,
    /// The guest starts anew. To be said before its new shell greets.
    pub guest_reset: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

// SAFETY: its functions may be called from any thread, and the table is never written to.
unsafe impl Sync for LogTable {}
// SAFETY: as above.
unsafe impl Send for LogTable {}
