//! How fast a switch forwards, without guests: threads at its sockets send and drop as fast as they can.
//!
//! `cargo bench -p vlan` prints one line for each kind of port, number of ports and length of frames: frames a second
//! that arrived, and frames for each second of processor time that the switch's thread used (what one core could
//! forward if nothing else held it up); the median of several runs, the lowest and the highest.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use driver_core::vlan::{Fault, Plug, Switch, SwitchLog, SwitchMaker, SwitchSetup};

const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Silent;

impl SwitchLog for Silent {
    fn info(&self, _: &str) {}
    fn warning(&self, _: &str) {}
}

#[derive(Clone, Copy)]
enum Kind {
    Stream,
    Vde,
}

fn main() {
    // `cargo test --benches` calls benchmarks as well, which would take a minute.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{:<34} {:>28} {:>34}", "", "frames/s (min-max)", "frames per CPU second (min-max)");
    for (name, kind, ports, length) in [
        ("stream, 2 ports, 64 bytes", Kind::Stream, 2, 64),
        ("stream, 2 ports, 1514 bytes", Kind::Stream, 2, 1514),
        ("stream, 2 ports, 65535 bytes", Kind::Stream, 2, 65_535),
        ("stream, 64 ports, 64 bytes", Kind::Stream, 64, 64),
        ("stream, 64 ports, 1514 bytes", Kind::Stream, 64, 1514),
        ("vde, 2 ports, 64 bytes", Kind::Vde, 2, 64),
        ("vde, 2 ports, 1514 bytes", Kind::Vde, 2, 1514),
        ("vde, 64 ports, 64 bytes", Kind::Vde, 64, 64),
    ] {
        let mut runs: Vec<(f64, f64)> = (0..RUNS).map(|_| run(kind, ports, length)).collect();
        let mut column = |value: fn(&(f64, f64)) -> f64| {
            runs.sort_by(|one, other| value(one).total_cmp(&value(other)));
            let million = |index: usize| value(&runs[index]) / 1e6;
            format!("{:.2} M ({:.2}-{:.2})", million(RUNS / 2), million(0), million(RUNS - 1))
        };
        println!("{name:<34} {:>28} {:>34}", column(|run| run.0), column(|run| run.1));
    }
    latencies();
}

/// How long a frame takes from one socket to another, and how late it is when a fault delays it.
fn latencies() {
    println!("{:<34} {:>28}", "", "microseconds (min-max)");
    let by = Duration::from_millis(10);
    for (name, delay) in [("one frame, stream to stream", None), ("lateness of a delay of 10 ms", Some(by))] {
        let bench = Bench::new(Kind::Stream, 2);
        if let Some(by) = delay {
            let fault = Fault::delay(by, Duration::ZERO);
            bench.switch.impose(&fault).expect("a fault");
        }
        let [Machine::Stream(from), Machine::Stream(to)] = [&*bench.machines[0], &*bench.machines[1]] else {
            return;
        };
        let (mut from, mut to) = (from, to);
        let frame = frames([0xff; 6], mac(0), 64, 1);
        let mut times: Vec<f64> = (0..300)
            .map(|_| {
                let start = Instant::now();
                from.write_all(&frame).expect("the switch takes it");
                to.read_exact(&mut [0; 68]).expect("the switch delivers it");
                (start.elapsed() - delay.unwrap_or_default()).as_secs_f64() * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let figures = format!("{:.0} ({:.0}-{:.0})", times[150], times[0], times[299]);
        println!("{name:<34} {figures:>28}");
    }
}

/// A socket that frames are sent to and come from.
enum Machine {
    Stream(UnixStream),
    Vde(UnixStream, UnixDatagram),
}

impl Machine {
    fn plug(kind: Kind, plug: &Plug) -> Self {
        match kind {
            Kind::Stream => Self::Stream(UnixStream::connect(&plug.stream).expect("a connection")),
            Kind::Vde => {
                let mut control = UnixStream::connect(plug.vde.join("ctl")).expect("a connection");
                let path = plug.vde.join(".client");
                let data = UnixDatagram::bind(&path).expect("a socket");
                let mut request = [0_u8; 122];
                for (at, number) in [(0, 0xfeed_face_u32), (4, 3), (8, 0)] {
                    request[at..at + 4].copy_from_slice(&number.to_ne_bytes());
                }
                request[12..14].copy_from_slice(&1_u16.to_ne_bytes());
                let path = path.as_os_str().as_encoded_bytes();
                request[14..14 + path.len()].copy_from_slice(path);
                control.write_all(&request).expect("a request");
                let mut reply = [0; 110];
                control.read_exact(&mut reply).expect("a reply");
                let end = reply[2..].iter().position(|byte| *byte == 0).expect("a path");
                data.connect(Path::new(std::str::from_utf8(&reply[2..2 + end]).expect("a path")))
                    .expect("a peer");
                Self::Vde(control, data)
            }
        }
    }

    /// Sends a number of frames at once, as many as fit.
    fn send(&self, frames: &[u8], length: usize) {
        match self {
            Self::Stream(socket) => {
                let mut socket = socket;
                // Fails when the switch has been closed at the end of a run.
                let _ = socket.write_all(frames);
            }
            Self::Vde(_, socket) => {
                for frame in frames.chunks_exact(4 + length) {
                    let _ = socket.send(&frame[4..]);
                }
            }
        }
    }

    fn drain(&self, buffer: &mut [u8]) -> bool {
        match self {
            Self::Stream(socket) => {
                let mut socket = socket;
                socket.read(buffer).is_ok_and(|count| count > 0)
            }
            Self::Vde(_, socket) => socket.recv(buffer).is_ok_and(|count| count > 0),
        }
    }

    fn hang_up(&self) {
        let both = std::net::Shutdown::Both;
        let _ = match self {
            Self::Stream(socket) => socket.shutdown(both),
            Self::Vde(control, socket) => control.shutdown(both).and(socket.shutdown(both)),
        };
    }
}

fn mac(number: usize) -> [u8; 6] {
    [0x52, 0x54, 0, 0, 0, u8::try_from(number).expect("few ports")]
}

/// A switch with everybody plugged in.
struct Bench {
    switch: Arc<dyn Switch>,
    machines: Vec<Arc<Machine>>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(kind: Kind, ports: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let setup = SwitchSetup {
            vlan: 1,
            dir: dir.path().to_owned(),
            stations: Vec::new(),
            seed: 0,
            dhcp: None,
            log: Arc::new(Silent),
        };
        let switch = vlan::Switches.make(setup).expect("a switch");
        let plug = |number| switch.plug(&format!("m{number}")).expect("a port");
        let machines = (0..ports).map(|number| Arc::new(Machine::plug(kind, &plug(number)))).collect();
        while switch.stats().iter().any(|port| port.kind.is_none()) {
            thread::yield_now();
        }
        Self { switch, machines, _dir: dir }
    }
}

/// Frames a second, and frames for each second of the switch's processor time.
fn run(kind: Kind, ports: usize, length: usize) -> (f64, f64) {
    let Bench { switch, machines, _dir } = Bench::new(kind, ports);
    // Everybody is known before the time is taken.
    for (number, machine) in machines.iter().enumerate() {
        machine.send(&frames([0xff; 6], mac(number), length, 1), length);
    }
    let over = Arc::new(AtomicBool::new(false));
    let receivers: Vec<_> = machines.iter().map(|machine| spawn_receiver(machine, &over)).collect();
    while switch.stats().iter().any(|port| port.sent_frames == 0) {
        thread::yield_now();
    }
    // Half of them send to the other half.
    let senders: Vec<_> = machines[..ports / 2]
        .iter()
        .enumerate()
        .map(|(number, machine)| {
            let count = (128 * 1024 / (length + 4)).clamp(1, 64);
            let frames = frames(mac(number + ports / 2), mac(number), length, count);
            let (machine, over) = (Arc::clone(machine), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    machine.send(&frames, length);
                }
            })
        })
        .collect();
    let received =
        |switch: &dyn Switch| switch.stats().iter().map(|port| port.received_frames).sum::<u64>() as f64;
    let (start, before, used) = (Instant::now(), received(&*switch), switch_seconds());
    thread::sleep(RUN);
    let (count, elapsed) = (received(&*switch) - before, start.elapsed().as_secs_f64());
    let used = switch_seconds() - used;
    over.store(true, Ordering::Relaxed);
    machines.iter().for_each(|machine| machine.hang_up());
    for thread in senders.into_iter().chain(receivers) {
        thread.join().expect("a thread ends");
    }
    (count / elapsed, count / used)
}

fn spawn_receiver(machine: &Arc<Machine>, over: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (machine, over) = (Arc::clone(machine), Arc::clone(over));
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while machine.drain(&mut buffer) && !over.load(Ordering::Relaxed) {}
    })
}

/// Equal frames, each after its length.
fn frames(to: [u8; 6], from: [u8; 6], length: usize, count: usize) -> Vec<u8> {
    let mut frame = u32::try_from(length).expect("a length").to_be_bytes().to_vec();
    frame.extend([&to[..], &from, &[0x88, 0xb5]].concat());
    frame.resize(4 + length, 0);
    frame.repeat(count)
}

/// How much processor time the switch's thread has used.
fn switch_seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").expect("threads").flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
        name.starts_with("vlan-").then(|| times.split(' ').next()?.parse::<f64>().ok())?
    });
    nanoseconds.sum::<f64>() / 1e9
}
