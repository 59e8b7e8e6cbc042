//! Measures the catalogue on synthetic functions: `catalogue FOLDER [ARTIFACTS [FUNCTIONS-EACH]]` writes
//! segments as they would come, merges them into one, and looks functions up through files. The folder is
//! left as it is found but for the shards, which stay.
#![expect(clippy::print_stdout, reason = "its output is read by `cargo xtask bench delta`")]

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use assay_binary::Address;
use assay_delta::catalogue::{FunctionKey, SegmentBuilder, Shard, ShardBytes, Source, merge};
use assay_evidence::Sha256;
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Artifacts of one segment before merging.
const PER_SEGMENT: u64 = 250;
/// Of so many functions of an artifact one is its own; the others it shares with its neighbours.
const OWN: u64 = 4;
const LOOKUPS: u64 = 100_000;

struct OnDisk(File);

impl Source for OnDisk {
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(Cow::Owned(bytes))
    }
}

/// SplitMix64, so that every run has the same functions.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key(number: u64) -> FunctionKey {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&mixed(number).to_be_bytes());
    digest[8..16].copy_from_slice(&mixed(number ^ 0x5555).to_be_bytes());
    FunctionKey::of(&Sha256::from_bytes(digest))
}

/// The number of the function in a place of an artifact.
fn function(artifact: u64, place: u64, each: u64) -> u64 {
    let shared = artifact / 10;
    if place.is_multiple_of(OWN) { artifact * each + place } else { 1 << 40 | (shared * each + place) }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("usage: catalogue FOLDER [ARTIFACTS [FUNCTIONS-EACH]]")?;
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (artifacts, each) = (number(1, 2000)?, number(2, 2500)?);
    let start = Instant::now();
    let mut segments: Vec<ShardBytes> = Vec::new();
    for first in (0..artifacts).step_by(PER_SEGMENT as usize) {
        let mut builder = SegmentBuilder::default();
        for artifact in first..artifacts.min(first + PER_SEGMENT) {
            let functions =
                (0..each).map(|place| (key(function(artifact, place, each)), Address(0x1000 + place * 64)));
            builder.add_functions(Sha256::of(&artifact.to_le_bytes()), functions);
        }
        segments.extend(builder.finish()?.1);
    }
    let built = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let inputs: Vec<&[u8]> = segments.iter().map(|shard| shard.bytes.as_slice()).collect();
    let (bits, merged) = merge(&inputs)?;
    let merging = start.elapsed().as_secs_f64();
    drop(segments);
    let bytes: usize = merged.iter().map(|shard| shard.bytes.len()).sum();
    let distinct: u64 = merged.iter().map(|shard| shard.functions).sum();
    let shards = write(Path::new(folder), merged)?;
    let (mut times, mut found) = (Vec::new(), 0);
    for lookup in 0..LOOKUPS {
        let artifact = mixed(lookup) % artifacts;
        let wanted = key(function(artifact, mixed(lookup ^ 7) % each, each));
        let start = Instant::now();
        let (_, source, shard) =
            shards.iter().find(|(prefix, ..)| *prefix == wanted.prefix(bits)).ok_or("no shard")?;
        let (_, places) = shard.find(source, &wanted, None, 100)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        found += u64::from(places.iter().any(|place| place.artifact == Sha256::of(&artifact.to_le_bytes())));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!(
        "{}",
        json!({
            "occurrences": artifacts * each, "functions": distinct, "artifacts": artifacts, "bytes": bytes,
            "shards": shards.len(), "build_seconds": built, "merge_seconds": merging, "lookups": LOOKUPS,
            "found": found, "p50": at(0.5), "p99": at(0.99), "peak_bytes": peak_bytes(),
        })
    );
    Ok(())
}

type Opened = (u32, OnDisk, Shard);

fn write(folder: &Path, shards: Vec<ShardBytes>) -> Outcome<Vec<Opened>> {
    let mut opened = Vec::new();
    for ShardBytes { prefix, bytes, .. } in shards {
        let file = folder.join(format!("{prefix}.shard"));
        std::fs::write(&file, &bytes)?;
        let source = OnDisk(File::open(&file)?);
        let shard = Shard::open(&source, bytes.len() as u64)?;
        opened.push((prefix, source, shard));
    }
    Ok(opened)
}

/// Peak resident memory of this process (`VmHWM`), in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}
