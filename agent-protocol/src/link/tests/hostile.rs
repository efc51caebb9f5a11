//! Peers that mean harm: no panic, no endless memory, no message that is too long.

use std::time::Instant;

use super::{
    line::{Faults, Random},
    *,
};

/// What a link may hold, whatever it is sent: an inbox, a message, and some pieces.
const MEMORY: usize = (1 << 20) + 3 * Link::MAX_MESSAGE;

/// One conversation of a link with a peer that sends noise, hit frames and frames of its own making.
fn torment(seed: u64) {
    let mut random = Random(seed);
    let role = if random.percent(50) { Role::Host } else { Role::Guest };
    let mut link = Link::new(role, SESSION);
    let takes = random.percent(70);
    let mut now = ms(0);
    let mut seq = 0u32;
    for _ in 0..200 {
        let mut bytes = Vec::new();
        for _ in 0..random.below(8) {
            seq = seq.wrapping_add(u32::from(random.percent(80)));
            let header = Header {
                version: if random.percent(1) { random.next() as u8 } else { FRAME_VERSION },
                flags: random.next() as u8,
                session: if random.percent(95) { SESSION } else { random.next() as u32 },
                seq: if random.percent(90) { seq } else { random.next() as u32 },
                expected: if random.percent(80) { random.below(40) as u32 } else { random.next() as u32 },
                round: random.below(3) as u8,
                seen_round: random.below(3) as u8,
            };
            if random.percent(90) {
                seq = link.receiver.expected();
            }
            let len = random.below(crate::frame::MAX_DATA + 1);
            header.write(&random.bytes(len), &mut bytes);
        }
        if random.percent(20) {
            let len = random.below(5000);
            bytes.extend(random.bytes(len));
        }
        if bytes.is_empty() {
            bytes.push(crate::frame::MAGIC[0]);
        }
        let faults = Faults { lose: 20, insert: 20, repeat: 20 };
        link.receive(&faults.apply(bytes, &mut random), now);
        if random.percent(50) {
            let len = random.below(10_000);
            let message = random.bytes(len);
            if link.backlog() < 100_000 {
                link.send(&message);
            }
        }
        let written = link.outgoing(now).len();
        assert!(written <= 400 << 10, "{written} bytes at once");
        if takes {
            assert!(messages(&mut link).iter().all(|message| message.len() <= Link::MAX_MESSAGE));
        }
        if random.percent(5) {
            link.stray();
        }
        assert!(link.scanner.held() + link.receiver.held() < MEMORY);
        let idle = random.below(300) as u64;
        now = link.wake_at().unwrap_or_default().max(now + ms(idle));
    }
}

#[test]
fn no_peer_does_harm() {
    (0..100).for_each(torment);
}

/// `LINK_FUZZ_SECONDS=600 cargo test --release -p agent-protocol fuzz -- --ignored --nocapture`;
/// with `LINK_FUZZ_SEED` it begins with the seed that a finding printed.
#[test]
#[ignore = "runs for as long as LINK_FUZZ_SECONDS says, 600 without it"]
#[expect(clippy::print_stdout, reason = "says how far it came")]
fn fuzz() {
    let setting = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seconds = setting("LINK_FUZZ_SECONDS").unwrap_or(600);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = setting("LINK_FUZZ_SEED").unwrap_or(clock.as_nanos() as u64);
    let (start, mut seed, mut longest) = (Instant::now(), first, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) {
        let talk = || {
            torment(seed);
            super::lossy::hard_conversation(seed)
        };
        match std::panic::catch_unwind(talk) {
            Ok(time) => longest = longest.max(time),
            Err(panic) => {
                println!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
        seed = seed.wrapping_add(1);
    }
    let count = seed.wrapping_sub(first);
    println!("{count} conversations of each kind in {seconds} s; the longest would have taken {longest:?}");
}

#[test]
fn a_message_without_end_is_refused() {
    let mut host = Link::new(Role::Host, SESSION);
    let mut header = Header {
        version: FRAME_VERSION,
        flags: flag::FROM_GUEST | flag::DATA | flag::MORE,
        session: SESSION,
        seq: 0,
        expected: 0,
        round: 0,
        seen_round: 0,
    };
    while host.broken().is_none() {
        let mut frame = Vec::new();
        header.write(&[0; crate::frame::MAX_DATA], &mut frame);
        host.receive(&frame, ms(0));
        header.seq += 1;
        assert!(header.seq < 2000);
    }
    assert_eq!(host.broken(), Some(Broken::TooLong));
    assert!(host.receiver.held() < MEMORY);
}
