//! Which port an address was last seen at.
//!
//! A port that floods the switch with addresses uses up its own share, and pushes out its own only.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an address is remembered that is not seen again.
const AGE: Duration = Duration::from_secs(300);

/// How many addresses each port may have: more than a test has machines, and than most bridges in guests.
const SHARE: usize = 1024;

/// The addresses of a segment.
#[derive(Debug, Default)]
pub(crate) struct MacTable {
    entries: HashMap<[u8; 6], Entry>,
    /// The addresses of each port and their numbers, the one first learned first. Some may have moved elsewhere
    /// since, or away and back: they have a higher number then.
    learned: Vec<VecDeque<([u8; 6], u64)>>,
    /// How often an address was learned.
    count: u64,
}

#[derive(Debug)]
struct Entry {
    port: usize,
    number: u64,
    seen: Instant,
}

impl MacTable {
    /// Notes that a frame came from `address` at `port`.
    pub(crate) fn learn(&mut self, address: [u8; 6], port: usize, now: Instant) {
        // A group cannot send; learning it would send what is for everybody to one port.
        if address[0] & 1 == 1 {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&address)
            && entry.port == port
        {
            entry.seen = now;
            return;
        }
        self.count += 1;
        let number = self.count;
        self.entries.insert(address, Entry { port, number, seen: now });
        if self.learned.len() <= port {
            self.learned.resize_with(port + 1, VecDeque::new);
        }
        self.learned[port].push_back((address, number));
        if self.learned[port].len() > SHARE
            && let Some((oldest, number)) = self.learned[port].pop_front()
        {
            self.remove(oldest, number);
        }
    }

    /// The port where `address` is; `None` for groups and for what is not known (any more).
    pub(crate) fn find(&self, address: [u8; 6], now: Instant) -> Option<usize> {
        let entry = self.entries.get(&address)?;
        (now.saturating_duration_since(entry.seen) < AGE).then_some(entry.port)
    }

    /// Forgets all addresses of a port.
    pub(crate) fn forget(&mut self, port: usize) {
        for (address, number) in self.learned.get_mut(port).map(std::mem::take).unwrap_or_default() {
            self.remove(address, number);
        }
    }

    fn remove(&mut self, address: [u8; 6], number: u64) {
        if self.entries.get(&address).is_some_and(|entry| entry.number == number) {
            self.entries.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(number: usize) -> [u8; 6] {
        let bytes = number.to_be_bytes();
        [0x52, 0x54, 0, bytes[5], bytes[6], bytes[7]]
    }

    #[test]
    fn an_address_is_found_where_it_was_seen_last() {
        let (mut table, now) = (MacTable::default(), Instant::now());
        table.learn(mac(1), 0, now);
        assert_eq!(table.find(mac(1), now), Some(0));
        table.learn(mac(1), 3, now);
        assert_eq!(table.find(mac(1), now), Some(3));
        table.forget(0);
        assert_eq!(table.find(mac(1), now), Some(3), "it is no longer the first port's");
        table.forget(3);
        assert_eq!(table.find(mac(1), now), None);
    }

    #[test]
    fn an_address_is_forgotten_after_five_minutes_of_silence() {
        let (mut table, start) = (MacTable::default(), Instant::now());
        table.learn(mac(1), 0, start);
        assert_eq!(table.find(mac(1), start + Duration::from_secs(299)), Some(0));
        assert_eq!(table.find(mac(1), start + Duration::from_secs(300)), None);
        table.learn(mac(1), 0, start + Duration::from_secs(301));
        assert_eq!(table.find(mac(1), start + Duration::from_secs(600)), Some(0));
    }

    #[test]
    fn a_flood_of_addresses_pushes_out_only_its_own() {
        let (mut table, now) = (MacTable::default(), Instant::now());
        table.learn(mac(1), 0, now);
        table.learn(mac(2), 1, now);
        for number in 10..100_010 {
            table.learn(mac(number), 1, now);
        }
        assert_eq!(table.find(mac(1), now), Some(0));
        assert_eq!(table.find(mac(2), now), None, "the flooding port's own are pushed out");
        assert!(table.entries.len() <= SHARE + 1, "{} addresses are kept", table.entries.len());
    }

    #[test]
    fn two_ports_that_fight_for_an_address_do_not_fill_the_lists() {
        let (mut table, now) = (MacTable::default(), Instant::now());
        for turn in 0..10_000 {
            table.learn(mac(1), turn % 2, now);
        }
        assert!(table.learned.iter().all(|list| list.len() <= SHARE));
        assert!(table.find(mac(1), now).is_some());
    }

    #[test]
    fn a_group_is_never_learned() {
        let (mut table, now) = (MacTable::default(), Instant::now());
        table.learn([0xff; 6], 0, now);
        assert_eq!(table.find([0xff; 6], now), None);
    }
}
