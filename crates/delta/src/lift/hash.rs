//! 64-bit hashes that are the same in every build of this program: FNV-1a (Fowler, Noll, Vo) over
//! bytes, and the finaliser of SplitMix64 (Steele, Lea, Flood, 2014) to mix numbers. They find
//! candidates and weigh differences; what is called equal rests on SHA-256.

use std::hash::Hasher;

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = (a ^ b.rotate_left(29)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(b);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
