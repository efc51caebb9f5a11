//! A guest that means harm in the agent's place: every call ends, with what came or with an error, and little
//! is kept of what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_protocol::message::{Holder, Notice, Stream};
use agent_protocol::{Link, Role, ToHost, VERSION, from_bytes, to_bytes};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::*;

/// What the host gives a call here.
const LIMIT: Duration = Duration::from_secs(100);

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
        (0..self.below(most)).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn message(random: &mut Random) -> ToHost {
    let id = u32::try_from(random.below(6)).unwrap_or(0);
    let stream = if random.below(2) == 0 { Stream::Stdout } else { Stream::Stderr };
    match random.below(9) {
        0..4 => ToHost::Output { id, stream, bytes: random.bytes(CHUNK) },
        4 => ToHost::Taken { id, bytes: u32::try_from(random.below(1 << 18)).unwrap_or(0) },
        5 => ToHost::Noticed { id, notice: Notice::There(random.below(2) == 0) },
        6 => ToHost::Hello { version: VERSION },
        7 if random.below(3) > 0 => ToHost::Output { id, stream, bytes: vec![b'x'] },
        7 => ToHost::Ended { id, end: End::Failed { reason: "no\u{1b}[2J".to_owned() } },
        _ => {
            let holder = Holder { pid: 1, command: "x".repeat(random.below(1000)) };
            let end = End::Exited { status: -1, held_by: vec![holder; random.below(4)] };
            ToHost::Ended { id, end }
        }
    }
}

/// Says hello, and then whatever.
async fn hostile(mut port: DuplexStream, mut random: Random) {
    let (mut link, began) = (Link::new(Role::Guest, 0), Instant::now());
    link.send(&to_bytes(&ToHost::Hello { version: VERSION }).unwrap());
    let (patience, mut buffer) = (random.below(2000), vec![0; 64 << 10]);
    for _ in 0..patience {
        if link.backlog() < 100_000 && random.below(3) > 0 {
            let mut bytes = to_bytes(&message(&mut random)).unwrap();
            if random.below(100) == 0 {
                let at = random.below(bytes.len());
                bytes[at] = bytes[at].wrapping_add(1 << random.below(8));
            }
            link.send(&bytes);
        }
        let mut out = link.outgoing(began.elapsed());
        match random.below(200) {
            0 => out.extend(random.bytes(3000)),
            1 => out.truncate(out.len() / 2),
            2 => out.extend(b"[   1.000000] kernel: hello\r\n"),
            3 if random.below(10) == 0 => out.extend(b"\nSpawning backdoor root shell...\n"),
            _ => {}
        }
        if port.write_all(&out).await.is_err() {
            return;
        }
        let pause = Duration::from_millis(random.next() % 3);
        match tokio::time::timeout(pause, port.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(count)) => link.receive(&buffer[..count], began.elapsed()),
            Err(_) => {}
        }
        while let Some(bytes) = link.message() {
            assert!(from_bytes::<ToGuest>(&bytes).is_ok(), "the host sends sense");
        }
    }
    // It falls silent, or goes.
    if random.below(2) == 0 {
        tokio::time::sleep(2 * LIMIT).await;
    }
}

async fn torment(seed: u64) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let guest = tokio::spawn(hostile(theirs, Random::of(seed)));
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    let streams = Streams { shell: Box::new(ours), bulk: None };
    let agent = Agent::open("server", streams, move |bytes| {
        count.fetch_add(bytes.len(), Ordering::Relaxed);
    });
    let began = Instant::now();
    let how = || How { timeout: None, grace: None, within: Deadline::after(LIMIT), bulk: false };
    if agent.ready(Deadline::after(LIMIT)).await.is_ok() {
        let run = |n: u64| {
            let agent = &agent;
            async move {
                let (mut output, most) = (Vec::new(), 1 << 20);
                let outcome = agent.run(&format!("command {n}"), how(), &mut output, most, &mut Nobody).await;
                assert!(output.len() as u64 <= most, "more than the caller wants");
                outcome.err().map(|error| error.to_string())
            }
        };
        let content = vec![7; 1 << 20];
        let watch = async {
            let within = Deadline::after(LIMIT);
            if let Ok(mut notices) = agent.watch(Watch::Process { pid: 1 }, within) {
                while let Ok(Told::Notice(_)) = notices.next().await {}
            }
        };
        let feed = agent.feed("cat", &content[..], how());
        let (one, two, three, _, ()) = tokio::join!(run(1), run(2), run(3), feed, watch);
        for error in [one, two, three].into_iter().flatten() {
            assert!(error.contains("server") && !error.contains("is no longer served"), "{error}");
        }
    }
    assert!(began.elapsed() <= 2 * LIMIT, "a call took {:?}", began.elapsed());
    assert!(heard.load(Ordering::Relaxed) <= 1 << 20, "the log is flooded");
    drop(agent);
    guest.abort();
    if let Err(error) = guest.await {
        assert!(!error.is_panic(), "the host talks nonsense");
    }
}

#[tokio::test]
async fn a_command_that_no_shell_can_run_is_refused_as_the_plain_shell_does_it() {
    let (ours, _theirs) = tokio::io::duplex(64 << 10);
    let agent = Agent::open("server", Streams { shell: Box::new(ours), bulk: None }, |_| {});
    let error = agent.fire("echo a\0b", Nobody).unwrap_err();
    assert!(matches!(error, DriverError::Usage { .. }), "{error}");
}

/// An agent that answers as long as it is not stopped: it says hello, and ends each command. With a lane, it is killed
/// as soon as it has ended the command `last`, and that is told elsewhere.
async fn polite(mut port: DuplexStream, mut lane: Option<DuplexStream>, mut stopped: watch::Receiver<bool>) {
    let (mut link, began, mut buffer) = (Link::new(Role::Guest, 0), Instant::now(), vec![0; 64 << 10]);
    let (mut by_lane, mut token) = (Vec::new(), None::<agent_protocol::Lane>);
    loop {
        drop(stopped.wait_for(|stopped| !stopped).await);
        port.write_all(&link.outgoing(began.elapsed())).await.unwrap();
        let pause = Duration::from_millis(10);
        if let Ok(Ok(count)) = tokio::time::timeout(pause, port.read(&mut buffer)).await {
            link.receive(&buffer[..count], began.elapsed());
        }
        while let Some(bytes) = link.message() {
            match from_bytes::<ToGuest>(&bytes).unwrap() {
                ToGuest::Hello { version } => link.send(&to_bytes(&ToHost::Hello { version }).unwrap()),
                ToGuest::Lane { token: number } => {
                    let opened = token.insert(agent_protocol::Lane::new(number));
                    lane.as_mut().unwrap().write_all(opened.opening()).await.unwrap();
                    link.send(&to_bytes(&ToHost::Lane { problem: None }).unwrap());
                }
                ToGuest::Run { id, .. } => link.send(&to_bytes(&ended(id)).unwrap()),
                _ => {}
            }
        }
        let (Some(lane), Some(opened)) = (&mut lane, &mut token) else { continue };
        if let Ok(Ok(count)) = tokio::time::timeout(pause, lane.read(&mut buffer)).await {
            opened.receive(&buffer[..count]);
        }
        while let Some(bytes) = opened.message().unwrap() {
            if let ToGuest::Run { id, command } = from_bytes(bytes).unwrap() {
                agent_protocol::Lane::wrap(&to_bytes(&ended(id)).unwrap(), &mut by_lane);
                if command.script == b"last" {
                    port.write_all(format!("\n{}\n", agent_protocol::message::KILLED).as_bytes())
                        .await
                        .unwrap();
                }
            }
        }
        lane.write_all(&std::mem::take(&mut by_lane)).await.unwrap();
    }
}

fn ended(id: RequestId) -> ToHost {
    ToHost::Ended { id, end: End::Exited { status: 0, held_by: Vec::new() } }
}

async fn is_stopped_and_goes_on(with_lane: bool) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (our_lane, their_lane) = tokio::io::duplex(64 << 10);
    let (stop, stopped) = watch::channel(false);
    let guest = tokio::spawn(polite(theirs, with_lane.then_some(their_lane), stopped));
    let bulk: Option<Box<dyn GuestStream>> = if with_lane { Some(Box::new(our_lane)) } else { None };
    let agent = Agent::open("server", Streams { shell: Box::new(ours), bulk }, |_| {});
    let far = || Deadline::after(Duration::from_secs(3600));
    let how = || How { timeout: None, grace: None, within: far(), bulk: false };
    agent.ready(far()).await.unwrap();
    agent.run("true", how(), &mut Vec::new(), 0, &mut Nobody).await.unwrap();

    stop.send_replace(true);
    // What it is at, it ends.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let error = agent.run("true", how(), &mut Vec::new(), 0, &mut Nobody).await.unwrap_err();
    assert!(error.to_string().contains("not answered"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert!(!agent.is_up() && !agent.is_gone());

    stop.send_replace(false);
    agent.ready(far()).await.unwrap();
    agent.run("true", how(), &mut Vec::new(), 0, &mut Nobody).await.unwrap();
    guest.abort();
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_was_stopped_for_long_ends_calls_and_serves_again_when_it_goes_on() {
    is_stopped_and_goes_on(false).await;
}

#[tokio::test(start_paused = true)]
async fn so_it_does_when_commands_go_by_the_lane() {
    is_stopped_and_goes_on(true).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_before_the_agent_was_killed_has_ended() {
    for _ in 0..20 {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (our_lane, their_lane) = tokio::io::duplex(64 << 10);
        let (_stop, stopped) = watch::channel(false);
        let guest = tokio::spawn(polite(theirs, Some(their_lane), stopped));
        let streams = Streams { shell: Box::new(ours), bulk: Some(Box::new(our_lane)) };
        let agent = Agent::open("server", streams, |_| {});
        let within = Deadline::after(LIMIT);
        let how = How { timeout: None, grace: None, within, bulk: false };
        agent.ready(within).await.unwrap();
        agent.run("last", how, &mut Vec::new(), 0, &mut Nobody).await.unwrap();
        agent.gone().await;
        guest.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn no_guest_does_harm() {
    for seed in 0..30 {
        torment(seed).await;
    }
}

/// `LINK_FUZZ_SECONDS=600 cargo test -p driver-core --lib fuzz -- --ignored --nocapture`; with `LINK_FUZZ_SEED`
/// it begins with the seed that a finding printed.
#[tokio::test(start_paused = true)]
#[ignore = "runs for as long as LINK_FUZZ_SECONDS says, 600 without it"]
#[expect(clippy::print_stdout, reason = "says how far it came")]
async fn fuzz() {
    let setting = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seconds = setting("LINK_FUZZ_SECONDS").unwrap_or(600);
    let first = setting("LINK_FUZZ_SEED").unwrap_or(1000);
    let (start, mut seed) = (std::time::Instant::now(), first);
    while start.elapsed() < Duration::from_secs(seconds) {
        if tokio::spawn(torment(seed)).await.is_err() {
            panic!("seed {seed}");
        }
        seed += 1;
    }
    println!("{} conversations in {seconds} s", seed - first);
}
