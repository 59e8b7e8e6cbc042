//! How often some keys occur among many.

use crate::lift::NumberMap;

/// Counts of some keys, with a bit map in front of the table because most keys are not wanted.
pub(super) struct Counts {
    wanted: Vec<u64>,
    counts: NumberMap<u32, u32>,
}

const BITS: u32 = 20;

impl Default for Counts {
    fn default() -> Self {
        Self { wanted: vec![0; 1 << (BITS - 6)], counts: NumberMap::default() }
    }
}

impl Counts {
    fn bit(key: u32) -> (usize, u64) {
        let bit = key.wrapping_mul(0x9e37_79b9) >> (32 - BITS);
        ((bit >> 6) as usize, 1 << (bit & 63))
    }

    /// Keys that are to be counted.
    pub fn want(&mut self, keys: &[u32]) {
        for &key in keys {
            let (word, bit) = Self::bit(key);
            self.wanted[word] |= bit;
            self.counts.insert(key, 0);
        }
    }

    /// Counts all.
    pub fn count(&mut self, keys: &[u32]) {
        self.count_each(keys.iter().copied(), 1);
    }

    /// Counts about `size` of them, evenly spread, each for as many as it stands for.
    pub fn sample(&mut self, keys: &[u32], size: usize) {
        let step = (keys.len() / size).max(1);
        self.count_each(keys.iter().copied().step_by(step), step as u32);
    }

    fn count_each(&mut self, keys: impl Iterator<Item = u32>, weight: u32) {
        for key in keys {
            let (word, bit) = Self::bit(key);
            if self.wanted[word] & bit != 0
                && let Some(count) = self.counts.get_mut(&key)
            {
                *count += weight;
            }
        }
    }

    /// The counts by key.
    pub fn into_table(self) -> NumberMap<u32, u32> {
        self.counts
    }
}
