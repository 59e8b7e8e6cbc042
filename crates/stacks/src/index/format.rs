//! The index as bytes: little-endian numbers in fixed sections, a checksum at the end.
//!
//! Header, 48 bytes: magic, version, counts. Then, each aligned to 4 bytes: the ends of the token
//! texts; the token texts, sorted; the ends of the incidents' names; the names; the rarity of each token (a 32-bit float); the ends of the posting lists; the
//! postings (trace numbers, ascending); the traces (incident, time, ends of their frames and places);
//! the frames (three tokens, line, flags); the places (tokens); SHA-256 of everything before it.

use assay_evidence::Sha256;

use super::IndexError;

/// The version of the index's form; it changes with the normaliser too.
pub const INDEX_VERSION: u32 = 2;
/// The most traces of one index.
pub const MAX_ITEMS: usize = 16_000_000;

pub(super) const MAGIC: &[u8; 8] = b"ASSAYSTK";
pub(super) const HEADER: usize = 48;
pub(super) const TRACE_BYTES: usize = 24;
pub(super) const FRAME_BYTES: usize = 20;
pub(super) const FLAG_STANDARD: u32 = 1;
pub(super) const FLAG_LOCATION: u32 = 2;
pub(super) const FLAG_REPEATED: u32 = 4;
const CHECKSUM: usize = 32;

/// Where the sections lie.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) traces: u32,
    pub(super) tokens: u32,
    pub(super) incidents: u32,
    pub(super) token_ends: usize,
    pub(super) token_text: usize,
    pub(super) incident_ends: usize,
    pub(super) incident_text: usize,
    pub(super) rarities: usize,
    pub(super) posting_ends: usize,
    pub(super) postings: usize,
    pub(super) trace_table: usize,
    pub(super) frames: usize,
    pub(super) places: usize,
}

/// The counts that a header holds, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) traces: u32,
    pub(super) tokens: u32,
    pub(super) incidents: u32,
    pub(super) token_bytes: u32,
    pub(super) incident_bytes: u32,
    pub(super) postings: u32,
    pub(super) frames: u32,
    pub(super) places: u32,
}

impl Counts {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        for number in [
            INDEX_VERSION,
            self.traces,
            self.tokens,
            self.incidents,
            self.token_bytes,
            self.incident_bytes,
            self.postings,
            self.frames,
            self.places,
            0,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

impl Layout {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, IndexError> {
        if bytes.len() < HEADER + CHECKSUM || !bytes.starts_with(MAGIC) {
            return Err(IndexError::Malformed { detail: "no header" });
        }
        let field = |at: usize| u32_at(bytes, 8 + at * 4);
        if field(0) != INDEX_VERSION {
            return Err(IndexError::Version { found: field(0) });
        }
        let counts = Counts {
            traces: field(1),
            tokens: field(2),
            incidents: field(3),
            token_bytes: field(4),
            incident_bytes: field(5),
            postings: field(6),
            frames: field(7),
            places: field(8),
        };
        let (layout, end) = Self::plan(counts);
        if bytes.len() as u64 != end + CHECKSUM as u64 {
            return Err(IndexError::Malformed { detail: "its sections do not add up to its size" });
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        if Sha256::of(body).as_bytes() != checksum {
            return Err(IndexError::Checksum);
        }
        Ok(layout)
    }

    /// The sections that `counts` calls for, and where they end.
    fn plan(counts: Counts) -> (Self, u64) {
        let mut at = HEADER as u64;
        let mut section = |bytes: u64| {
            let start = at;
            at += bytes.div_ceil(4) * 4;
            usize::try_from(start).unwrap_or(usize::MAX)
        };
        let layout = Self {
            traces: counts.traces,
            tokens: counts.tokens,
            incidents: counts.incidents,
            token_ends: section(u64::from(counts.tokens) * 4),
            token_text: section(counts.token_bytes.into()),
            incident_ends: section(u64::from(counts.incidents) * 4),
            incident_text: section(counts.incident_bytes.into()),
            rarities: section(u64::from(counts.tokens) * 4),
            posting_ends: section(u64::from(counts.tokens) * 4),
            postings: section(u64::from(counts.postings) * 4),
            trace_table: section(u64::from(counts.traces) * TRACE_BYTES as u64),
            frames: section(u64::from(counts.frames) * FRAME_BYTES as u64),
            places: section(u64::from(counts.places) * 4),
        };
        (layout, at)
    }
}

/// The number at a place; 0 past the end (a valid checksum does not make a file honest).
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    at.checked_add(4)
        .and_then(|end| bytes.get(at..end))
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

pub(super) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    at.checked_add(8)
        .and_then(|end| bytes.get(at..end))
        .and_then(|eight| eight.try_into().ok())
        .map_or(0, i64::from_le_bytes)
}

/// The range of entry `at` in a table of ends.
pub(super) fn range(bytes: &[u8], ends: usize, at: u32) -> std::ops::Range<usize> {
    let at = at as usize;
    let start = if at == 0 { 0 } else { u32_at(bytes, ends + (at - 1) * 4) };
    let end = u32_at(bytes, ends + at * 4);
    start as usize..(end.max(start)) as usize
}

/// The text of entry `at` in a section of texts.
pub(super) fn text(bytes: &[u8], ends: usize, start: usize, at: u32) -> &str {
    let range = range(bytes, ends, at);
    start
        .checked_add(range.start)
        .zip(start.checked_add(range.end))
        .and_then(|(from, to)| bytes.get(from..to))
        .and_then(|text| std::str::from_utf8(text).ok())
        .unwrap_or_default()
}

/// Pads to 4 bytes.
pub(super) fn align(out: &mut Vec<u8>) {
    out.resize(out.len().div_ceil(4) * 4, 0);
}

/// The checksum over everything written.
pub(super) fn seal(out: &mut Vec<u8>) {
    let digest = Sha256::of(out);
    out.extend_from_slice(digest.as_bytes());
}
