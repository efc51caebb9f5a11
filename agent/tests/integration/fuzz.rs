//! A driver that means harm, or whose bytes are hit: the agent serves the next one, and has run nothing that
//! was not sent whole.

use std::io::Write as _;
use std::time::{Duration, Instant};

use agent_protocol::message::{Command, Watch};
use agent_protocol::{Link, Role, ToGuest, VERSION, from_bytes, to_bytes};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::host::{Host, command};

/// What it may run; nothing else is sent in a sound frame.
const HARMLESS: [&str; 5] = ["true", "echo x", "cat", "head -c 300000 /dev/zero", "sleep 3"];

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

    fn number(&mut self) -> u32 {
        match self.below(3) {
            0 => u32::try_from(self.below(8)).unwrap_or(0),
            1 => u32::MAX,
            _ => u32::try_from(self.next() >> 32).unwrap_or(0),
        }
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn message(random: &mut Random) -> ToGuest {
    let id = random.number();
    match random.below(7) {
        0 => ToGuest::Hello { version: if random.below(2) == 0 { VERSION } else { random.number() } },
        1 | 2 => ToGuest::Run {
            id,
            command: Command {
                timeout_ms: (random.below(2) == 0).then(|| random.next() >> random.below(64)),
                stdin: random.below(2) == 0,
                grace_ms: (random.below(2) == 0).then(|| random.next() >> random.below(64)),
                ..command(HARMLESS[random.below(HARMLESS.len())])
            },
        },
        3 => ToGuest::Input { id, bytes: random.bytes(100_000) },
        4 => ToGuest::Grant { id, bytes: random.number() },
        5 => ToGuest::Cancel { id },
        _ => ToGuest::Watch { id, watch: Watch::Process { pid: random.number() } },
    }
}

/// The message with some bytes changed; as it was when that would be another command.
fn mutated(message: &ToGuest, random: &mut Random) -> Vec<u8> {
    let sound = to_bytes(message).expect("a message can be encoded");
    let mut bytes = sound.clone();
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] = random.next().to_le_bytes()[0],
            1 => bytes.truncate(at),
            _ => bytes.insert(at, random.next().to_le_bytes()[0]),
        }
        if bytes.is_empty() {
            break;
        }
    }
    match from_bytes::<ToGuest>(&bytes) {
        Ok(ToGuest::Run { command, .. })
            if !HARMLESS.iter().any(|script| command.script == script.as_bytes()) =>
        {
            sound
        }
        Ok(ToGuest::Leave) => sound,
        _ => bytes,
    }
}

/// Frames of another driver that would have a file made, hit in one place; and the same as text.
fn foreign(random: &mut Random) -> Vec<u8> {
    if random.below(3) == 0 {
        return b"\ntouch foreign\n".to_vec();
    }
    let mut other = Link::new(Role::Host, random.number() | 1 << 31);
    let mut bytes = Vec::new();
    for message in [
        ToGuest::Hello { version: VERSION },
        ToGuest::Run {
            id: 1,
            command: command(format!("touch foreign #{}", "x".repeat(random.below(6000)))),
        },
    ] {
        other.send(&to_bytes(&message).expect("a message can be encoded"));
        let mut frames = other.outgoing(Duration::ZERO);
        let at = random.below(frames.len());
        frames[at] ^= 1 << random.below(8);
        bytes.extend(frames);
        // A frame in two pieces stays broken only with all of them: one hit is enough, for none is sent again.
    }
    bytes
}

fn torment(host: &mut Host, seed: u64) {
    let mut random = Random::of(seed);
    for _ in 0..20 {
        match random.below(8) {
            0 => drop((&host.line).write(&random.bytes(5000))),
            1 => drop((&host.line).write(&foreign(&mut random))),
            _ => {
                let message = message(&mut random);
                host.link.send(&mutated(&message, &mut random));
            }
        }
        host.step();
    }
    // A rest of a frame may wait for bytes that never come; a new session finds its way all the same.
    let session = u32::try_from(seed & 0x00ff_ffff).unwrap_or(0) + 2;
    host.open(session);
    assert_eq!(host.run("echo still here").text(), "still here\n", "seed {seed}");
    assert!(!host.folder.path().join("foreign").exists(), "a foreign command was run (seed {seed})");
}

#[test]
fn no_driver_does_harm() {
    let mut host = Host::new();
    (0..20).for_each(|seed| torment(&mut host, seed));
}

/// `LINK_FUZZ_SECONDS=600 cargo test -p agent fuzz -- --ignored --nocapture`; with `LINK_FUZZ_SEED` it begins
/// with the seed that a finding printed.
#[test]
#[ignore = "runs for as long as LINK_FUZZ_SECONDS says, 600 without it"]
#[expect(clippy::print_stdout, reason = "says how far it came")]
fn fuzz() {
    let setting = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seconds = setting("LINK_FUZZ_SECONDS").unwrap_or(600);
    let first = setting("LINK_FUZZ_SEED").unwrap_or(1000);
    let (mut host, start, mut seed) = (Host::new(), Instant::now(), first);
    while start.elapsed() < Duration::from_secs(seconds) {
        torment(&mut host, seed);
        seed += 1;
    }
    println!("{} conversations in {seconds} s", seed - first);
}
