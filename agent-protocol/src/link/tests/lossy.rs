//! Everything arrives, once and in order, whatever the line does.

use proptest::prelude::*;

use super::{
    line::{Faults, Random, converse},
    *,
};

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![6 => 0..100usize, 3 => 100..20_000usize, 1 => 20_000..100_000usize];
    prop::collection::vec(size, 1..30)
}

fn faults() -> impl Strategy<Value = Faults> {
    (0..25u32, 0..25u32, 0..25u32).prop_map(|(lose, insert, repeat)| Faults { lose, insert, repeat })
}

fn filled(sizes: &[usize], random: &mut Random) -> Vec<Vec<u8>> {
    sizes.iter().map(|&size| random.bytes(size)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_messages_arrive_once_and_in_order(
        to_guest in sizes(), to_host in sizes(), faults in faults(), seed: u64,
    ) {
        let mut random = Random(seed);
        let (to_guest, to_host) = (filled(&to_guest, &mut random), filled(&to_host, &mut random));
        converse(&to_guest, &to_host, faults, &mut random);
    }
}

#[test]
fn a_good_line_carries_little_more_than_the_messages() {
    let mut random = Random(1);
    let bulk = filled(&[16 << 10; 64], &mut random);
    let (time, [_, by_guest]) = converse(&[vec![1]], &bulk, Faults::NONE, &mut random);
    assert!(by_guest < (1 << 20) * 102 / 100, "{by_guest} bytes for 1 MiB");
    assert!(time < ms(60), "{time:?}");
}

#[test]
fn some_losses_cost_little() {
    let mut random = Random(2);
    let bulk = filled(&[16 << 10; 256], &mut random);
    let faults = Faults { lose: 1, insert: 0, repeat: 0 };
    let (time, [_, by_guest]) = converse(&[vec![1]], &bulk, faults, &mut random);
    assert!(by_guest < (4 << 20) * 13 / 10, "{by_guest} bytes for 4 MiB");
    assert!(time < Duration::from_secs(2), "{time:?}");
}

/// A conversation over a line as bad as a seed wants it.
pub(super) fn hard_conversation(seed: u64) -> Duration {
    let mut random = Random(seed);
    let sizes = |random: &mut Random| -> Vec<usize> {
        let mut size = || {
            let max = [1, 50, 5000, 60_000][random.below(4)];
            random.below(max)
        };
        let count = 1 + size() % 20;
        (0..count).map(|_| size()).collect()
    };
    let (to_guest, to_host) = (sizes(&mut random), sizes(&mut random));
    let (to_guest, to_host) = (filled(&to_guest, &mut random), filled(&to_host, &mut random));
    let mut chance = || random.below(30) as u32;
    let faults = Faults { lose: chance(), insert: chance(), repeat: chance() };
    converse(&to_guest, &to_host, faults, &mut random).0
}
