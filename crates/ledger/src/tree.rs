//! The Merkle tree (RFC 6962 section 2.1) over tiles of 256 hashes.

use std::collections::BTreeMap;

use assay_evidence::Sha256;

use crate::tile::{TILE_HEIGHT, TILE_WIDTH, TileFile, TileId, encode_entries};

/// A tree hash, 32 bytes.
pub type Hash = [u8; 32];

/// Hash of one leaf's bytes: SHA-256(0x00 || leaf).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    hash_prefixed(0, leaf, &[])
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_prefixed(1, left, right)
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    *Sha256::of(b"").as_bytes()
}

fn hash_prefixed(prefix: u8, first: &[u8], second: &[u8]) -> Hash {
    let mut stream = Sha256::stream();
    stream.update(&[prefix]);
    stream.update(first);
    stream.update(second);
    *stream.finish().as_bytes()
}

/// Why the tree cannot answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// A tile that a tree of this size must have was not given.
    #[error("the tile {0} is missing")]
    MissingTile(String),
    /// The question lies outside the tree.
    #[error("index {index} is not below the size {size}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// The tree's size.
        size: u64,
    },
}

/// A tree of a known size whose tiles were loaded by the caller.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    /// Hashes of complete subtrees at tile boundaries, by (tile level, index within the level).
    hashes: BTreeMap<(u8, u64), Hash>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves; `load` is asked for every hash tile on the right edge (enough to
    /// grow the tree and compute its root) and returns its hashes.
    pub fn open<E: From<TreeError>>(
        size: u64,
        mut load: impl FnMut(&TileId) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut tree = Self { size, hashes: BTreeMap::new() };
        for tile in TileId::right_edge(size) {
            let hashes = load(&tile)?;
            tree.add_tile(&tile, &hashes)?;
        }
        Ok(tree)
    }

    /// Adds the hashes of one more tile (needed for proofs about older leaves).
    pub fn add_tile(&mut self, tile: &TileId, hashes: &[Hash]) -> Result<(), TreeError> {
        if hashes.len() != tile.width() {
            return Err(TreeError::MissingTile(tile.path()));
        }
        let first = tile.index() * TILE_WIDTH;
        self.hashes.extend(hashes.iter().zip(first..).map(|(hash, index)| ((tile.level(), index), *hash)));
        Ok(())
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root hash.
    pub fn root(&self) -> Result<Hash, TreeError> {
        self.root_at(self.size)
    }

    /// The root that the tree had at `size`.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError> {
        if size > self.size {
            return Err(TreeError::OutOfRange { index: size, size: self.size });
        }
        if size == 0 { Ok(empty_root()) } else { self.range(0, size) }
    }

    /// Appends leaves; returns every file that the grown tree adds, hash tiles and entry bundles.
    /// `bundle_head` holds the leaves already in the last, partial entry bundle.
    pub fn append(
        &mut self,
        bundle_head: &[Vec<u8>],
        leaves: &[Vec<u8>],
    ) -> Result<Vec<TileFile>, TreeError> {
        let old = self.size;
        let mut next: Vec<(u64, Hash)> =
            leaves.iter().zip(old..).map(|(leaf, index)| (index, leaf_hash(leaf))).collect();
        self.size += leaves.len() as u64;
        let mut files = entry_files(old, bundle_head, leaves);
        let mut level = 0u8;
        while !next.is_empty() {
            self.hashes.extend(next.iter().map(|(index, hash)| ((level, *index), *hash)));
            let (first, last) = (next[0].0, next[next.len() - 1].0);
            let mut parents = Vec::new();
            for index in first / TILE_WIDTH..=last / TILE_WIDTH {
                let end = (last + 1).min((index + 1) * TILE_WIDTH);
                let tile = TileId::new(level, index, (end - index * TILE_WIDTH) as usize);
                files.push(TileFile { path: tile.path(), bytes: self.tile(&tile)?.concat() });
                if tile.is_full() {
                    parents.push((index, self.tile_root(level, index)?));
                }
            }
            next = parents;
            level += 1;
        }
        Ok(files)
    }

    /// The hashes of one tile, as far as this tree holds them.
    pub fn tile(&self, tile: &TileId) -> Result<Vec<Hash>, TreeError> {
        let first = tile.index() * TILE_WIDTH;
        (first..first + tile.width() as u64).map(|index| self.stored(tile.level(), index)).collect()
    }

    fn tile_root(&self, level: u8, index: u64) -> Result<Hash, TreeError> {
        self.fold(level, index * TILE_WIDTH, TILE_WIDTH)
    }

    fn stored(&self, level: u8, index: u64) -> Result<Hash, TreeError> {
        let tile = || TileId::new(level, index / TILE_WIDTH, TILE_WIDTH as usize).path();
        self.hashes.get(&(level, index)).copied().ok_or_else(|| TreeError::MissingTile(tile()))
    }

    /// Root of `count` (a power of two, at most 256) neighbouring hashes of one tile level.
    fn fold(&self, level: u8, first: u64, count: u64) -> Result<Hash, TreeError> {
        if count == 1 {
            return self.stored(level, first);
        }
        let half = count / 2;
        Ok(node_hash(&self.fold(level, first, half)?, &self.fold(level, first + half, half)?))
    }

    /// Root of the complete subtree of 2^`height` leaves that starts at `start`.
    fn subtree(&self, height: u32, start: u64) -> Result<Hash, TreeError> {
        let (level, rest) = ((height / TILE_HEIGHT) as u8, height % TILE_HEIGHT);
        self.fold(level, start >> (u32::from(level) * TILE_HEIGHT), 1 << rest)
    }

    /// MTH(D[start:end]) for a range that the RFC's recursion reaches.
    fn range(&self, start: u64, end: u64) -> Result<Hash, TreeError> {
        let count = end - start;
        if count.is_power_of_two() {
            return self.subtree(count.trailing_zeros(), start);
        }
        let split = split_point(count);
        Ok(node_hash(&self.range(start, start + split)?, &self.range(start + split, end)?))
    }

    /// The audit path of leaf `index` in the tree of `size` (RFC 6962 section 2.1.1).
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        if index >= size || size > self.size {
            return Err(TreeError::OutOfRange { index, size });
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split_point(end - start);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the tree of `size` extends the tree of `old` (RFC 6962 section 2.1.2).
    pub fn consistency_proof(&self, old: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        if old > size || size > self.size {
            return Err(TreeError::OutOfRange { index: old, size });
        }
        if old == 0 || old == size {
            return Ok(Vec::new());
        }
        let (mut start, mut end, mut whole, mut path) = (0, size, true, Vec::new());
        loop {
            if old == end {
                if !whole {
                    path.push(self.range(start, end)?);
                }
                break;
            }
            let middle = start + split_point(end - start);
            if old <= middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
                whole = false;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The hash tiles that a proof about leaf `index` (or a root at `index`) may read.
    pub fn tiles_towards(index: u64, size: u64) -> Vec<TileId> {
        let mut tiles = Vec::new();
        let (mut level, mut position, mut count) = (0u8, index, size);
        while count > 0 {
            if position < count {
                let tile = position / TILE_WIDTH;
                let width = (count - tile * TILE_WIDTH).min(TILE_WIDTH) as usize;
                tiles.push(TileId::new(level, tile, width));
            }
            position /= TILE_WIDTH;
            count /= TILE_WIDTH;
            level += 1;
        }
        tiles
    }
}

/// The largest power of two below `count`.
fn split_point(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

fn entry_files(old: u64, head: &[Vec<u8>], leaves: &[Vec<u8>]) -> Vec<TileFile> {
    let mut files = Vec::new();
    let mut bundle: Vec<&Vec<u8>> = head.iter().collect();
    let mut index = old / TILE_WIDTH;
    for (position, leaf) in leaves.iter().enumerate() {
        bundle.push(leaf);
        let full = bundle.len() as u64 == TILE_WIDTH;
        if full || position + 1 == leaves.len() {
            let path = TileId::entries_path(index, bundle.len());
            files.push(TileFile { path, bytes: encode_entries(bundle.iter().map(|leaf| leaf.as_slice())) });
        }
        if full {
            bundle.clear();
            index += 1;
        }
    }
    files
}
