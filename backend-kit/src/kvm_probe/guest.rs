//! A guest of a dozen bytes: long mode, ring 0, as kernels run, counting down.
#![expect(unsafe_code, reason = "KVM is told where the guest's memory lies by an address")]

use std::time::{Duration, Instant};

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};

use super::{KvmProbe, KvmVerdict};

/// Rounds of the loop in the first run, which even a KVM that interprets gets through in some ten
/// milliseconds; and in the later ones, which show what a fast one can do.
const FEW: u32 = 10_000;
const MANY: u32 = 1_000_000;

/// How often a run is timed; the best time counts, as on a busy host others take parts of the time.
const REPEATS: usize = 5;

/// Instructions in one round of the loop.
const LOOP_LENGTH: f64 = 2.0;

const PAGE: usize = 4096;

// Where things lie in the guest's memory: three levels of page tables, each in a page, and the code.
const PML4: usize = PAGE;
const DIRECTORY_POINTERS: usize = 2 * PAGE;
const DIRECTORY: usize = 3 * PAGE;
const CODE: usize = 4 * PAGE;
const SIZE: usize = 5 * PAGE;

/// `dec ecx; jnz -2; hlt`, with the number of rounds put into ECX from outside.
const PROGRAM: [u8; 5] = [0xff, 0xc9, 0x75, 0xfc, 0xf4];

#[repr(C, align(4096))]
struct Memory([u8; SIZE]);

/// The guest. The fields are dropped in this order: what uses the memory goes before it.
struct Guest {
    vcpu: VcpuFd,
    _machine: VmFd,
    _memory: Box<Memory>,
}

pub(super) fn measure() -> KvmProbe {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(error) => return refused(&error).into(),
    };
    match Guest::new(&kvm).map_err(|error| error.to_string()).and_then(|mut guest| guest.speed()) {
        Ok(speed) => KvmProbe::from_speed(speed),
        Err(problem) => KvmVerdict::Broken { problem }.into(),
    }
}

fn refused(error: &kvm_ioctls::Error) -> KvmVerdict {
    match std::io::Error::from_raw_os_error(error.errno()).kind() {
        std::io::ErrorKind::PermissionDenied => KvmVerdict::Forbidden,
        _ => KvmVerdict::Missing,
    }
}

impl Guest {
    fn new(kvm: &Kvm) -> Result<Self, kvm_ioctls::Error> {
        let mut memory = Box::new(Memory([0; SIZE]));
        let machine = kvm.create_vm()?;
        let mut put = |at: usize, bytes: &[u8]| memory.0[at..at + bytes.len()].copy_from_slice(bytes);
        // Present and writable; the last level maps 2 MiB as they are.
        put(PML4, &(DIRECTORY_POINTERS as u64 | 0x3).to_le_bytes());
        put(DIRECTORY_POINTERS, &(DIRECTORY as u64 | 0x3).to_le_bytes());
        put(DIRECTORY, &0x83_u64.to_le_bytes());
        put(CODE, &PROGRAM);
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: SIZE as u64,
            userspace_addr: memory.0.as_mut_ptr() as u64,
        };
        // SAFETY: the region is the boxed memory, page-aligned and all of it. The box is dropped after the
        // machine, here as in `Guest`, and nobody else touches it meanwhile.
        unsafe { machine.set_user_memory_region(region)? };
        let vcpu = machine.create_vcpu(0)?;
        // A processor that has no CPUID has no long mode either, and KVM refuses registers that say so.
        vcpu.set_cpuid2(&kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?)?;
        let mut special = vcpu.get_sregs()?;
        special.cr3 = PML4 as u64;
        special.cr4 = 1 << 5; // physical address extension
        special.cr0 = 1 << 31 | 1; // paging, protection
        special.efer = 1 << 10 | 1 << 8; // long mode: active, enabled
        let data = kvm_segment {
            limit: u32::MAX,
            selector: 0x10,
            type_: 3,
            present: 1,
            db: 1,
            s: 1,
            g: 1,
            ..kvm_segment::default()
        };
        special.cs = kvm_segment { selector: 0x8, type_: 11, l: 1, db: 0, ..data };
        (special.ds, special.es, special.ss) = (data, data, data);
        vcpu.set_sregs(&special)?;
        Ok(Self { vcpu, _machine: machine, _memory: memory })
    }

    /// Millions of instructions a second.
    fn speed(&mut self) -> Result<f64, String> {
        let speed = |rounds: u32, time: Duration| {
            f64::from(rounds) * LOOP_LENGTH / time.as_secs_f64().max(1e-9) / 1e6
        };
        self.run(1)?;
        let first = speed(FEW, self.best(FEW)?);
        if first < super::WORTHWHILE / 10.0 {
            return Ok(first);
        }
        Ok(speed(MANY, self.best(MANY)?))
    }

    fn best(&mut self, rounds: u32) -> Result<Duration, String> {
        let mut best = Duration::MAX;
        for _ in 0..REPEATS {
            best = best.min(self.run(rounds)?);
        }
        Ok(best)
    }

    fn run(&mut self, rounds: u32) -> Result<Duration, String> {
        let registers = kvm_bindings::kvm_regs {
            rip: CODE as u64,
            rcx: rounds.into(),
            rflags: 0x2,
            ..Default::default()
        };
        self.vcpu.set_regs(&registers).map_err(|error| error.to_string())?;
        let started = Instant::now();
        match self.vcpu.run().map_err(|error| error.to_string())? {
            VcpuExit::Hlt => Ok(started.elapsed()),
            VcpuExit::InternalError => Err("it cannot execute a plain loop".to_owned()),
            other => Err(format!("a plain loop ended in {other:?}")),
        }
    }
}
