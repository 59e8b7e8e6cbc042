//! The catalogue beside a plain map, damaged shards, and merging.

use std::collections::BTreeMap;

use assay_binary::Address;
use assay_delta::catalogue::{
    CatalogueError, FunctionKey, Occurrence, SegmentBuilder, Shard, ShardBytes, merge,
};
use assay_evidence::Sha256;

type Known = BTreeMap<FunctionKey, Vec<Occurrence>>;

fn key(number: u32) -> FunctionKey {
    FunctionKey::of(&Sha256::of(&number.to_le_bytes()))
}

fn artifact(number: u32) -> Sha256 {
    Sha256::of(format!("artifact {number}").as_bytes())
}

/// Artifact `n` has the functions `n`, `n + 1`, ..., and function 0 three times.
fn segment(artifacts: std::ops::Range<u32>, functions: u32, known: &mut Known) -> Vec<ShardBytes> {
    let mut builder = SegmentBuilder::default();
    for number in artifacts {
        let mut all: Vec<(FunctionKey, Address)> =
            (0..functions).map(|f| (key(number + f), Address(0x1000 + u64::from(f) * 16))).collect();
        all.extend((0..3).map(|copy| (key(0), Address(0x10 + copy))));
        for &(key, address) in &all {
            known.entry(key).or_default().push(Occurrence { artifact: artifact(number), address });
        }
        builder.add_functions(artifact(number), all);
    }
    builder.finish().unwrap().1
}

fn find(
    shards: &[ShardBytes],
    key: &FunctionKey,
    after: Option<&Occurrence>,
    limit: usize,
) -> Vec<Occurrence> {
    let mut all = Vec::new();
    for shard in shards {
        let bytes = shard.bytes.as_slice();
        let opened = Shard::check(bytes).unwrap();
        all.extend(opened.find(bytes, key, after, limit).unwrap().1);
    }
    all
}

fn agrees(shards: &[ShardBytes], known: &Known) {
    for (key, expected) in known {
        let mut expected = expected.clone();
        expected.sort_unstable();
        assert_eq!(find(shards, key, None, usize::MAX), expected);
        let cut = expected.len() / 2;
        assert_eq!(
            find(shards, key, Some(&expected[cut]), 2),
            expected[cut + 1..].iter().take(2).copied().collect::<Vec<_>>()
        );
    }
    assert_eq!(find(shards, &key(9_999_999), None, 10), []);
}

#[test]
fn a_segment_says_what_a_map_says() {
    let mut known = Known::new();
    let shards = segment(0..20, 400, &mut known);
    assert_eq!(shards.len(), 1);
    agrees(&shards, &known);
}

#[test]
fn merging_loses_and_invents_nothing() {
    let mut known = Known::new();
    let segments =
        [segment(0..5, 300, &mut known), segment(5..6, 40, &mut known), segment(6..30, 90, &mut known)];
    let inputs: Vec<&[u8]> = segments.iter().flatten().map(|shard| shard.bytes.as_slice()).collect();
    let (_, merged) = merge(&inputs).unwrap();
    agrees(&merged, &known);
    let again: Vec<&[u8]> = merged.iter().map(|shard| shard.bytes.as_slice()).collect();
    assert_eq!(merge(&again).unwrap().1, merged, "one segment merged is itself");
    let twice = [again.clone(), again].concat();
    assert_eq!(merge(&twice).unwrap().1, merged, "the same twice is the same once");
}

/// More than one shard holds is cut by prefix, and merging cuts anew.
#[test]
fn large_segments_are_cut_by_prefix() {
    let mut builder = SegmentBuilder::default();
    let count = 700_000u32;
    builder.add_functions(artifact(1), (0..count).map(|n| (key(n), Address(n.into()))));
    let (bits, shards) = builder.finish().unwrap();
    assert_eq!((bits, shards.len()), (1, 2));
    for number in (0..count).step_by(997) {
        let wanted = key(number);
        let shard = shards.iter().find(|shard| shard.prefix == wanted.prefix(bits)).unwrap();
        let opened = Shard::open(shard.bytes.as_slice(), shard.bytes.len() as u64).unwrap();
        let (total, found) = opened.find(shard.bytes.as_slice(), &wanted, None, 10).unwrap();
        assert_eq!((total, found[0].address), (1, Address(number.into())));
    }
    let mut known = Known::new();
    let small = segment(2..3, 10, &mut known);
    let all: Vec<&[u8]> = shards.iter().chain(&small).map(|shard| shard.bytes.as_slice()).collect();
    let (bits, merged) = merge(&all).unwrap();
    assert_eq!((bits, merged.iter().map(|shard| shard.functions).sum::<u64>()), (1, u64::from(count)));
}

#[test]
fn damage_is_refused_and_never_panics() {
    let mut known = Known::new();
    let bytes = segment(0..3, 200, &mut known).remove(0).bytes;
    let wanted: Vec<FunctionKey> = known.keys().copied().collect();
    let opened = |bytes: &[u8]| {
        let Ok(shard) = Shard::open(bytes, bytes.len() as u64) else { return };
        for key in wanted.iter().step_by(17) {
            drop(shard.find(bytes, key, None, 50));
        }
    };
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        assert!(Shard::check(&damaged).is_err(), "byte {at}");
        if at < 600 || at % 97 == 0 {
            opened(&damaged);
        }
    }
    for length in (0..bytes.len()).step_by(31) {
        assert!(Shard::open(&bytes[..length], length as u64).is_err(), "{length}");
    }
    let mut other = bytes;
    other[12] ^= 1;
    assert!(matches!(Shard::check(&other), Err(CatalogueError::OtherVersion { .. })));
}
