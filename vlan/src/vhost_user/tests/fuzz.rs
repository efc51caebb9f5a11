//! Hypervisors whose messages are hit, and guests whose rings are: the others never notice, and whoever comes next
//! is served.

use std::fs::File;
use std::io::{IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vhost::VhostBackend as _;
use vhost::vhost_user::VhostUserFrontend as _;
use vm_memory::{GuestMemoryBackend as _, GuestRegionMmap};

use super::guest::{ENTRIES, EVENT_INDEX, Guest, MEMORY, MERGEABLE, RX, TX, UPPER, VERSION_1, frame, parts};
use super::{MODERN, Stage, until};
use crate::vhost_user::guard::Guard;

/// Random numbers that a test can repeat.
struct Random(SplitMix64);

impl Random {
    fn of(seed: u64) -> Self {
        Self(SplitMix64::from_seed(seed.to_le_bytes()))
    }

    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// A number that somebody may have forgotten to think of.
    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => self.below(4),
            2 => u64::MAX - self.below(4096),
            3 => 1 << self.below(64),
            4 => UPPER + self.below(MEMORY),
            5 => self.below(MEMORY),
            6 => UPPER + MEMORY / 2 - self.below(64),
            _ => self.next() >> self.below(64),
        }
    }

    fn short(&mut self) -> u16 {
        u16::try_from(self.number() & 0xffff).unwrap()
    }

    /// A file for a message: mostly what it asks for.
    fn file(&mut self, code: u32) -> OwnedFd {
        let kind = match code {
            5 if !self.one_in(20) => 5,
            12 | 13 if !self.one_in(20) => 0,
            _ => self.below(6),
        };
        match kind {
            0 => eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap(),
            1 => std::io::pipe().unwrap().1.into(),
            2 => UnixStream::pair().unwrap().0.into(),
            3 => File::open("/dev/null").unwrap().into(),
            _ => {
                let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
                let length = if self.one_in(20) { self.below(MEMORY) } else { MEMORY };
                rustix::fs::ftruncate(&file, length).unwrap();
                file
            }
        }
    }
}

/// What a hypervisor says to start a card, as bytes; `share` has the messages with memory.
fn sound(random: &mut Random) -> (u32, Vec<u8>, usize) {
    let ring = random.below(2);
    let at = |offset: u64| 0x7000_0000_0000_u64 + offset;
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let pair = |a: u64, b: u64| words(&[a | b << 32]);
    match random.below(16) {
        0 => (1, Vec::new(), 0),
        1 => (2, words(&[(MODERN | 1 << 30) & random.next()]), 0),
        2 => (3, Vec::new(), 0),
        3..=5 => (5, words(&[2, 0, MEMORY / 2, at(0), 0, UPPER, MEMORY / 2, at(UPPER), 0]), 2),
        6 => (8, pair(ring, 1 << random.below(17)), 0),
        7 | 8 => {
            let [table, available, used] = parts(0);
            (9, words(&[ring, at(table), at(used), at(available), 0]), 0)
        }
        9 => (10, pair(ring, random.below(70_000)), 0),
        10 => (11, pair(ring, 0), 0),
        11 | 12 => (12, words(&[ring]), 1),
        13 => (13, words(&[ring]), 1),
        14 => (16, words(&[random.below(16)]), 0),
        _ => (18, pair(ring, random.below(3)), 0),
    }
}

fn messages(stage: &Stage, random: &mut Random) {
    let socket = UnixStream::connect(stage.socket("liar")).unwrap();
    socket.set_nonblocking(true).unwrap();
    for _ in 0..random.below(40) {
        let (mut code, mut body, mut files) = sound(random);
        if random.one_in(6) {
            match random.below(5) {
                0 => code = u32::from(random.short()),
                1 => body.truncate(random.below(80) as usize),
                2 => body.extend(vec![7; random.below(5000) as usize]),
                3 => files = random.below(9) as usize,
                _ if body.is_empty() => {}
                _ => {
                    let at = random.below(body.len() as u64) as usize;
                    body[at] = random.next() as u8;
                }
            }
        }
        let mut flags = 1 + 8 * random.below(2) as u32;
        let mut length = body.len() as u32;
        if random.one_in(20) {
            flags = random.number() as u32;
        }
        if random.one_in(20) {
            length = random.number() as u32;
        }
        let mut bytes: Vec<u8> = [code, flags, length].iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(body);
        let files: Vec<OwnedFd> = (0..files).map(|_| random.file(code)).collect();
        let files: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        }
        let quietly = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if sendmsg(&socket, &[IoSlice::new(&bytes)], &mut control, quietly).is_err() {
            return;
        }
        if random.one_in(2) {
            drop((&socket).read(&mut [0; 256]));
        }
    }
}

fn rings(stage: &Stage, others: &mut [Guest; 2], random: &mut Random) {
    let features = random.next() & (VERSION_1 | MERGEABLE | EVENT_INDEX);
    let buffer = 1 << random.below(12);
    let mut liar = stage.guest("liar", features, buffer);
    // The file may be cut under us as well.
    let watch = |region: &GuestRegionMmap| Guard::watch(region.get_mmap()).unwrap();
    let _guards: Vec<Guard> = liar.memory.iter().map(watch).collect();
    for _ in 0..random.below(300) {
        let ring = random.below(2) as usize;
        match random.below(12) {
            0..=3 => {
                let (index, next) = (random.short() % ENTRIES, random.short());
                let (address, length) = (random.number(), random.number() as u32);
                liar.descriptor(ring, index, address, length, random.short() % 8, next);
            }
            4..=6 => {
                let head = random.short();
                liar.push(ring, if random.one_in(30) { head } else { head % ENTRIES });
            }
            7 => liar.send_quietly(&frame(3, random.below(3000).max(14) as usize)),
            8 => others[0].send(&frame(1, random.below(9000).max(14) as usize)),
            9 if random.one_in(20) => liar.write(&random.short().to_le_bytes(), parts(ring)[1] + 2),
            10 if random.one_in(20) => liar.file.set_len(random.below(MEMORY)).unwrap(),
            11 if random.one_in(20) => {
                drop(liar.frontend.set_vring_enable(ring, random.one_in(2)));
                drop(liar.frontend.get_vring_base(ring));
                drop(liar.frontend.set_vring_kick(ring, &liar.halves[ring].kick));
            }
            _ => {}
        }
        liar.knock([RX, TX][random.below(2) as usize]);
    }
    if random.one_in(3) {
        liar.file.set_len(random.below(MEMORY)).unwrap();
    }
    others[0].send(&frame(1, 60));
}

fn torment(stage: &Stage, others: &mut [Guest; 2], seed: u64) {
    let mut random = Random::of(seed);
    if random.one_in(2) {
        messages(stage, &mut random);
    } else {
        rings(stage, others, &mut random);
    }
    assert!(until(|| stage.stats("liar").kind.is_none()), "seed {seed}: the liar is still plugged in");
    let mark = frame((seed % 251) as u8, 1000 + (seed % 97) as usize);
    let [server, client] = others;
    server.send(&mark);
    while client.receive().unwrap_or_else(|| panic!("seed {seed}: the others do not hear each other")) != mark
    {
    }
    let mut liar = stage.guest("liar", MODERN, 2048);
    liar.send(&mark);
    for other in [server, client] {
        while other.receive().unwrap_or_else(|| panic!("seed {seed}: the next is not served")) != mark {}
    }
    drop(liar);
    assert!(until(|| stage.stats("liar").kind.is_none()), "seed {seed}: the next is still plugged in");
}

fn stage() -> (Stage, [Guest; 2]) {
    let stage = Stage::new(&["liar", "server", "client"]);
    let others = ["server", "client"].map(|name| stage.guest(name, MODERN, 2048));
    (stage, others)
}

#[test]
fn nobody_does_harm() {
    let (stage, mut others) = stage();
    (0..200).for_each(|seed| torment(&stage, &mut others, seed));
}

/// `VHOST_USER_FUZZ_SECONDS=600 cargo test -p vlan vhost_user::tests::fuzz -- --ignored --nocapture`; with
/// `VHOST_USER_FUZZ_SEED` it begins with the seed that a finding printed.
#[test]
#[ignore = "runs for as long as VHOST_USER_FUZZ_SECONDS says, 600 without it"]
#[expect(clippy::print_stdout, reason = "says how far it came")]
fn fuzz() {
    let setting = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seconds = setting("VHOST_USER_FUZZ_SECONDS").unwrap_or(600);
    let first = setting("VHOST_USER_FUZZ_SEED").unwrap_or(1000);
    let ((stage, mut others), start, mut seed) = (stage(), Instant::now(), first);
    while start.elapsed() < Duration::from_secs(seconds) {
        torment(&stage, &mut others, seed);
        seed += 1;
    }
    println!("{} hypervisors and guests in {seconds} s", seed - first);
}
