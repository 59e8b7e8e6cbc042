//! Seeds that only this project writes: indexes of real binaries, and shards of a catalogue over them.

use std::path::PathBuf;

use assay_delta::Index;
use assay_delta::catalogue::SegmentBuilder;

/// Where binaries are, and where what is made of them goes.
pub struct Folders {
    binaries: PathBuf,
    indexes: PathBuf,
    shards: PathBuf,
}

/// The folders that the environment names, if this run is to write seeds.
pub fn wanted() -> Option<Folders> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    Some(Folders {
        binaries: folder("ASSAY_FUZZ_BINARIES")?,
        indexes: folder("ASSAY_FUZZ_INDEXES")?,
        shards: folder("ASSAY_FUZZ_SHARDS")?,
    })
}

/// One index file of each binary that can be indexed, and the shards of all of them.
pub fn write(folders: &Folders) -> std::io::Result<()> {
    let mut segment = SegmentBuilder::default();
    for (at, entry) in std::fs::read_dir(&folders.binaries)?.enumerate() {
        if let Ok(index) = Index::build(&std::fs::read(entry?.path())?) {
            segment.add(&index);
            std::fs::write(folders.indexes.join(format!("seed-{at}")), index.to_bytes())?;
        }
    }
    let (_, shards) = segment.finish().map_err(std::io::Error::other)?;
    for shard in shards {
        std::fs::write(folders.shards.join(format!("seed-{}", shard.prefix)), &shard.bytes)?;
    }
    Ok(())
}
