//! The memory that a machine shares with us, and where it lies for each side.

use std::fs::File;
use std::io;

use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap};

use super::guard::Guard;

/// All the memory of a machine.
#[derive(Debug)]
pub(super) struct SharedMemory {
    // Dropped first: nothing is watched that is no longer there.
    guards: Vec<Guard>,
    areas: Vec<Area>,
    memory: GuestMemoryMmap,
}

/// Where a piece of it lies.
#[derive(Debug)]
struct Area {
    /// In the hypervisor, whose addresses the protocol speaks of.
    hypervisor: u64,
    /// In the guest, whose addresses the rings speak of.
    guest: u64,
    length: u64,
}

impl SharedMemory {
    /// Maps what a message names.
    ///
    /// # Errors
    /// Regions that lie over each other, that are larger than their file, or that the host will not map.
    pub(super) fn map(regions: &[VhostUserMemoryRegion], files: Vec<File>) -> io::Result<Self> {
        let mut shared = Self { guards: Vec::new(), areas: Vec::new(), memory: GuestMemoryMmap::new() };
        let mut mapped = Vec::new();
        for (region, file) in regions.iter().zip(files) {
            let about = file.metadata()?;
            if about.is_file() && about.len().checked_sub(region.mmap_offset) < Some(region.memory_size) {
                return Err(io::Error::other("a region of memory is larger than its file"));
            }
            let mapping = region.mmap_region(file).map_err(io::Error::other)?;
            let region_in_guest = GuestRegionMmap::new(mapping, GuestAddress(region.guest_phys_addr))
                .ok_or_else(|| io::Error::other("a region of memory ends beyond the last address"))?;
            shared.guards.push(Guard::watch(region_in_guest.get_mmap())?);
            shared.areas.push(Area {
                hypervisor: region.user_addr,
                guest: region.guest_phys_addr,
                length: region.memory_size,
            });
            mapped.push(region_in_guest);
        }
        // They come in any order, and are kept in that of the guest.
        mapped.sort_by_key(GuestMemoryRegion::start_addr);
        shared.memory = GuestMemoryMmap::from_regions(mapped).map_err(io::Error::other)?;
        Ok(shared)
    }

    /// What the rings lie in.
    pub(super) fn guest(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    /// The guest's address of what the hypervisor has at `address`.
    pub(super) fn guest_address(&self, address: u64) -> Option<u64> {
        self.areas.iter().find_map(|area| {
            let offset = address.checked_sub(area.hypervisor).filter(|offset| *offset < area.length)?;
            area.guest.checked_add(offset)
        })
    }

    /// Whether some of it was gone when it was touched: what was read since is worth nothing.
    pub(super) fn is_lost(&self) -> bool {
        self.guards.iter().any(Guard::struck)
    }
}
