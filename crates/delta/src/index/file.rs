//! An index as bytes: fixed-width little-endian records, then a table of strings.
//!
//! Layout: magic, normaliser version, reserved word, SHA-256 of what follows; then the artifact's
//! digest, five counts, the records of functions, objects and edges, one number per instruction,
//! and the strings that records name by offset and length. Every record starts at a multiple of four
//! so that a mapped file can be read in place; nothing in it is ever changed.

use assay_binary::{Address, Toolchain, ToolchainEvidence};
use assay_evidence::Sha256;

use super::{Index, IndexedFunction, IndexedObject, NORMALISER_VERSION};
use crate::error::DeltaError;
use crate::limits::MAX_INDEX_ENTRIES;

const MAGIC: &[u8; 8] = b"ASSAYIDX";
const HEADER: usize = 8 + 4 + 4 + 32;
const FUNCTION: usize = 8 + 8 + 32 + 8 + 8 + 4 + 4;
const OBJECT: usize = 8 + 8 + 32 + 8 + 8;

impl Index {
    /// The index as bytes, the same for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(self.artifact.as_bytes());
        let instructions: usize = self.functions.iter().map(|function| function.instructions.len()).sum();
        for count in [self.functions.len(), self.objects.len(), self.edges.len(), instructions] {
            writer.u64(count as u64);
        }
        writer.optional(self.debug_id.as_deref());
        writer.optional(self.toolchain.as_ref().map(|t| t.name.as_str()));
        writer.optional(self.toolchain.as_ref().map(|t| t.version.as_str()));
        writer.u64(self.toolchain.as_ref().map_or(0, |t| evidence_number(t.evidence)));
        for function in &self.functions {
            writer.node(function.address, function.size, &function.hash, &function.name);
            writer.u32(function.instructions.len() as u32);
            writer.u32(0);
        }
        for object in &self.objects {
            writer.node(object.address, object.size, &object.hash, &object.name);
        }
        for &(from, to) in &self.edges {
            writer.u32(from);
            writer.u32(to);
        }
        self.functions.iter().flat_map(|f| &f.instructions).for_each(|&number| writer.u32(number));
        writer.finish()
    }

    /// Reads an index.
    ///
    /// # Errors
    /// [`DeltaError`]: no index, one of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DeltaError> {
        let payload = payload(bytes)?;
        let mut reader = Reader { bytes: payload, at: 0, strings: &[] };
        let artifact = reader.digest()?;
        let counts = [reader.count()?, reader.count()?, reader.count()?, reader.count()?];
        let strings_at = strings_start(counts).filter(|&at| at <= payload.len()).ok_or_else(truncated)?;
        reader.strings = &payload[strings_at..];
        let debug_id = reader.optional()?;
        let (name, version, evidence) = (reader.optional()?, reader.optional()?, reader.u64()?);
        let toolchain = match (name, version, evidence_of(evidence)) {
            (Some(name), Some(version), Some(evidence)) => Some(Toolchain { name, version, evidence }),
            _ => None,
        };
        let mut index =
            Self { artifact, debug_id, toolchain, functions: vec![], objects: vec![], edges: vec![] };
        let mut lengths = Vec::new();
        for _ in 0..counts[0] {
            let (address, size, hash, name) = reader.node()?;
            lengths.push(reader.u32()? as usize);
            reader.u32()?;
            index.functions.push(IndexedFunction { name, address, size, hash, instructions: Vec::new() });
        }
        for _ in 0..counts[1] {
            let (address, size, hash, name) = reader.node()?;
            index.objects.push(IndexedObject { name, address, size, hash });
        }
        let nodes = (counts[0] + counts[1]) as u64;
        for _ in 0..counts[2] {
            let edge = (reader.u32()?, reader.u32()?);
            if u64::from(edge.0.max(edge.1)) >= nodes {
                return Err(DeltaError::NotAnIndex { detail: "an edge to no node" });
            }
            index.edges.push(edge);
        }
        for (function, length) in index.functions.iter_mut().zip(lengths) {
            function.instructions = reader.words(length, strings_at)?;
        }
        Ok(index)
    }
}

/// The fixed part after the counts: three optional strings and the evidence.
const ABOUT: usize = 3 * 16 + 8;

fn strings_start(counts: [usize; 4]) -> Option<usize> {
    let sizes = [FUNCTION, OBJECT, 8, 4];
    let records = counts
        .iter()
        .zip(sizes)
        .try_fold(0usize, |sum, (&count, size)| sum.checked_add(count.checked_mul(size)?))?;
    records.checked_add(32 + 4 * 8 + ABOUT)
}

fn payload(bytes: &[u8]) -> Result<&[u8], DeltaError> {
    let (header, payload) = bytes.split_at_checked(HEADER).ok_or_else(truncated)?;
    if &header[..8] != MAGIC {
        return Err(DeltaError::NotAnIndex { detail: "another magic" });
    }
    let found = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if found != NORMALISER_VERSION {
        return Err(DeltaError::OtherVersion { found, expected: NORMALISER_VERSION });
    }
    if Sha256::of(payload).as_bytes() != &header[16..] {
        return Err(DeltaError::Damaged);
    }
    Ok(payload)
}

fn truncated() -> DeltaError {
    DeltaError::NotAnIndex { detail: "it ends too early" }
}

fn evidence_number(evidence: ToolchainEvidence) -> u64 {
    match evidence {
        ToolchainEvidence::Comment => 1,
        ToolchainEvidence::DwarfProducer => 2,
        _ => 0,
    }
}

fn evidence_of(number: u64) -> Option<ToolchainEvidence> {
    match number {
        1 => Some(ToolchainEvidence::Comment),
        2 => Some(ToolchainEvidence::DwarfProducer),
        _ => None,
    }
}

#[derive(Default)]
struct Writer {
    records: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.records.extend_from_slice(bytes);
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.u64(self.strings.len() as u64);
        self.u64(text.len() as u64);
        self.strings.extend_from_slice(text.as_bytes());
    }

    /// No text is an offset that no string has.
    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => {
                self.u64(u64::MAX);
                self.u64(0);
            }
        }
    }

    fn node(&mut self, address: Address, size: u64, hash: &Sha256, name: &str) {
        self.u64(address.0);
        self.u64(size);
        self.bytes(hash.as_bytes());
        self.string(name);
    }

    fn finish(self) -> Vec<u8> {
        let payload = [self.records, self.strings].concat();
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&NORMALISER_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(Sha256::of(&payload).as_bytes());
        out.extend_from_slice(&payload);
        out
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    strings: &'b [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DeltaError> {
        let bytes = self.bytes.get(self.at..self.at + N).and_then(|bytes| bytes.try_into().ok());
        self.at += N;
        bytes.ok_or_else(truncated)
    }

    fn u32(&mut self) -> Result<u32, DeltaError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, DeltaError> {
        self.take().map(u64::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize, DeltaError> {
        match self.u64()? {
            count if count <= MAX_INDEX_ENTRIES => Ok(count as usize),
            _ => Err(DeltaError::NotAnIndex { detail: "a count past its limit" }),
        }
    }

    fn digest(&mut self) -> Result<Sha256, DeltaError> {
        self.take().map(Sha256::from_bytes)
    }

    fn optional(&mut self) -> Result<Option<String>, DeltaError> {
        let (offset, length) = (self.u64()?, self.u64()?);
        if offset == u64::MAX {
            return Ok(None);
        }
        let end = offset
            .checked_add(length)
            .filter(|&end| end <= self.strings.len() as u64)
            .ok_or_else(truncated)?;
        let text = std::str::from_utf8(&self.strings[offset as usize..end as usize]);
        text.map(|text| Some(text.to_owned()))
            .map_err(|_| DeltaError::NotAnIndex { detail: "a name is no text" })
    }

    fn node(&mut self) -> Result<(Address, u64, Sha256, String), DeltaError> {
        let (address, size, hash) = (self.u64()?, self.u64()?, self.digest()?);
        let name = self.optional()?.ok_or(DeltaError::NotAnIndex { detail: "a node without a name" })?;
        Ok((Address(address), size, hash, name))
    }

    fn words(&mut self, count: usize, limit: usize) -> Result<Vec<u32>, DeltaError> {
        let end = count.checked_mul(4).and_then(|size| self.at.checked_add(size)).filter(|&end| end <= limit);
        let bytes = self.bytes.get(self.at..end.ok_or_else(truncated)?).ok_or_else(truncated)?;
        self.at += bytes.len();
        Ok(bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect())
    }
}
