//! Lines that were read before: a screen changes by a line or two from one look to the next.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::reader::Sign;
use super::scale::Strip;

/// Lines of each of the two generations: some screens full.
const LINES: usize = 2048;

/// What strips say, by their hash. The hash's key is drawn anew in each run, so that no guest can make two strips
/// alike.
#[derive(Debug, Default)]
pub(super) struct Cache {
    key: RandomState,
    young: HashMap<u64, Vec<Sign>>,
    /// Those that were young before; what is asked for again becomes young again.
    old: HashMap<u64, Vec<Sign>>,
}

impl Cache {
    /// What a strip is known by.
    pub(super) fn hash(&self, strip: &Strip) -> u64 {
        self.key.hash_one(strip)
    }

    /// What the strip with this hash says, if it was read.
    pub(super) fn get(&mut self, hash: u64) -> Option<Vec<Sign>> {
        if let Some(signs) = self.young.get(&hash) {
            return Some(signs.clone());
        }
        let signs = self.old.remove(&hash)?;
        self.put(hash, signs.clone());
        Some(signs)
    }

    /// Remembers what a strip says.
    pub(super) fn put(&mut self, hash: u64, signs: Vec<Sign>) {
        if self.young.len() >= LINES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, signs);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, LINES};
    use crate::screen::reader::Sign;
    use crate::screen::scale::Strip;

    #[test]
    fn what_was_read_is_known_again_and_the_oldest_goes() {
        let mut cache = Cache::default();
        let strip = |byte| Strip { width: 1, pixels: vec![byte; 32] };
        let signs = vec![Sign { char: 'x', at: 4, confidence: 0.9, ..Sign::default() }];
        let first = cache.hash(&strip(1));
        assert_eq!((cache.get(first), cache.hash(&strip(1)) == first), (None, true));
        cache.put(first, signs.clone());
        assert_eq!((cache.get(first), cache.get(cache.hash(&strip(2)))), (Some(signs), None));
        for other in 0..3 * LINES as u64 {
            cache.put(other, Vec::new());
        }
        assert_eq!(cache.get(first), None);
        assert!(cache.young.len() + cache.old.len() <= 2 * LINES);
    }
}
