//! Tile names and contents (C2SP tlog-tiles, "Merkle Tree" and "Log entries").

use crate::tree::Hash;

/// Levels of the Merkle tree in one tile.
pub(crate) const TILE_HEIGHT: u32 = 8;
/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// The largest entry that a bundle can hold: its length is a big-endian u16.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// One hash tile by level, index and width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileId {
    level: u8,
    index: u64,
    width: usize,
}

/// A file of the log: its path below the log's prefix, and its bytes. Create-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileFile {
    /// Relative path, `tile/...`.
    pub path: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

impl TileId {
    /// A tile of `width` hashes (1 to 256).
    pub fn new(level: u8, index: u64, width: usize) -> Self {
        debug_assert!((1..=TILE_WIDTH as usize).contains(&width));
        Self { level, index, width }
    }

    /// `tile/<level>/<index>[.p/<width>]`.
    pub fn path(&self) -> String {
        format!("tile/{}/{}{}", self.level, index_path(self.index), partial_suffix(self.width))
    }

    /// `tile/entries/<index>[.p/<width>]`.
    pub fn entries_path(index: u64, width: usize) -> String {
        format!("tile/entries/{}{}", index_path(index), partial_suffix(width))
    }

    /// The tile level, 0 for leaves.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The index within the level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes it holds.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether it holds all 256.
    pub fn is_full(&self) -> bool {
        self.width as u64 == TILE_WIDTH
    }

    /// The tiles on the right edge of a tree of `size`: all that appending and the root need.
    pub fn right_edge(size: u64) -> Vec<Self> {
        let (mut level, mut count, mut tiles) = (0u8, size, Vec::new());
        while count > 0 {
            let index = (count - 1) / TILE_WIDTH;
            tiles.push(Self::new(level, index, (count - index * TILE_WIDTH) as usize));
            count /= TILE_WIDTH;
            level += 1;
        }
        tiles
    }
}

/// `x001/x234/067`: three digits a path element, all but the last marked with `x`.
fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn partial_suffix(width: usize) -> String {
    if width as u64 == TILE_WIDTH { String::new() } else { format!(".p/{width}") }
}

/// Splits a hash tile's bytes; none where the length does not fit `width`.
pub fn decode_tile(bytes: &[u8], width: usize) -> Option<Vec<Hash>> {
    let hashes: Vec<Hash> = bytes.chunks(32).map(|chunk| chunk.try_into().ok()).collect::<Option<_>>()?;
    (hashes.len() == width).then_some(hashes)
}

/// An entry bundle: every entry after its length as a big-endian u16.
pub fn encode_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("a leaf is checked against MAX_ENTRY_BYTES when made");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(entry);
    }
    out
}

/// Splits an entry bundle; none where a length runs past the end.
pub fn decode_entries(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if rest.len() < length {
            return None;
        }
        let (entry, rest) = rest.split_at(length);
        entries.push(entry.to_vec());
        bytes = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_paths() {
        // C2SP tlog-tiles: "the tile index 1234067 is encoded as x001/x234/067".
        assert_eq!(TileId::new(0, 1_234_067, 256).path(), "tile/0/x001/x234/067");
        assert_eq!(TileId::new(1, 0, 17).path(), "tile/1/000.p/17");
        assert_eq!(TileId::entries_path(999, 256), "tile/entries/999");
    }

    #[test]
    fn bundles_refuse_a_length_past_the_end() {
        let bundle = encode_entries([b"ab".as_slice(), b"".as_slice()]);
        assert_eq!(decode_entries(&bundle), Some(vec![b"ab".to_vec(), Vec::new()]));
        assert_eq!(decode_entries(&bundle[..3]), None);
        assert_eq!(decode_entries(&[0]), None);
    }
}
