//! Segments made from indexes, and segments made from segments.

use assay_binary::Address;
use assay_evidence::Sha256;

use super::shard::{COUNTS, FORMAT, HEADER, MAGIC, MAX_BITS, OCCURRENCE};
use super::{CatalogueError, FunctionKey, KEY, Occurrence, Shard};
use crate::index::{Index, NORMALISER_VERSION};

/// Functions that one shard holds on average at most; a larger segment is cut by longer prefixes.
pub const MAX_SHARD_FUNCTIONS: u64 = 1 << 19;
/// Keys between two entries of a shard's table, on average.
const KEYS_PER_BUCKET: u64 = 32;
/// Most occurrences in one shard.
const MAX_OCCURRENCES: u64 = u32::MAX as u64;

/// One shard of a segment, to be kept as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardBytes {
    /// The bits that all its keys begin with.
    pub prefix: u32,
    /// How many distinct functions it knows.
    pub functions: u64,
    /// The file.
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: FunctionKey,
    artifact: u32,
    address: u64,
}

/// A segment in the making, from artifacts.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    artifacts: Vec<Sha256>,
    entries: Vec<Entry>,
}

impl SegmentBuilder {
    /// Adds the functions of an artifact that have code.
    pub fn add(&mut self, index: &Index) {
        let functions = index.functions().filter(|function| function.instructions() > 0);
        self.add_functions(index.artifact(), functions.map(|f| (FunctionKey::of(&f.meaning()), f.address())));
    }

    /// The same from what is known of the functions.
    pub fn add_functions(
        &mut self,
        artifact: Sha256,
        functions: impl IntoIterator<Item = (FunctionKey, Address)>,
    ) {
        let number = self.artifacts.len() as u32;
        self.artifacts.push(artifact);
        let entry =
            |(key, address): (FunctionKey, Address)| Entry { key, artifact: number, address: address.0 };
        self.entries.extend(functions.into_iter().map(entry));
    }

    /// How many bits of prefix its shards should have.
    pub fn prefix_bits(&self) -> u32 {
        prefix_bits(self.entries.len() as u64)
    }

    /// The shards by prefix; those without a function are left out.
    ///
    /// # Errors
    /// [`CatalogueError::TooMany`] where one shard would hold too much.
    pub fn finish(mut self) -> Result<(u32, Vec<ShardBytes>), CatalogueError> {
        let bits = self.prefix_bits();
        order(&mut self.artifacts, &mut self.entries);
        let shards = self
            .entries
            .chunk_by(|a, b| a.key.prefix(bits) == b.key.prefix(bits))
            .map(|entries| write(bits, &self.artifacts, entries))
            .collect::<Result<_, _>>()?;
        Ok((bits, shards))
    }
}

fn prefix_bits(functions: u64) -> u32 {
    let shards = functions.div_ceil(MAX_SHARD_FUNCTIONS).max(1).next_power_of_two();
    shards.trailing_zeros().min(MAX_BITS as u32)
}

/// Numbers artifacts in the order of their digests, and sorts the entries.
fn order(artifacts: &mut Vec<Sha256>, entries: &mut Vec<Entry>) {
    let mut sorted = artifacts.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let place = |digest: &Sha256| sorted.partition_point(|other| other < digest) as u32;
    let places: Vec<u32> = artifacts.iter().map(place).collect();
    entries.iter_mut().for_each(|entry| entry.artifact = places[entry.artifact as usize]);
    entries.sort_unstable();
    entries.dedup();
    *artifacts = sorted;
}

/// Joins segments, each given by all its shards; nothing of what they say is lost.
///
/// # Errors
/// [`CatalogueError`] where a shard is damaged, of another normaliser, or one shard would hold too much.
pub fn merge(shards: &[&[u8]]) -> Result<(u32, Vec<ShardBytes>), CatalogueError> {
    let opened = shards
        .iter()
        .map(|bytes| Ok((Shard::check(bytes)?, *bytes)))
        .collect::<Result<Vec<(Shard, &[u8])>, CatalogueError>>()?;
    let bits = prefix_bits(opened.iter().map(|(shard, _)| shard.functions()).sum());
    let mut merged = Vec::new();
    for prefix in 0..1u32 << bits {
        let (from, to) = bounds(prefix, bits);
        let (mut artifacts, mut entries): (Vec<Sha256>, Vec<Entry>) = Default::default();
        let mut numbers = std::collections::HashMap::new();
        for (shard, bytes) in &opened {
            shard.each(bytes, &from, &to, |key, Occurrence { artifact, address }| {
                let number = *numbers.entry(artifact).or_insert_with(|| {
                    artifacts.push(artifact);
                    artifacts.len() as u32 - 1
                });
                entries.push(Entry { key, artifact: number, address: address.0 });
            })?;
        }
        if !entries.is_empty() {
            order(&mut artifacts, &mut entries);
            merged.push(write(bits, &artifacts, &entries)?);
        }
    }
    Ok((bits, merged))
}

/// The first and the last key of a prefix.
fn bounds(prefix: u32, bits: u32) -> (FunctionKey, FunctionKey) {
    let (mut from, mut to) = ([0; KEY], [0xff; KEY]);
    if bits > 0 {
        let first = u64::from(prefix) << (64 - bits);
        from[..8].copy_from_slice(&first.to_be_bytes());
        to[..8].copy_from_slice(&(first | (u64::MAX >> bits)).to_be_bytes());
    }
    (FunctionKey(from), FunctionKey(to))
}

/// Writes one shard; `entries` are sorted and not empty.
fn write(prefix_bits: u32, artifacts: &[Sha256], entries: &[Entry]) -> Result<ShardBytes, CatalogueError> {
    if entries.len() as u64 > MAX_OCCURRENCES {
        return Err(CatalogueError::TooMany { what: "occurrences in one shard", limit: MAX_OCCURRENCES });
    }
    let keys: Vec<&[Entry]> = entries.chunk_by(|a, b| a.key == b.key).collect();
    let table_bits = (keys.len() as u64 / KEYS_PER_BUCKET).max(1).ilog2().min(16);
    let table = (1usize << table_bits) + 1;
    let size = HEADER
        + COUNTS * 8
        + artifacts.len() * 32
        + table * 4
        + keys.len() * (KEY + 4)
        + 4
        + entries.len() * OCCURRENCE;
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&NORMALISER_VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 32]);
    let counts = [artifacts.len(), keys.len(), entries.len(), prefix_bits as usize, table_bits as usize];
    counts.iter().for_each(|&count| out.extend_from_slice(&(count as u64).to_le_bytes()));
    artifacts.iter().for_each(|artifact| out.extend_from_slice(artifact.as_bytes()));
    let bucket = |key: &FunctionKey| match table_bits {
        0 => 0,
        bits => ((key.leading() << prefix_bits) >> (64 - bits)) as usize,
    };
    let mut at = 0;
    for number in 0..table {
        at += keys[at..].iter().take_while(|run| bucket(&run[0].key) < number).count();
        out.extend_from_slice(&(at as u32).to_le_bytes());
    }
    keys.iter().for_each(|run| out.extend_from_slice(&run[0].key.0));
    let mut start = 0u32;
    for run in &keys {
        out.extend_from_slice(&start.to_le_bytes());
        start += run.len() as u32;
    }
    out.extend_from_slice(&start.to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.artifact.to_le_bytes());
        out.extend_from_slice(&entry.address.to_le_bytes());
    }
    debug_assert_eq!(out.len(), size, "the size was computed");
    let digest = Sha256::of(&out[HEADER..]);
    out[16..HEADER].copy_from_slice(digest.as_bytes());
    Ok(ShardBytes { prefix: entries[0].key.prefix(prefix_bits), functions: keys.len() as u64, bytes: out })
}
