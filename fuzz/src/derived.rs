//! Seeds that only this project writes: indexes of real binaries, and shards of a catalogue over them.

use std::path::{Path, PathBuf};

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

/// One index file of each seed that can be indexed, and the shards of all of them.
pub fn write(folders: &Folders) -> std::io::Result<()> {
    let mut segment = SegmentBuilder::default();
    for path in seeds(&folders.binaries)? {
        // Said before the work, so that the log names a binary that brings this down.
        eprintln!("{}", path.display());
        let Ok(index) = Index::build(&std::fs::read(&path)?) else { continue };
        segment.add(&index);
        let name = path.file_name().unwrap_or_default();
        std::fs::write(folders.indexes.join(name), index.to_bytes())?;
    }
    let (_, shards) = segment.finish().map_err(std::io::Error::other)?;
    for shard in shards {
        std::fs::write(folders.shards.join(format!("seed-{}", shard.prefix)), &shard.bytes)?;
    }
    Ok(())
}

/// The planted files of a corpus by name, without what a fuzzer made of them.
fn seeds(corpus: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(corpus)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("seed-") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
