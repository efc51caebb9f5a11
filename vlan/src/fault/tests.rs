use std::time::{Duration, Instant};

use driver_core::vlan::{Between, Fault, FaultId, FaultKind};
use proptest::prelude::*;

use super::{Fate, Faults};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const HOST: usize = 3;

/// A segment of three machines, one port each, and of a port that belongs to none.
fn segment() -> Faults {
    let mut faults = Faults::new(1);
    faults.set_port(A, Some("a"));
    faults.set_port(B, Some("b"));
    faults.set_port(C, Some("c"));
    faults.set_port(HOST, None);
    faults
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, between: Between::All, seed: Some(7) }
}

fn impose(faults: &mut Faults, kind: FaultKind) -> FaultId {
    faults.impose(&fault(kind)).unwrap().0
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn loss(percent: f64) -> FaultKind {
    FaultKind::Loss { percent }
}

fn delay(by: u64, jitter: u64) -> FaultKind {
    FaultKind::Delay { by: ms(by), jitter: ms(jitter) }
}

/// Which of so many frames from A to B are lost.
fn lost(faults: &mut Faults, frames: usize) -> Vec<bool> {
    let now = Instant::now();
    (0..frames).map(|_| matches!(faults.judge(A, B, 100, now), Fate::Lost(_))).collect()
}

fn share(lost: &[bool]) -> f64 {
    lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64
}

#[test]
fn without_faults_all_passes() {
    let mut faults = segment();
    assert!(faults.is_idle());
    assert_eq!(faults.judge(A, B, 1500, Instant::now()), Fate::Pass);
}

#[test]
fn a_partition_is_between_groups_and_leaves_out_the_others() {
    let mut faults = segment();
    let groups = vec![list(&["a"]), list(&["b"])];
    let id = impose(&mut faults, FaultKind::Partition { groups });
    let now = Instant::now();
    for (from, to) in [(A, B), (B, A)] {
        assert_eq!(faults.judge(from, to, 100, now), Fate::Lost(id));
    }
    for (from, to) in [(A, C), (C, B), (A, HOST), (HOST, B), (A, A)] {
        assert_eq!(faults.judge(from, to, 100, now), Fate::Pass, "{from} to {to}");
    }
    assert!(faults.lift(id).is_some());
    assert!(faults.is_idle());
    assert_eq!(faults.judge(A, B, 100, now), Fate::Pass);
    assert!(faults.lift(id).is_none());
}

#[test]
fn a_second_card_of_a_machine_shares_its_fate() {
    let mut faults = segment();
    faults.set_port(9, Some("b"));
    let id = impose(&mut faults, FaultKind::Partition { groups: vec![list(&["a"]), list(&["b"])] });
    assert_eq!(faults.judge(A, 9, 100, Instant::now()), Fate::Lost(id));
}

#[test]
fn one_way_is_one_way() {
    let table = [
        (Between::OneWay(list(&["a"]), list(&["b", "c"])), vec![(A, B), (A, C)]),
        (Between::BothWays(list(&["a"]), list(&["b"])), vec![(A, B), (B, A)]),
        (Between::All, vec![(A, B), (A, C), (B, A), (B, C), (C, A), (C, B), (A, HOST), (HOST, A)]),
    ];
    for (between, concerned) in table {
        let mut faults = segment();
        faults.impose(&Fault { kind: loss(100.0), between, seed: None }).unwrap();
        for (from, to) in [(A, B), (A, C), (B, A), (B, C), (C, A), (C, B), (A, HOST), (HOST, A)] {
            let lost = matches!(faults.judge(from, to, 100, Instant::now()), Fate::Lost(_));
            assert_eq!(lost, concerned.contains(&(from, to)), "{from} to {to}");
        }
    }
}

#[test]
fn as_many_are_lost_as_asked_for() {
    for percent in [0.0, 0.1, 5.0, 50.0, 100.0] {
        let mut faults = segment();
        impose(&mut faults, loss(percent));
        let share = share(&lost(&mut faults, 400_000)) * 100.0;
        assert!((share - percent).abs() < 0.2, "{share} instead of {percent}");
    }
}

#[test]
fn a_seed_gives_the_same_losses_whatever_else_happens() {
    let mut alone = segment();
    impose(&mut alone, loss(30.0));
    let expected = lost(&mut alone, 1000);

    // Other pairs, other faults, and the order in which machines came.
    let mut crowded = Faults::new(99);
    for (port, name) in [(HOST, None), (C, Some("c")), (B, Some("b")), (A, Some("a"))] {
        crowded.set_port(port, name);
    }
    let other = Fault { seed: Some(8), ..fault(loss(50.0)) };
    let (other, _) = crowded.impose(&other).unwrap();
    impose(&mut crowded, loss(30.0));
    let now = Instant::now();
    for (n, expected) in expected.iter().enumerate() {
        crowded.judge(B, A, 100, now);
        crowded.judge(A, C, 100, now);
        match crowded.judge(A, B, 1500, now) {
            Fate::Lost(fault) if fault == other => {}
            fate => assert_eq!(matches!(fate, Fate::Lost(_)), *expected, "frame {n}"),
        }
    }

    // Directions and machines differ.
    let mut other = segment();
    impose(&mut other, loss(30.0));
    let back: Vec<bool> = (0..1000).map(|_| matches!(other.judge(B, A, 100, now), Fate::Lost(_))).collect();
    assert_ne!(back, expected);
}

/// Seeds are in the logs of users: this list never changes.
#[test]
fn a_seed_means_the_same_for_ever() {
    let mut faults = segment();
    impose(&mut faults, loss(30.0));
    let pattern: String = lost(&mut faults, 40).iter().map(|lost| if *lost { 'x' } else { '.' }).collect();
    assert_eq!(pattern, "......xxx......x.x.x.xx.x.x..x.x.x......");
    let seeds: Vec<u64> =
        (0..3).map(|_| faults.impose(&Fault { seed: None, ..fault(loss(1.0)) }).unwrap().1).collect();
    assert_eq!(seeds, [1762358028, 1097371534, 1917106191]);
}

#[test]
fn a_delay_is_exact_and_adds_up() {
    let mut faults = segment();
    impose(&mut faults, delay(20, 0));
    impose(&mut faults, delay(5, 0));
    let now = Instant::now();
    assert_eq!(faults.judge(A, B, 100, now), Fate::At(now + ms(25), None));
}

#[test]
fn jitter_spreads_evenly_around_the_delay() {
    let mut faults = segment();
    impose(&mut faults, delay(50, 20));
    let mut sum = Duration::ZERO;
    let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
    let mut now = Instant::now();
    for _ in 0..20_000 {
        let Fate::At(due, None) = faults.judge(A, B, 100, now) else { panic!() };
        (least, most) = (least.min(due - now), most.max(due - now));
        sum += due - now;
        // So late that the order needs no keeping.
        now += ms(100);
    }
    assert!((sum / 20_000).abs_diff(ms(50)) < Duration::from_micros(500), "{:?}", sum / 20_000);
    assert!(least >= ms(30) && least < ms(31), "{least:?}");
    assert!(most <= ms(70) && most > ms(69), "{most:?}");
}

#[test]
fn a_rate_is_kept_within_a_percent() {
    for (rate, len) in [(64_000, 100), (1_000_000, 1514), (1_000_000_000, 64), (9_999_999_999, 61)] {
        let mut faults = segment();
        impose(&mut faults, FaultKind::Rate { bits_per_second: rate });
        let start = Instant::now();
        // Three times as many as pass, at equal distances.
        let frame_bits = len as u64 * 8;
        let step = Duration::from_nanos(frame_bits * 1_000_000_000 / rate / 3);
        let mut now = start;
        let (mut passed, mut last) = (0_u64, start);
        while passed < 5000 {
            if let Fate::At(due, None) = faults.judge(A, B, len, now) {
                assert!(due - now <= ms(100) + Duration::from_secs_f64(frame_bits as f64 / rate as f64) * 2);
                passed += 1;
                last = due;
            }
            now += step;
        }
        let found = (passed * frame_bits) as f64 / (last - start).as_secs_f64();
        assert!((found / rate as f64 - 1.0).abs() < 0.01, "{found} instead of {rate}");
    }
}

#[test]
fn the_queue_of_a_rate_is_100_ms_long() {
    let mut faults = segment();
    let id = impose(&mut faults, FaultKind::Rate { bits_per_second: 1_000_000 });
    let now = Instant::now();
    // 1250 bytes take 10 ms each. The first goes at once; ten wait while it and they pass.
    let fates: Vec<Fate> = (0..13).map(|_| faults.judge(A, B, 1250, now)).collect();
    for (n, fate) in fates.iter().take(11).enumerate() {
        assert_eq!(*fate, Fate::At(now + ms(10) * (n as u32 + 1), None));
    }
    assert_eq!(fates[11..], [Fate::Lost(id), Fate::Lost(id)]);
    // Other pairs and the other direction have queues of their own.
    assert_eq!(faults.judge(B, A, 1250, now), Fate::At(now + ms(10), None));
    assert_eq!(faults.judge(A, C, 1250, now), Fate::At(now + ms(10), None));
}

#[test]
fn of_two_rates_the_lower_decides() {
    let mut faults = segment();
    impose(&mut faults, FaultKind::Rate { bits_per_second: 1_000_000 });
    let slow = impose(&mut faults, FaultKind::Rate { bits_per_second: 100_000 });
    let now = Instant::now();
    assert_eq!(faults.judge(A, B, 1250, now), Fate::At(now + ms(100), None));
    faults.lift(slow);
    assert_eq!(faults.judge(A, B, 1250, now), Fate::At(now + ms(10), None));
}

#[test]
fn a_copy_comes_behind_its_frame_and_costs_as_much() {
    let mut faults = segment();
    impose(&mut faults, FaultKind::Duplicate { percent: 100.0 });
    let now = Instant::now();
    assert_eq!(faults.judge(A, B, 1250, now), Fate::At(now, Some(now)));
    impose(&mut faults, FaultKind::Rate { bits_per_second: 1_000_000 });
    assert_eq!(faults.judge(A, B, 1250, now), Fate::At(now + ms(10), Some(now + ms(20))));
}

#[test]
fn a_reordered_frame_is_overtaken_by_those_that_follow() {
    let mut faults = segment();
    impose(&mut faults, FaultKind::Reorder { percent: 30.0, by: ms(10) });
    let now = Instant::now();
    let fates: Vec<Fate> = (0..100_000).map(|_| faults.judge(A, B, 100, now)).collect();
    let held = fates.iter().filter(|fate| **fate == Fate::At(now + ms(10), None)).count();
    let passed = fates.iter().filter(|fate| **fate == Fate::Pass).count();
    assert_eq!(held + passed, fates.len());
    assert!((29_500..30_500).contains(&held), "{held}");
}

#[test]
fn what_a_lifted_fault_holds_back_is_freed_and_nothing_else() {
    let mut faults = segment();
    let between = Between::OneWay(list(&["a"]), list(&["b"]));
    let (slow, _) = faults.impose(&Fault { kind: delay(50, 0), between, seed: None }).unwrap();
    let lossy = impose(&mut faults, loss(0.0));
    let now = Instant::now();
    faults.judge(A, B, 100, now);

    let lifted = faults.lift(lossy).unwrap();
    assert!(!faults.frees(&lifted, A, B));
    let lifted = faults.lift(slow).unwrap();
    assert!(faults.frees(&lifted, A, B));
    assert!(!faults.frees(&lifted, B, A));
    // Nothing waits for what has been freed.
    impose(&mut faults, delay(1, 0));
    assert_eq!(faults.judge(A, B, 100, now), Fate::At(now + ms(1), None));
}

#[test]
fn healing_takes_all() {
    let mut faults = segment();
    let ids = vec![impose(&mut faults, loss(0.0)), impose(&mut faults, delay(1, 0))];
    let now = Instant::now();
    faults.judge(A, B, 100, now + ms(50));
    assert_eq!(faults.heal(), ids);
    assert!(faults.is_idle());
    let slow = impose(&mut faults, delay(1, 0));
    assert_eq!(faults.judge(A, B, 100, now), Fate::At(now + ms(1), None), "nothing waits any more");
    faults.lift(slow);
    assert!(!ids.contains(&impose(&mut faults, loss(1.0))), "a name is never used again");
}

#[test]
fn nonsense_is_refused() {
    let table = [
        (loss(101.0), "loss: a share is 0 to 100 percent, not 101"),
        (loss(f64::NAN), "loss: a share is 0 to 100 percent, not NaN"),
        (FaultKind::Duplicate { percent: -1.0 }, "duplicate: a share is 0 to 100 percent, not -1"),
        (delay(10, 20), "a jitter of 20ms is more than the delay of 10ms that it is more or less of"),
        (delay(4_000_000, 0), "delay: 4000s is more than an hour"),
        (FaultKind::Rate { bits_per_second: 0 }, "a rate is 1 to 1000000000000 bits a second, not 0"),
        (
            FaultKind::Reorder { percent: 1.0, by: Duration::ZERO },
            "reorder: frames held back by no time at all stay in order",
        ),
        (
            FaultKind::Partition { groups: vec![list(&["a"])] },
            "a partition takes two groups of machines or more",
        ),
        (
            FaultKind::Partition { groups: vec![list(&["a"]), list(&["a", "b"])] },
            "machine `a` is named twice in a partition",
        ),
        (
            FaultKind::Partition { groups: vec![list(&["a"]), list(&["x"])] },
            "no machine `x` on this VLAN (it has `a`, `b`, `c`)",
        ),
        (
            FaultKind::Partition { groups: vec![list(&["a"]), Vec::new()] },
            "a group without machines (it would never do anything)",
        ),
    ];
    let mut faults = segment();
    for (kind, expected) in table {
        assert_eq!(faults.impose(&fault(kind)).unwrap_err(), expected);
    }
    let between = Between::OneWay(list(&["a"]), list(&["x"]));
    let error = faults.impose(&Fault { between, ..fault(loss(1.0)) }).unwrap_err();
    assert_eq!(error, "no machine `x` on this VLAN (it has `a`, `b`, `c`)");
    assert!(faults.is_idle());
}

proptest! {
    /// Whatever delays and rates come together, frames of a pair stay in order.
    #[test]
    fn delays_and_rates_keep_the_order(
        by in 0_u64..50,
        jitter in 0_u64..50,
        rate in prop::option::of(10_000_u64..10_000_000),
        twice in any::<bool>(),
        frames in prop::collection::vec((0_u64..5_000, 60_usize..1514), 1..200),
    ) {
        let mut faults = segment();
        impose(&mut faults, delay(by.max(jitter), jitter));
        if let Some(bits_per_second) = rate {
            impose(&mut faults, FaultKind::Rate { bits_per_second });
        }
        if twice {
            impose(&mut faults, FaultKind::Duplicate { percent: 50.0 });
        }
        let mut now = Instant::now();
        let mut last = now;
        for (micros, len) in frames {
            now += Duration::from_micros(micros);
            if let Fate::At(first, second) = faults.judge(A, B, len, now) {
                prop_assert!(first >= last && first >= now);
                prop_assert!(second.is_none_or(|second| second >= first));
                last = second.unwrap_or(first);
            }
        }
    }
}
