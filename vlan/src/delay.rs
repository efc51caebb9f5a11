//! Frames that come later: a queue in the order of time, bounded, that never swaps two frames due at one time.
//!
//! Has no clock and no thread; whoever owns it says what time it is.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

/// The port that a frame came from, and the one that it goes to.
pub(crate) type Pair = (usize, usize);

/// How much may wait that came from one port: 130 ms of 2 Gbit/s. One guest cannot take the place of others.
const PORT_LIMIT: usize = 32 << 20;
/// How much may wait in all.
const LIMIT: usize = 256 << 20;
/// What a frame costs besides its bytes, so that many small ones are bounded too.
const OVERHEAD: usize = 128;

/// What waits until it is due.
#[derive(Debug)]
pub(crate) struct DelayLine<T> {
    heap: BinaryHeap<Held<T>>,
    pushed: u64,
    waiting: usize,
    waiting_from: HashMap<usize, usize>,
}

#[derive(Debug)]
struct Held<T> {
    due: Instant,
    number: u64,
    pair: Pair,
    cost: usize,
    item: T,
}

impl<T> DelayLine<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0, waiting: 0, waiting_from: HashMap::new() }
    }

    /// Holds back a frame of `len` bytes; `false` when too much waits already, and the frame is lost.
    #[must_use]
    pub(crate) fn push(&mut self, due: Instant, pair: Pair, len: usize, item: T) -> bool {
        let cost = len + OVERHEAD;
        let from_port = self.waiting_from.entry(pair.0).or_default();
        if *from_port + cost > PORT_LIMIT || self.waiting + cost > LIMIT {
            return false;
        }
        *from_port += cost;
        self.waiting += cost;
        self.pushed += 1;
        self.heap.push(Held { due, number: self.pushed, pair, cost, item });
        true
    }

    /// The first frame that is due; of several due at one time, the one that was held back first.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_due()? > now {
            return None;
        }
        let held = self.heap.pop()?;
        self.waiting -= held.cost;
        if let Some(from_port) = self.waiting_from.get_mut(&held.pair.0) {
            *from_port -= held.cost;
            if *from_port == 0 {
                self.waiting_from.remove(&held.pair.0);
            }
        }
        Some(held.item)
    }

    /// When the next frame is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|held| held.due)
    }

    /// Makes what waits between such pairs due at once, in the order in which it was held back. To be popped
    /// before another frame is judged, which would overtake it otherwise.
    pub(crate) fn release(&mut self, now: Instant, mut which: impl FnMut(Pair) -> bool) {
        let mut all = std::mem::take(&mut self.heap).into_vec();
        for held in all.iter_mut().filter(|held| which(held.pair)) {
            held.due = held.due.min(now);
        }
        self.heap = all.into();
    }
}

/// The greatest is the one that is due first: the heap is one of greatest things.
impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Held<T> {}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{DelayLine, LIMIT, OVERHEAD, PORT_LIMIT};

    fn line(frames: &[(u64, (usize, usize), &'static str)]) -> (DelayLine<&'static str>, Instant) {
        let (mut line, now) = (DelayLine::new(), Instant::now());
        for (millis, pair, name) in frames {
            assert!(line.push(now + Duration::from_millis(*millis), *pair, 100, *name));
        }
        (line, now)
    }

    fn due(line: &mut DelayLine<&'static str>, at: Instant) -> Vec<&'static str> {
        std::iter::from_fn(|| line.pop_due(at)).collect()
    }

    #[test]
    fn frames_come_when_they_are_due_and_in_order() {
        let (mut line, now) = line(&[(5, (1, 2), "c"), (3, (1, 2), "a"), (3, (1, 3), "b"), (9, (1, 2), "d")]);
        assert_eq!(line.next_due(), Some(now + Duration::from_millis(3)));
        assert_eq!(due(&mut line, now + Duration::from_millis(2)), [""; 0]);
        assert_eq!(due(&mut line, now + Duration::from_millis(5)), ["a", "b", "c"]);
        assert_eq!(due(&mut line, now + Duration::from_secs(1)), ["d"]);
        assert_eq!(line.next_due(), None);
    }

    #[test]
    fn what_is_released_comes_at_once_as_it_was_sent() {
        let (mut line, now) = line(&[(9, (1, 2), "first"), (5, (1, 2), "second"), (5, (2, 1), "stays")]);
        line.release(now, |pair| pair == (1, 2));
        assert_eq!(due(&mut line, now), ["first", "second"]);
        assert_eq!(due(&mut line, now + Duration::from_millis(5)), ["stays"]);
    }

    #[test]
    fn one_port_cannot_fill_it_for_the_others() {
        let (mut line, now) = (DelayLine::new(), Instant::now());
        let len = (1 << 20) - OVERHEAD;
        let taken = (0..100).filter(|n| line.push(now, (1, 2), len, *n)).count();
        assert_eq!(taken, PORT_LIMIT >> 20);
        assert!(line.push(now, (2, 1), len, 100), "another port");
        assert_eq!(line.pop_due(now), Some(0));
        assert!(line.push(now, (1, 2), len, 101), "there is room again");
    }

    #[test]
    fn all_ports_together_have_a_limit_too() {
        let (mut line, now) = (DelayLine::new(), Instant::now());
        let len = PORT_LIMIT - OVERHEAD;
        assert_eq!((0..100).filter(|from| line.push(now, (*from, 100), len, ())).count(), LIMIT / PORT_LIMIT);
        assert_eq!(line.pop_due(now), Some(()));
        assert!(line.push(now, (0, 100), len, ()), "there is room again");
    }
}
