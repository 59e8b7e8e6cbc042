//! The correspondence of memory: intervals that keep their inner offsets.

use std::collections::BTreeSet;

use assay_binary::Address;

use super::DataPair;

/// `length` bytes at `a` correspond to those at `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    a: u64,
    length: u64,
    b: u64,
}

/// Every interval that was made to correspond.
#[derive(Default)]
pub(super) struct Memory {
    intervals: BTreeSet<Interval>,
}

impl Memory {
    /// Adds an interval; false where it was there already.
    pub fn add(&mut self, a: u64, b: u64, length: u64) -> bool {
        self.intervals.insert(Interval { a, length, b })
    }

    /// The intervals with those that overlap made one: an error says which two overlap without
    /// agreeing, so that a byte would correspond to two.
    pub fn merged(&self) -> Result<Vec<DataPair>, String> {
        let mut merged: Vec<Interval> = Vec::new();
        for interval in &self.intervals {
            match merged.last_mut().filter(|last| last.a + last.length > interval.a) {
                Some(last) if interval.b.wrapping_sub(last.b) == interval.a - last.a => {
                    last.length = last.length.max(interval.a - last.a + interval.length);
                }
                Some(_) => return Err(format!("memory at {:#x} corresponds to two places", interval.a)),
                None => merged.push(*interval),
            }
        }
        let mut back: Vec<(u64, u64)> = merged.iter().map(|interval| (interval.b, interval.length)).collect();
        back.sort_unstable();
        if let Some(pair) = back.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            return Err(format!("two places correspond to memory at {:#x}", pair[1].0));
        }
        let pair =
            |i: &Interval| DataPair { address_a: Address(i.a), address_b: Address(i.b), size: i.length };
        Ok(merged.iter().map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_must_agree() {
        let mut memory = Memory::default();
        assert!(memory.add(0x10, 0x110, 8));
        assert!(!memory.add(0x10, 0x110, 8));
        assert!(memory.add(0x14, 0x114, 8));
        assert_eq!(memory.merged().map(|data| data.len()), Ok(1));
        memory.add(0x18, 0x200, 4);
        assert!(memory.merged().is_err());
    }

    #[test]
    fn two_places_may_not_become_one() {
        let mut memory = Memory::default();
        memory.add(0x10, 0x110, 8);
        memory.add(0x20, 0x114, 8);
        assert!(memory.merged().is_err());
    }
}
