//! The network card as the hypervisor sees it: what it asks for in messages, and what it gets.
//!
//! The messages are read and checked by `vhost`; this says what they do. Offered is what makes frames cheaper,
//! and nothing that would make them something else: no checksums and no segments that are yet to be worked out.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::event::epoll;
use vhost::VhostUserMemoryRegionBase;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight,
    VhostUserLog, VhostUserMemoryRegion, VhostUserProtocolFeatures, VhostUserShMemConfig, VhostUserSharedMsg,
    VhostUserSingleMemoryRegion, VhostUserVirtioFeatures, VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_net::VIRTIO_NET_F_MRG_RXBUF;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

use super::lane::{Agreed, Lane, lock};
use super::memory::SharedMemory;

/// The lane to the guest: the card's first ring.
pub(super) const TO_GUEST: usize = 0;
/// The lane from the guest: the card's second ring.
pub(super) const FROM_GUEST: usize = 1;

const OFFERED: u64 = 1 << VIRTIO_F_VERSION_1
    | 1 << VIRTIO_NET_F_MRG_RXBUF
    | 1 << VIRTIO_RING_F_EVENT_IDX
    | 1 << VIRTIO_RING_F_INDIRECT_DESC
    | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();

/// One card, for as long as the hypervisor is connected.
#[derive(Debug)]
pub(super) struct Card {
    lanes: [Arc<Mutex<Lane>>; 2],
    /// What the guest knocks at, while it is in `knocks`.
    kicks: [Option<File>; 2],
    knocks: Arc<OwnedFd>,
    memory: Option<Arc<SharedMemory>>,
}

impl Card {
    /// A card whose guest knocks at `knocks`, an epoll, with the number of a lane.
    pub(super) fn new(knocks: Arc<OwnedFd>) -> Self {
        let lane = || Arc::new(Mutex::new(Lane::new()));
        Self { lanes: [lane(), lane()], kicks: [None, None], knocks, memory: None }
    }

    pub(super) fn lane(&self, number: usize) -> Arc<Mutex<Lane>> {
        self.lanes[number].clone()
    }

    /// The lane of a ring that a message names.
    fn named(&self, index: u32) -> Result<(usize, &Arc<Mutex<Lane>>)> {
        let number = index as usize;
        self.lanes.get(number).map(|lane| (number, lane)).ok_or(Error::InvalidParam)
    }

    fn for_both(&self, change: impl Fn(&mut Lane)) {
        self.lanes.iter().for_each(|lane| change(&mut lock(lane)));
    }

    fn forget_kick(&mut self, number: usize) {
        if let Some(kick) = self.kicks[number].take() {
            // The hypervisor has it open as well, so that closing it would not take it out.
            let _ = epoll::delete(&self.knocks, &kick);
        }
    }

    fn stop(&mut self, number: usize) {
        self.forget_kick(number);
        let mut lane = lock(&self.lanes[number]);
        lane.stop();
        lane.call = None;
    }

    fn reset(&mut self) {
        for number in [TO_GUEST, FROM_GUEST] {
            self.stop(number);
        }
        self.for_both(|lane| lane.enable(false));
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.reset();
        // The last who has the memory unmaps it, which takes time that the segment, whose outlet has a lane, has not.
        self.for_both(|lane| lane.set_memory(None));
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::InvalidOperation("not offered"))
}

/// No end of a ring may make us wait, whatever kind of file we were given.
fn without_waiting(file: Option<File>) -> Result<Option<File>> {
    if let Some(file) = &file {
        rustix::io::ioctl_fionbio(file, true).map_err(|error| Error::ReqHandlerError(error.into()))?;
    }
    Ok(file)
}

impl VhostUserBackendReqHandlerMut for Card {
    fn set_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<()> {
        self.reset();
        Ok(())
    }

    fn reset_device(&mut self) -> Result<()> {
        self.reset();
        Ok(())
    }

    fn get_features(&mut self) -> Result<u64> {
        Ok(OFFERED)
    }

    fn set_features(&mut self, features: u64) -> Result<()> {
        if features & !OFFERED != 0 {
            return Err(Error::InvalidParam);
        }
        let has = |bit: u32| features & 1 << bit != 0;
        let mergeable = has(VIRTIO_NET_F_MRG_RXBUF);
        let agreed = Agreed {
            // Before version 1, the header had no count of buffers unless they can be merged.
            header: if mergeable || has(VIRTIO_F_VERSION_1) { 12 } else { 10 },
            mergeable,
            event_index: has(VIRTIO_RING_F_EVENT_IDX),
        };
        let always_enabled = features & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() == 0;
        self.for_both(|lane| {
            lane.agreed = agreed;
            if always_enabled {
                lane.enable(true);
            }
        });
        Ok(())
    }

    fn set_mem_table(
        &mut self,
        regions: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _: Option<bool>,
    ) -> Result<Option<Vec<VhostUserMemoryRegionBase>>> {
        let memory = Arc::new(SharedMemory::map(regions, files).map_err(Error::ReqHandlerError)?);
        self.for_both(|lane| lane.set_memory(Some(memory.clone())));
        self.memory = Some(memory);
        Ok(None)
    }

    fn set_vring_num(&mut self, index: u32, entries: u32) -> Result<()> {
        let mut lane = lock(self.named(index)?.1);
        if !lane.ring.set_length(entries) {
            return Err(Error::InvalidParam);
        }
        lane.check();
        Ok(())
    }

    fn set_vring_addr(
        &mut self,
        index: u32,
        _: VhostUserVringAddrFlags,
        table: u64,
        used: u64,
        available: u64,
        _: u64,
    ) -> Result<()> {
        let memory = self.memory.as_ref().ok_or(Error::InvalidParam)?;
        let in_guest = |address| memory.guest_address(address).ok_or(Error::InvalidParam);
        let addresses = (in_guest(table)?, in_guest(available)?, in_guest(used)?);
        let mut lane = lock(self.named(index)?.1);
        if !lane.ring.set_addresses(addresses.0, addresses.1, addresses.2) {
            return Err(Error::InvalidParam);
        }
        lane.check();
        Ok(())
    }

    fn set_vring_base(&mut self, index: u32, base: u32) -> Result<()> {
        // The ring itself says where it stands.
        if base > u16::MAX.into() { Err(Error::InvalidParam) } else { self.named(index).map(drop) }
    }

    fn get_vring_base(&mut self, index: u32) -> Result<VhostUserVringState> {
        let (number, _) = self.named(index)?;
        self.stop(number);
        let position = lock(&self.lanes[number]).ring.position();
        Ok(VhostUserVringState::new(index, position.into()))
    }

    fn set_vring_kick(&mut self, index: u8, kick: Option<File>) -> Result<()> {
        let (number, _) = self.named(index.into())?;
        self.forget_kick(number);
        let kick = kick.ok_or(Error::InvalidOperation("a ring that is polled"))?;
        // Each knock is an edge, so that nobody has to read what may not be readable.
        let (token, edges) =
            (epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN | epoll::EventFlags::ET);
        epoll::add(&self.knocks, &kick, token, edges)
            .map_err(|error| Error::ReqHandlerError(error.into()))?;
        self.kicks[number] = Some(kick);
        lock(&self.lanes[number]).start();
        Ok(())
    }

    fn set_vring_call(&mut self, index: u8, call: Option<File>) -> Result<()> {
        let call = without_waiting(call)?;
        lock(self.named(index.into())?.1).call = call;
        Ok(())
    }

    fn set_vring_err(&mut self, index: u8, _: Option<File>) -> Result<()> {
        self.named(index.into()).map(drop)
    }

    fn get_protocol_features(&mut self) -> Result<VhostUserProtocolFeatures> {
        Ok(VhostUserProtocolFeatures::REPLY_ACK)
    }

    fn set_protocol_features(&mut self, features: u64) -> Result<()> {
        if features & !VhostUserProtocolFeatures::REPLY_ACK.bits() == 0 { Ok(()) } else { refused() }
    }

    fn get_queue_num(&mut self) -> Result<u64> {
        Ok(self.lanes.len() as u64)
    }

    fn set_vring_enable(&mut self, index: u32, enable: bool) -> Result<()> {
        lock(self.named(index)?.1).enable(enable);
        Ok(())
    }

    fn get_config(&mut self, _: u32, _: u32, _: VhostUserConfigFlags) -> Result<Vec<u8>> {
        refused()
    }

    fn set_config(&mut self, _: u32, _: &[u8], _: VhostUserConfigFlags) -> Result<()> {
        refused()
    }

    fn set_gpu_socket(&mut self, _: GpuBackend) -> Result<()> {
        refused()
    }

    fn get_shared_object(&mut self, _: VhostUserSharedMsg) -> Result<File> {
        refused()
    }

    fn get_inflight_fd(&mut self, _: &VhostUserInflight) -> Result<(VhostUserInflight, File)> {
        refused()
    }

    fn set_inflight_fd(&mut self, _: &VhostUserInflight, _: File) -> Result<()> {
        refused()
    }

    fn get_max_mem_slots(&mut self) -> Result<u64> {
        refused()
    }

    fn add_mem_region(
        &mut self,
        _: &VhostUserSingleMemoryRegion,
        _: File,
        _: Option<bool>,
    ) -> Result<Option<VhostUserMemoryRegionBase>> {
        refused()
    }

    fn remove_mem_region(&mut self, _: &VhostUserSingleMemoryRegion) -> Result<()> {
        refused()
    }

    fn set_device_state_fd(
        &mut self,
        _: VhostTransferStateDirection,
        _: VhostTransferStatePhase,
        _: File,
    ) -> Result<Option<File>> {
        refused()
    }

    fn check_device_state(&mut self) -> Result<()> {
        refused()
    }

    fn get_shmem_config(&mut self) -> Result<VhostUserShMemConfig> {
        refused()
    }

    fn set_log_base(&mut self, _: &VhostUserLog, _: File) -> Result<()> {
        refused()
    }
}
