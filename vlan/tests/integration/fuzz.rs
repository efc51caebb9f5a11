//! Somebody at a port who means harm, in each protocol: the others go on, and whoever comes next is served.

use std::fs;
use std::io::Write;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use driver_core::vlan::Plug;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::support::{ALL, Bed, LONG, Machine, Stream, frame, mac, vde_request};

/// Random numbers that a test can repeat.
struct Random(SplitMix64);

impl Random {
    fn of(seed: u64) -> Self {
        Self(SplitMix64::from_seed(seed.to_le_bytes()))
    }

    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A frame that is one, more or less. It never claims to be from one of the machines that mean well.
    fn frame(&mut self) -> Vec<u8> {
        let most = [20, 2000, 70_000][self.below(3)];
        let mut bytes = self.bytes(most);
        if let Some(from) = bytes.get_mut(6) {
            *from = 0x02;
        }
        if self.below(3) == 0
            && let Some(to) = bytes.first_chunk_mut()
        {
            *to = [ALL, mac(1), mac(2)][self.below(3)];
        }
        bytes
    }

    /// The same with an error here and there.
    fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 if !bytes.is_empty() => bytes[at] = self.next().to_le_bytes()[0],
                1 => bytes.truncate(at),
                _ => bytes.insert(at, self.next().to_le_bytes()[0]),
            }
        }
        bytes
    }
}

/// A switch, two machines that mean well, and the port of one that does not.
struct Victims {
    bed: Bed,
    a: Stream,
    b: Stream,
    plug: Plug,
}

impl Victims {
    fn new() -> Self {
        let bed = Bed::new();
        let (a, b) = (bed.stream("a"), bed.stream("b"));
        let plug = bed.switch.plug("harm").expect("the host plays along");
        Self { bed, a, b, plug }
    }

    /// The others still hear each other, and the port serves the next one who comes.
    fn are_well(&mut self, seed: u64) {
        let greeting = format!("still here after {seed}");
        self.a.send(&frame(ALL, mac(1), "a is here"));
        self.b.send(&frame(mac(1), mac(2), &greeting));
        hear(&mut self.a, &greeting);
        self.a.send(&frame(mac(2), mac(1), &greeting));
        hear(&mut self.b, &greeting);

        let next = UnixStream::connect(&self.plug.stream).expect("the host plays along");
        let mut next = Stream::from(next);
        next.send(&frame(mac(1), mac(3), &format!("{greeting}, from its port")));
        hear(&mut self.a, &format!("{greeting}, from its port"));
        self.a.send(&frame(mac(3), mac(1), &greeting));
        hear(&mut next, &greeting);
        let mut lines = self.bed.log.lines();
        lines.sort();
        assert!(lines.windows(2).all(|two| two[0] != two[1]), "said twice (seed {seed}): {lines:?}");
    }
}

/// Waits for a text among the rubbish.
fn hear(machine: &mut impl Machine, text: &str) {
    loop {
        let frame = machine.next_within(LONG);
        let frame = frame.unwrap_or_else(|| panic!("nobody hears {text:?}"));
        if frame.get(14..) == Some(text.as_bytes()) {
            return;
        }
    }
}

/// Says rubbish over a stream. What the switch sends is not read.
fn stream(victims: &mut Victims, random: &mut Random) {
    let mut socket = UnixStream::connect(&victims.plug.stream).expect("the host plays along");
    socket.set_nonblocking(true).expect("the host plays along");
    for _ in 0..20 {
        let frame = random.frame();
        let length = match random.below(8) {
            0 => u32::try_from(random.next() >> 32).unwrap_or(0),
            1 => u32::try_from(random.below(14)).unwrap_or(0),
            2 => u32::try_from(frame.len() + 1).unwrap_or(0),
            _ => u32::try_from(frame.len()).unwrap_or(0),
        };
        let bytes = [&length.to_be_bytes()[..], &frame].concat();
        let bytes = if random.below(4) == 0 { random.mutated(bytes) } else { bytes };
        // It is full, or has been hung up.
        let _ = socket.write(&bytes);
    }
}

/// Sends datagrams of wild sizes, and makes strange things of its own socket.
fn dgram(victims: &mut Victims, random: &mut Random) {
    let peer = &victims.plug.dgram_peer;
    for _ in 0..3 {
        let _ = fs::remove_file(peer);
        let socket = match random.below(4) {
            0 => UnixDatagram::unbound().expect("the host plays along"),
            1 => {
                fs::write(peer, "no socket").expect("the host plays along");
                UnixDatagram::unbound().expect("the host plays along")
            }
            _ => UnixDatagram::bind(peer).expect("the host plays along"),
        };
        socket.set_nonblocking(true).expect("the host plays along");
        for _ in 0..random.below(20) {
            // Too many or too long for the host.
            let _ = socket.send_to(&random.frame(), &victims.plug.dgram);
        }
    }
    let _ = fs::remove_file(peer);
}

/// Asks for VDE ports in every wrong way, and for some in the right one.
fn vde(victims: &mut Victims, random: &mut Random) {
    let dirs = [victims.plug.vde.clone(), victims.bed.switch.vde_dir().to_owned()];
    let mut connections = Vec::new();
    for number in 0..6 {
        let dir = &dirs[random.below(2)];
        let path = dir.join(format!(".harm{number}"));
        let _ = fs::remove_file(&path);
        let data = UnixDatagram::bind(&path).expect("the host plays along");
        data.set_nonblocking(true).expect("the host plays along");
        let claimed = match random.below(8) {
            0 => random.bytes(120),
            1 => b"/".to_vec(),
            2 => b"relative".to_vec(),
            3 => dir.join("ctl").into_os_string().into_encoded_bytes(),
            _ => path.clone().into_os_string().into_encoded_bytes(),
        };
        let kind = u32::try_from(random.below(3) | random.below(3) << 8).expect("the host plays along");
        let request = vde_request(0xfeed_face, 3, kind, &claimed[..claimed.len().min(108)]);
        let request = if random.below(3) == 0 { random.mutated(request) } else { request };
        let mut control = UnixStream::connect(dir.join("ctl")).expect("the host plays along");
        for part in request.chunks(1 + random.below(200)) {
            // It may have been hung up.
            let _ = control.write(part);
        }
        let ours = fs::read_dir(dir).expect("the host plays along").flatten().map(|entry| entry.path());
        let ours: Vec<_> = ours
            .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'd'))
            .collect();
        for _ in 0..random.below(10) {
            if !ours.is_empty() {
                // Somebody else's, as a rule.
                let _ = data.send_to(&random.frame(), &ours[random.below(ours.len())]);
            }
        }
        if random.below(2) == 0 {
            connections.push((control, data));
        }
        let _ = fs::remove_file(&path);
    }
}

type Torment = fn(&mut Victims, &mut Random);

fn short(torment: Torment) {
    let mut victims = Victims::new();
    for seed in 0..20 {
        torment(&mut victims, &mut Random::of(seed));
        victims.are_well(seed);
    }
}

#[test]
fn nobody_does_harm_by_a_stream() {
    short(stream);
}

#[test]
fn nobody_does_harm_by_datagrams() {
    short(dgram);
}

#[test]
fn nobody_does_harm_by_vde() {
    short(vde);
}

/// `PORT_FUZZ_SECONDS=600 cargo test -p vlan fuzz::long -- --ignored --nocapture`; with `PORT_FUZZ_SEED` it begins
/// with the seed that a finding printed.
#[expect(clippy::print_stdout, reason = "says how far it came")]
fn long(name: &str, torment: Torment) {
    let setting = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seconds = setting("PORT_FUZZ_SECONDS").unwrap_or(600);
    let first = setting("PORT_FUZZ_SEED").unwrap_or(1000);
    let (mut victims, start, mut seed) = (Victims::new(), Instant::now(), first);
    while start.elapsed() < Duration::from_secs(seconds) {
        torment(&mut victims, &mut Random::of(seed));
        victims.are_well(seed);
        seed += 1;
    }
    println!("{name}: {} torments in {seconds} s", seed - first);
}

#[test]
#[ignore = "runs for as long as PORT_FUZZ_SECONDS says, 600 without it"]
fn long_stream() {
    long("stream", stream);
}

#[test]
#[ignore = "runs for as long as PORT_FUZZ_SECONDS says, 600 without it"]
fn long_dgram() {
    long("dgram", dgram);
}

#[test]
#[ignore = "runs for as long as PORT_FUZZ_SECONDS says, 600 without it"]
fn long_vde() {
    long("vde", vde);
}
