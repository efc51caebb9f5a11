//! What a run is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::evidence::EvidencePolicy;
use crate::image::Image;
use crate::journal::Journal;
use crate::machine::{Backend, Capabilities};
use crate::ocr::OcrEngine;
use crate::spec::{Boot, Share};
use crate::vlan::SwitchMaker;

/// How long a child of a command may hold its output unless the user says otherwise.
const GRACE: Duration = Duration::from_secs(10);
/// What a run, and a machine's boot, may take unless the user says otherwise.
const RUN_LIMIT: Duration = Duration::from_secs(60 * 60);
const BOOT_LIMIT: Duration = Duration::from_secs(5 * 60);
/// The memory of a machine of which nobody says any, in MiB.
const MEMORY_MIB: u64 = 1024;
/// The size of a capture's file unless the user says otherwise, in bytes.
const CAPTURE_LIMIT: u64 = 256 << 20;

/// What a run is made of.
#[derive(Debug)]
pub struct DriverConfig {
    /// Where all events go.
    pub journal: Journal,
    /// The result directory.
    pub out_dir: PathBuf,
    /// When the run must be over.
    pub deadline: Deadline,
    /// The machines; their names differ.
    pub machines: Vec<MachineConfig>,
    /// The agent for the guests, packed by gzip; without it, the plain shell serves.
    pub agent: Option<&'static [u8]>,
    /// How long a child of a command may hold its standard output after the command itself has ended; the
    /// call then returns with a warning. `None` waits for ever, and so does the plain shell.
    pub grace: Option<Duration>,
    /// Who makes the switches of VLANs; needed only if there are any.
    pub switches: Option<Arc<dyn SwitchMaker>>,
    /// More about VLANs. Those that only machines name need nothing more.
    pub vlans: Vec<VlanConfig>,
    /// Where the randomness of networks starts; `None` takes a new seed for each run.
    pub seed: Option<u64>,
    /// Who reads the text on screens; without it, the verbs that look for text there are refused.
    pub ocr: Option<Arc<dyn OcrEngine>>,
    /// The backends that a user could choose. Messages about what one lacks name those that have it.
    pub choice: Vec<(String, Capabilities)>,
    /// The directory of the needles that scripts look for on screens.
    pub needles: Option<PathBuf>,
    /// Where machines keep their disks; without it, in a directory that goes with the run.
    pub state: Option<StatePlace>,
    /// Who runs the start scripts of machines that the script makes, with its settings; without it, it cannot make any.
    pub start_scripts: Option<(Arc<dyn Backend>, serde_json::Value)>,
    /// What is gathered after a failure.
    pub evidence: EvidencePolicy,
    /// Whether what screens show is kept, for a video.
    pub video: bool,
}

/// Where machines keep what outlives a launch: the directories `vm-state-NAME` and `shared-xchg`, as the NixOS
/// driver has them (compat.md 2.5). They stay when the run is over.
#[derive(Debug, Clone)]
pub struct StatePlace {
    /// The directory that they are in.
    pub base: PathBuf,
    /// Whether a machine finds the state of an earlier run; otherwise that is removed first.
    pub keep: bool,
}

/// What a VLAN is made of.
#[derive(Debug, Clone)]
pub struct VlanConfig {
    /// Its number, from one.
    pub number: u32,
    /// Whether all that passes is recorded from the start.
    pub capture: bool,
    /// The size in bytes that the file of a capture may reach.
    pub capture_limit: u64,
    /// A tap device of the host to connect, by its name.
    pub tap: Option<String>,
    /// Whether machines get their addresses by DHCP.
    pub dhcp: bool,
    /// Where the randomness of its faults starts; `None` takes one from the run's seed.
    pub seed: Option<u64>,
}

impl VlanConfig {
    /// A VLAN without anything on it but machines; 256 MiB for a capture.
    #[must_use]
    pub fn new(number: u32) -> Self {
        let capture_limit = CAPTURE_LIMIT;
        Self { number, capture: false, capture_limit, tap: None, dhcp: false, seed: None }
    }
}

/// What a machine is made of, before the run has given it directories.
#[derive(Debug, Clone)]
pub struct MachineConfig {
    /// The name that scripts, logs and host names use.
    pub name: String,
    /// Who launches it.
    pub backend: Arc<dyn Backend>,
    /// How it boots.
    pub boot: Boot,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Virtual processors.
    pub cores: u32,
    /// Directories of the host that the guest can mount.
    pub shares: Vec<Share>,
    /// The VLANs that it has a network card on, in order.
    pub vlans: Vec<u32>,
    /// How long it may take from the launch to a shell that answers.
    pub boot_timeout: Duration,
    /// Whether a reboot of the guest restarts the machine even when the script does not say so.
    pub allow_reboot: bool,
    /// The backend's own settings, or null.
    pub options: serde_json::Value,
}

impl DriverConfig {
    /// A run without machines that leaves its results in `out_dir`: an hour at most, ten seconds of grace
    /// for outputs, no agent, no OCR engine, evidence after a failure, no video.
    #[must_use]
    pub fn new(out_dir: impl Into<PathBuf>, journal: Journal) -> Self {
        Self {
            journal,
            out_dir: out_dir.into(),
            deadline: Deadline::after(RUN_LIMIT),
            machines: Vec::new(),
            agent: None,
            grace: Some(GRACE),
            switches: None,
            vlans: Vec::new(),
            seed: None,
            ocr: None,
            needles: None,
            state: None,
            start_scripts: None,
            choice: Vec::new(),
            evidence: EvidencePolicy::default(),
            video: false,
        }
    }
}

impl MachineConfig {
    /// A machine with one processor, the memory that its image wants or else 1 GiB, and five minutes to boot.
    #[must_use]
    pub fn new(name: impl Into<String>, backend: Arc<dyn Backend>, image: Image) -> Self {
        Self {
            name: name.into(),
            backend,
            boot: image.boot,
            memory_mib: image.memory_mib.unwrap_or(MEMORY_MIB),
            cores: 1,
            shares: Vec::new(),
            vlans: Vec::new(),
            boot_timeout: BOOT_LIMIT,
            allow_reboot: false,
            options: serde_json::Value::Null,
        }
    }
}
