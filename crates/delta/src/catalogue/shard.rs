//! A shard as bytes, and the search in it.
//!
//! Layout, little-endian: magic, format version, normaliser version, SHA-256 of what follows; then five
//! words: how many artifacts, keys and occurrences, the bits of prefix that all keys share, the bits of
//! the table; then the artifacts' digests in order, the table (where the keys of each further prefix
//! begin), the keys in order, where the occurrences of each key begin, and the occurrences (number of
//! the artifact, address) in order.

use std::borrow::Cow;

use assay_binary::Address;
use assay_evidence::Sha256;

use super::{CatalogueError, FunctionKey, KEY};
use crate::index::NORMALISER_VERSION;

pub(super) const MAGIC: &[u8; 8] = b"ASSAYCAT";
pub(super) const FORMAT: u32 = 1;
pub(super) const HEADER: usize = 8 + 4 + 4 + 32;
pub(super) const COUNTS: usize = 5;
pub(super) const OCCURRENCE: usize = 12;
/// Most of anything in one shard.
const MAX_COUNT: u64 = 1 << 31;
/// Most bits of prefix and of table.
pub(super) const MAX_BITS: u64 = 20;

/// Where the bytes of a shard come from.
pub trait Source {
    /// `length` bytes from `offset`.
    ///
    /// # Errors
    /// Of the file; the end of the bytes is `UnexpectedEof`.
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>>;
}

impl Source for [u8] {
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = from.checked_add(length).and_then(|end| self.get(from..end));
        bytes.map(Cow::Borrowed).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// One place where a function occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// In which artifact.
    pub artifact: Sha256,
    /// Where it begins there.
    pub address: Address,
}

/// A shard that was opened: where its arrays lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    artifacts: u64,
    keys: u64,
    occurrences: u64,
    prefix_bits: u32,
    table_bits: u32,
}

impl Shard {
    /// Reads the head of a shard of `length` bytes.
    ///
    /// # Errors
    /// [`CatalogueError`]: no shard, one of another normaliser, or one whose counts contradict its length.
    pub fn open(source: &(impl Source + ?Sized), length: u64) -> Result<Self, CatalogueError> {
        if length < (HEADER + COUNTS * 8) as u64 {
            return Err(CatalogueError::NotAShard { detail: "it ends too early" });
        }
        let head = source.read(0, HEADER + COUNTS * 8)?;
        if &head[..8] != MAGIC || word(&head[8..12]) != FORMAT {
            return Err(CatalogueError::NotAShard { detail: "another magic or format" });
        }
        let found = word(&head[12..16]);
        if found != NORMALISER_VERSION {
            return Err(CatalogueError::OtherVersion { found, expected: NORMALISER_VERSION });
        }
        let count = |number: usize| long(&head[HEADER + number * 8..HEADER + number * 8 + 8]);
        if (0..3).any(|number| count(number) > MAX_COUNT) || count(3) > MAX_BITS || count(4) > MAX_BITS {
            return Err(CatalogueError::NotAShard { detail: "a count past its limit" });
        }
        let shard = Self {
            artifacts: count(0),
            keys: count(1),
            occurrences: count(2),
            prefix_bits: count(3) as u32,
            table_bits: count(4) as u32,
        };
        match shard.at_occurrence(shard.occurrences) == length {
            true => Ok(shard),
            false => Err(CatalogueError::NotAShard { detail: "its counts and its length differ" }),
        }
    }

    /// Opens a shard that is at hand as a whole, its checksum included.
    ///
    /// # Errors
    /// [`CatalogueError`], also where the bytes are not the ones that were written.
    pub fn check(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let shard = Self::open(bytes, bytes.len() as u64)?;
        match Sha256::of(&bytes[HEADER..]).as_bytes()[..] == bytes[16..HEADER] {
            true => Ok(shard),
            false => Err(CatalogueError::Damaged),
        }
    }

    /// How many functions it knows.
    pub fn functions(&self) -> u64 {
        self.keys
    }

    fn at_artifact(&self, number: u64) -> u64 {
        (HEADER + COUNTS * 8) as u64 + number * 32
    }

    fn at_table(&self, number: u64) -> u64 {
        self.at_artifact(self.artifacts) + number * 4
    }

    fn at_key(&self, number: u64) -> u64 {
        self.at_table((1 << self.table_bits) + 1) + number * KEY as u64
    }

    fn at_start(&self, number: u64) -> u64 {
        self.at_key(self.keys) + number * 4
    }

    fn at_occurrence(&self, number: u64) -> u64 {
        self.at_start(self.keys + 1) + number * OCCURRENCE as u64
    }

    /// The number of the first key that is not below `key`.
    fn lower_bound(&self, source: &(impl Source + ?Sized), key: &FunctionKey) -> Result<u64, CatalogueError> {
        let shift = 64 - self.table_bits;
        let bucket = match self.table_bits {
            0 => 0,
            _ => (key.leading() << self.prefix_bits) >> shift,
        };
        let table = source.read(self.at_table(bucket), 8)?;
        let (mut from, mut to) = (u64::from(word(&table[..4])), u64::from(word(&table[4..])));
        if from > to || to > self.keys {
            return Err(CatalogueError::NotAShard { detail: "its table leads past its keys" });
        }
        while from < to {
            let middle = from + (to - from) / 2;
            match self.key(source, middle)? < *key {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        Ok(from)
    }

    fn key(&self, source: &(impl Source + ?Sized), number: u64) -> Result<FunctionKey, CatalogueError> {
        let bytes = source.read(self.at_key(number), KEY)?;
        let mut key = [0; KEY];
        key.copy_from_slice(&bytes);
        Ok(FunctionKey(key))
    }

    /// Where the occurrences of the key of that number begin and end.
    fn run(&self, source: &(impl Source + ?Sized), number: u64) -> Result<(u64, u64), CatalogueError> {
        let bytes = source.read(self.at_start(number), 8)?;
        let (from, to) = (u64::from(word(&bytes[..4])), u64::from(word(&bytes[4..])));
        match from <= to && to <= self.occurrences {
            true => Ok((from, to)),
            false => Err(CatalogueError::NotAShard { detail: "a key leads past the occurrences" }),
        }
    }

    /// How often a function occurs, and at most `limit` of the places after `after`, in order.
    ///
    /// # Errors
    /// [`CatalogueError`] where it cannot be read or contradicts itself.
    pub fn find(
        &self,
        source: &(impl Source + ?Sized),
        key: &FunctionKey,
        after: Option<&Occurrence>,
        limit: usize,
    ) -> Result<(u64, Vec<Occurrence>), CatalogueError> {
        let number = self.lower_bound(source, key)?;
        if number >= self.keys || self.key(source, number)? != *key {
            return Ok((0, Vec::new()));
        }
        let (from, to) = self.run(source, number)?;
        let (mut first, mut last) = (from, to);
        while after.is_some() && first < last {
            let middle = first + (last - first) / 2;
            match Some(&self.occurrence(source, middle)?) <= after {
                true => first = middle + 1,
                false => last = middle,
            }
        }
        let found = (first..to).take(limit).map(|number| self.occurrence(source, number));
        Ok((to - from, found.collect::<Result<_, _>>()?))
    }

    fn occurrence(&self, source: &(impl Source + ?Sized), number: u64) -> Result<Occurrence, CatalogueError> {
        let bytes = source.read(self.at_occurrence(number), OCCURRENCE)?;
        let artifact = u64::from(word(&bytes[..4]));
        if artifact >= self.artifacts {
            return Err(CatalogueError::NotAShard { detail: "an occurrence in no artifact" });
        }
        let address = Address(long(&bytes[4..12]));
        Ok(Occurrence { artifact: digest(&source.read(self.at_artifact(artifact), 32)?), address })
    }

    /// Calls `found` for every occurrence of every key in `from..=to`, in order.
    pub(super) fn each(
        &self,
        bytes: &[u8],
        from: &FunctionKey,
        to: &FunctionKey,
        mut found: impl FnMut(FunctionKey, Occurrence),
    ) -> Result<(), CatalogueError> {
        let (mut first, mut last) = (0, self.keys);
        while first < last {
            let middle = first + (last - first) / 2;
            match self.key(bytes, middle)? < *from {
                true => first = middle + 1,
                false => last = middle,
            }
        }
        for number in first..self.keys {
            let key = self.key(bytes, number)?;
            if key > *to {
                break;
            }
            let (start, end) = self.run(bytes, number)?;
            for at in start..end {
                found(key, self.occurrence(bytes, at)?);
            }
        }
        Ok(())
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn long(bytes: &[u8]) -> u64 {
    u64::from(word(bytes)) | u64::from(word(&bytes[4..])) << 32
}

fn digest(bytes: &[u8]) -> Sha256 {
    let mut digest = [0; 32];
    digest.copy_from_slice(bytes);
    Sha256::from_bytes(digest)
}
