//! Survives that the other side cuts the file whose memory it shares with us.
//!
//! Whoever touches a shared page that its file no longer has gets a SIGBUS, which ends the program. Sealed files
//! (QEMU's memfd) cannot be cut; those of Cloud Hypervisor and plain files in `/dev/shm` can, and a page that the
//! host has no room for ends alike. So the first such access to a watched mapping puts empty memory of our own in
//! its place and goes on; whoever watches asks [`Guard::struck`] before it believes what it has read.
#![expect(unsafe_code, reason = "signal handlers and mappings of memory are the system's")]

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};

use rustix::mm::{MapFlags, ProtFlags};
use vm_memory::MmapRegion;

/// How many mappings can be watched at a time: 64 machines with 32 regions, the most that one message names.
const MOST: usize = 2048;

/// Who handled the signal before.
static BEFORE: OnceLock<io::Result<libc::sigaction>> = OnceLock::new();

static SLOTS: [Slot; MOST] = [const { Slot::new() }; MOST];

/// One mapping, as the signal handler sees it: it may neither wait nor allocate.
struct Slot {
    taken: AtomicBool,
    /// Its first address; zero while the other fields are not to be believed.
    start: AtomicUsize,
    length: AtomicUsize,
    struck: AtomicBool,
}

impl Slot {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            struck: AtomicBool::new(false),
        }
    }

    /// The mapping, if `address` lies in it.
    fn around(&self, address: usize) -> Option<(usize, usize)> {
        let start = self.start.load(Ordering::Acquire);
        let length = self.length.load(Ordering::Acquire);
        fence(Ordering::SeqCst);
        let steady = start != 0 && self.start.load(Ordering::Acquire) == start;
        (steady && address.checked_sub(start)? < length).then_some((start, length))
    }
}

/// A mapping that is watched, and kept.
#[derive(Debug)]
pub(super) struct Guard {
    slot: usize,
    _kept: Arc<MmapRegion>,
}

impl Guard {
    /// Watches a mapping until the guard goes.
    pub(super) fn watch(mapping: Arc<MmapRegion>) -> io::Result<Self> {
        if let Err(error) = BEFORE.get_or_init(install) {
            return Err(io::Error::new(error.kind(), "the signal of lost memory cannot be handled"));
        }
        let free = |slot: &Slot| !slot.taken.swap(true, Ordering::AcqRel);
        let slot = SLOTS.iter().position(free).ok_or_else(|| {
            io::Error::other(format!("more than {MOST} regions of memory are shared (fewer machines)"))
        })?;
        SLOTS[slot].struck.store(false, Ordering::Release);
        SLOTS[slot].length.store(mapping.size(), Ordering::Release);
        SLOTS[slot].start.store(mapping.as_ptr() as usize, Ordering::Release);
        Ok(Self { slot, _kept: mapping })
    }

    /// Whether some of the memory was gone when it was touched. All of it reads as zeros since.
    pub(super) fn struck(&self) -> bool {
        SLOTS[self.slot].struck.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(0, Ordering::Release);
        fence(Ordering::SeqCst);
        SLOTS[self.slot].taken.store(false, Ordering::Release);
    }
}

fn install() -> io::Result<libc::sigaction> {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
    // SAFETY: `sigaction` is a plain structure of numbers, for which zeros are sound.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    let mut before = action;
    // SAFETY: both pointers are to live structures; the handler does only what a handler may do.
    match unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs in whatever thread touched the memory: no locks, no allocations, and `rustix` calls the kernel without
/// touching `errno`.
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands over a valid structure, as SA_SIGINFO asks.
    let info = unsafe { &*info };
    let code = info.si_code;
    // Codes above zero come from the kernel; only those carry an address.
    if code > 0 {
        // SAFETY: a SIGBUS of the kernel's has an address.
        let address = unsafe { info.si_addr() } as usize;
        for slot in &SLOTS {
            if let Some((start, length)) = slot.around(address)
                && put_empty_memory(start, length)
            {
                slot.struck.store(true, Ordering::Release);
                return;
            }
        }
    }
    // Not ours: whoever was there before is there again, and meets it when the access is tried again.
    if let Some(Ok(before)) = BEFORE.get() {
        // SAFETY: the structure is what the system gave out, and lives for ever.
        unsafe { libc::sigaction(signal, before, std::ptr::null_mut()) };
    }
    if code <= 0 {
        // SAFETY: has no preconditions. The signal is blocked until this handler returns.
        unsafe { libc::raise(signal) };
    }
}

fn put_empty_memory(start: usize, length: usize) -> bool {
    // SAFETY: the range is a mapping that its guard keeps, all of it, and that everybody reads as memory that may
    // change at any time.
    let mapped = unsafe {
        rustix::mm::mmap_anonymous(
            start as *mut c_void,
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE,
        )
    };
    mapped.is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::MemfdFlags;
    use vm_memory::{FileOffset, VolatileMemory as _};

    use super::*;

    #[test]
    fn memory_that_is_cut_off_reads_as_zeros_and_is_known() {
        let file = File::from(rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(0x4000).unwrap();
        let map = || {
            Arc::new(MmapRegion::from_file(FileOffset::new(file.try_clone().unwrap(), 0), 0x4000).unwrap())
        };
        let (cut, whole) = (map(), Arc::new(MmapRegion::<()>::new(0x4000).unwrap()));
        let (guard, other) = (Guard::watch(cut.clone()).unwrap(), Guard::watch(whole).unwrap());
        cut.get_slice(0x3000, 1).unwrap().copy_from(&[7_u8]);
        file.set_len(0x1000).unwrap();
        let mut byte = [1_u8];
        cut.get_slice(0x3000, 1).unwrap().copy_to(&mut byte);
        assert_eq!(byte, [0]);
        assert!(guard.struck() && !other.struck());
    }
}
