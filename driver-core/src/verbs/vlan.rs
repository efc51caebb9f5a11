//! The verbs of VLANs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::table::verb;
use super::{Handle, Verb};
use crate::error::DriverError;
use crate::vlan::{Between, CaptureId, ExpectedPacket, Fault, FaultId, FaultKind, Packet, Vlan};

pub(super) static TABLE: &[Verb] = &[
    // Faults
    verb!(Vlan partition(groups: Groups) -> Handle,
    "Keeps groups of machines apart: `partition([a, b], [c])`. Machines in no group hear everybody; a single group \
     is cut off from all others. Ends with the block, by `lift()`, or by `heal()`, as all faults do.",
    |call, args| impose(call.vlan()?, FaultKind::Partition { groups: args.groups }, Ok(Between::All), None)),
    verb!(Vlan delay(
        ms: Number, jitter: Number = "0", between: Between = "null", one_way: Bool = "false",
        seed: MaybeCount = "null"
    ) -> Handle,
    "Makes frames come later: by `ms` milliseconds, and up to `jitter` more or less. Their order stays.",
    |call, args| {
        let kind = FaultKind::Delay { by: millis(args.ms)?, jitter: millis(args.jitter)? };
        impose(call.vlan()?, kind, side(args.between, args.one_way), args.seed)
    }),
    verb!(Vlan loss(
        percent: Number, between: Between = "null", one_way: Bool = "false", seed: MaybeCount = "null"
    ) -> Handle,
    "Loses so many of a hundred frames.",
    |call, args| {
        let kind = FaultKind::Loss { percent: args.percent };
        impose(call.vlan()?, kind, side(args.between, args.one_way), args.seed)
    }),
    verb!(Vlan rate(mbit: Number, between: Between = "null", one_way: Bool = "false") -> Handle,
    "Lets through at most so many million bits a second, in each direction between each two machines.",
    |call, args| {
        let kind = FaultKind::Rate { bits_per_second: bits(args.mbit)? };
        impose(call.vlan()?, kind, side(args.between, args.one_way), None)
    }),
    verb!(Vlan duplicate(
        percent: Number, between: Between = "null", one_way: Bool = "false", seed: MaybeCount = "null"
    ) -> Handle,
    "Delivers so many of a hundred frames twice.",
    |call, args| {
        let kind = FaultKind::Duplicate { percent: args.percent };
        impose(call.vlan()?, kind, side(args.between, args.one_way), args.seed)
    }),
    verb!(Vlan reorder(
        percent: Number, ms: Number = "10", between: Between = "null", one_way: Bool = "false",
        seed: MaybeCount = "null"
    ) -> Handle,
    "Holds so many of a hundred frames back for `ms` milliseconds, so that later ones overtake them.",
    |call, args| {
        let kind = FaultKind::Reorder { percent: args.percent, by: millis(args.ms)? };
        impose(call.vlan()?, kind, side(args.between, args.one_way), args.seed)
    }),
    verb!(Vlan lift(fault: Handle) -> Flag,
        "Lifts one fault, and says whether it was still on. What it holds back is delivered.",
        |call, args| async { Ok(call.vlan()?.lift(FaultId(args.fault))) }),
    verb!(Vlan heal() -> Nothing,
        "Lifts all faults of the VLAN.",
        |call, _args| async { call.vlan()?.heal(); Ok(()) }),
    // What passes
    verb!(Vlan capture(file: MaybeText = "null", limit: MaybeCount = "null") -> Handle,
    "Records all that passes, as pcapng: in `vlan1.pcapng` in the result directory, or in `file`, until that has \
     `limit` bytes. Ends with the block, by `end()`, or with the run.",
    |call, args| async {
        let (CaptureId(id), file) = call.vlan()?.start_capture(args.file.as_deref(), args.limit)?;
        let fields = json!({ "file": file });
        Ok(Handle { id, end: "end_capture", cancel: "end_capture", fields })
    }),
    verb!(Vlan end_capture(capture: Handle) -> Json,
    "Ends a capture, whose file is whole then. Says how many `frames` and `bytes` it has, and how many frames were \
     `left_out` for want of room; null when it has ended before.",
    |call, args| async { Ok(call.vlan()?.end_capture(CaptureId(args.capture))) }),
    verb!(Vlan stats() -> Json,
    "What has passed so far, by port: for each the `machine`, its `kind`, frames and bytes in both directions as the \
     machine sees them (`sent_frames`, ...), and what was lost (`dropped_full`, `dropped_by_fault`, `malformed`).",
    |call, _args| async { stats(call.vlan()?) }),
    verb!(Vlan wait_for_packet(filter: Text, timeout: Duration = "900") -> Packet,
    "Waits for the next packet that fits a filter: `tcp syn and port 80 and from client`.",
    |call, args| async {
        let packet = call.vlan()?.wait_for_packet(&args.filter, args.timeout.0).await?;
        Ok(told(&packet))
    }),
    verb!(Vlan expect_packet(filter: Text, timeout: Duration = "900") -> Handle,
    "Looks out for a packet while a block of code runs, and waits for it at the block's end: `timeout` from then on.",
    |call, args| async {
        let expected = call.vlan()?.expect_packet(&args.filter)?;
        let id = call.driver.expected.add(expected, args.timeout.0);
        Ok(Handle { id, end: "await_packet", cancel: "forget_packet", fields: json!({}) })
    }),
    verb!(Vlan await_packet(expected: Handle) -> Packet,
    "Waits for a packet that `expect_packet` looks out for.",
    |call, args| async {
        let again = || DriverError::usage("this packet has been waited for before");
        let (expected, timeout) = call.driver.expected.take(args.expected).ok_or_else(again)?;
        Ok(told(&expected.seen(timeout).await?))
    }),
    verb!(Vlan forget_packet(expected: Handle) -> Nothing,
        "Ends what `expect_packet` began, without a packet.",
        |call, args| async { call.driver.expected.take(args.expected); Ok(()) }),
];

/// The packets that scripts look out for, until they wait for them.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    next: AtomicU64,
    packets: Mutex<BTreeMap<u64, (ExpectedPacket, Duration)>>,
}

impl Expected {
    fn add(&self, packet: ExpectedPacket, timeout: Duration) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.packets.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (packet, timeout));
        id
    }

    fn take(&self, id: u64) -> Option<(ExpectedPacket, Duration)> {
        self.packets.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

async fn impose(
    vlan: &Vlan,
    kind: FaultKind,
    between: Result<Between, DriverError>,
    seed: Option<u64>,
) -> Result<Handle, DriverError> {
    let (FaultId(id), fault) = vlan.impose_for_good(Fault { kind, between: between?, seed })?;
    let fields = json!({ "description": fault.to_string(), "seed": fault.seed });
    Ok(Handle { id, end: "lift", cancel: "lift", fields })
}

/// Between whom a fault is, as scripts say it.
fn side(between: Option<Vec<Vec<String>>>, one_way: bool) -> Result<Between, DriverError> {
    let Some(groups) = between else {
        let message = "one_way needs to know from whom to whom: between=(from, to)";
        return if one_way { Err(DriverError::usage(message)) } else { Ok(Between::All) };
    };
    let wrong = "between takes a machine, or two (each may be a list of machines that is not empty)";
    if groups.iter().any(Vec::is_empty) {
        return Err(DriverError::usage(wrong));
    }
    let mut groups = groups.into_iter();
    match (groups.next(), groups.next(), groups.next()) {
        // No second group: all others.
        (Some(some), others, None) if one_way => Ok(Between::OneWay(some, others.unwrap_or_default())),
        (Some(some), others, None) => Ok(Between::BothWays(some, others.unwrap_or_default())),
        _ => Err(DriverError::usage(wrong)),
    }
}

fn millis(ms: f64) -> Result<Duration, DriverError> {
    Duration::try_from_secs_f64(ms / 1e3)
        .map_err(|error| DriverError::usage(format!("{ms} is not a time in milliseconds ({error})")))
}

fn bits(mbit: f64) -> Result<u64, DriverError> {
    let bits = (mbit * 1e6).round();
    if (1.0..=1e15).contains(&bits) {
        Ok(bits as u64)
    } else {
        Err(DriverError::usage(format!("{mbit} is not a rate in million bits a second")))
    }
}

fn stats(vlan: &Vlan) -> Result<Value, DriverError> {
    let mut ports = Map::new();
    for port in vlan.stats() {
        ports.insert(port.port.clone(), super::table::answer(port)?);
    }
    Ok(Value::Object(ports))
}

/// A packet as clients get it.
fn told(packet: &Packet) -> Value {
    let mut bytes = String::with_capacity(2 * packet.head.len());
    for byte in &packet.head {
        // Writing to a string cannot fail.
        let _ = write!(bytes, "{byte:02x}");
    }
    json!({
        "summary": packet.summary,
        "port": packet.port,
        "length": packet.length,
        "after_s": packet.after.as_secs_f64(),
        "bytes": bytes,
    })
}
