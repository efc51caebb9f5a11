//! How fast frames go from one guest's memory to another's, without guests: two threads work their rings as fast as
//! they can.
//!
//! `cargo bench -p vlan --bench vhost_user` prints one line for each length of frames: frames a second that arrived,
//! and frames for each second of processor time that the port's thread used, which copies them out and in; the median
//! of several runs, the lowest and the highest.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../src/vhost_user/tests/guest.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "tests do more with a guest, and break where it does")]
mod guest;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use driver_core::vlan::{SwitchLog, SwitchMaker as _, SwitchSetup};
use vm_memory::{Bytes as _, GuestAddress};

use self::guest::{ENTRIES, EVENT_INDEX, Guest, MERGEABLE, RX, TX, UPPER, VERSION_1, frame, parts};

const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(1);
/// The space for one received frame, and for one that is sent.
const BUFFER: u64 = 2048;
const SEND: u64 = 4096;

#[derive(Debug)]
struct Silent;

impl SwitchLog for Silent {
    fn info(&self, _: &str) {}
    fn warning(&self, _: &str) {}
}

fn main() {
    // `cargo test --benches` calls benchmarks as well.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{:<34} {:>28} {:>34}", "", "frames/s (min-max)", "frames per CPU second (min-max)");
    for length in [64, 1514] {
        let mut runs: Vec<(f64, f64)> = (0..RUNS).map(|_| run(length)).collect();
        let mut column = |value: fn(&(f64, f64)) -> f64| {
            runs.sort_by(|one, other| value(one).total_cmp(&value(other)));
            let million = |index: usize| value(&runs[index]) / 1e6;
            format!("{:.2} M ({:.2}-{:.2})", million(RUNS / 2), million(0), million(RUNS - 1))
        };
        let name = format!("vhost-user, 2 ports, {length} bytes");
        println!("{name:<34} {:>28} {:>34}", column(|run| run.0), column(|run| run.1));
    }
}

fn run(length: usize) -> (f64, f64) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let setup =
        SwitchSetup { vlan: 1, dir: path, stations: Vec::new(), seed: 0, dhcp: None, log: Arc::new(Silent) };
    let switch = vlan::Switches.make(setup).expect("a switch");
    let [mut from, to] = ["from", "to"].map(|name| {
        let plug = switch.plug(name).expect("a port");
        Guest::new(&plug.vhost_user, VERSION_1 | MERGEABLE | EVENT_INDEX, BUFFER)
    });
    let over = Arc::new(AtomicBool::new(false));
    for slot in 0..ENTRIES {
        let address = UPPER + u64::from(ENTRIES) * BUFFER + u64::from(slot) * SEND;
        from.write(&[&[0; 12], &*frame(1, length)].concat(), address);
        from.descriptor(TX, slot, address, u32::try_from(length + 12).expect("a length"), 0, 0);
        from.push(TX, slot);
    }
    from.knock(TX);
    let threads = [(from, TX), (to, RX)].map(|(mut guest, ring)| {
        let over = over.clone();
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                turn(&mut guest, ring);
            }
        })
    });
    let received = || switch.stats().iter().map(|port| port.received_frames).sum::<u64>() as f64;
    let (start, before, used) = (Instant::now(), received(), seconds());
    thread::sleep(RUN);
    let (count, elapsed, used) = (received() - before, start.elapsed().as_secs_f64(), seconds() - used);
    over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("a thread ends"));
    (count / elapsed, count / used)
}

/// Makes available again whatever was used.
fn turn(guest: &mut Guest, ring: usize) {
    let [_, _, used] = parts(ring);
    let load = |guest: &Guest, address| -> u16 {
        guest.memory.load(GuestAddress(address), Ordering::SeqCst).expect("an index")
    };
    let before = guest.halves[ring].available;
    let now = load(guest, used + 2);
    while guest.halves[ring].used != now {
        let entry = used + 4 + 8 * u64::from(guest.halves[ring].used % ENTRIES);
        let head: u32 = guest.memory.read_obj(GuestAddress(entry)).expect("an entry");
        guest.halves[ring].used = guest.halves[ring].used.wrapping_add(1);
        guest.push(ring, u16::try_from(head).expect("a head"));
    }
    let (event, after) = (load(guest, used + 4 + 8 * u64::from(ENTRIES)), guest.halves[ring].available);
    if after.wrapping_sub(event).wrapping_sub(1) < after.wrapping_sub(before) {
        guest.knock(ring);
    } else if before == after {
        thread::yield_now();
    }
}

/// How much processor time the ports' threads have used.
fn seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").expect("threads").flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
        name.starts_with("vhost-user").then(|| times.split(' ').next()?.parse::<f64>().ok())?
    });
    nanoseconds.sum::<f64>() / 1e9
}
