//! An index as bytes: arrays of fixed-width little-endian records, so that a mapped file is read in
//! place.
//!
//! Layout: magic, normaliser version, reserved word, SHA-256 of what follows; then seven counts, and in
//! this order the facts of the artifact (JSON), the names, the records of functions and objects, the
//! references, the numbers and the features, each array starting at a multiple of eight bytes. Nothing
//! in a file is ever changed.

use assay_evidence::Sha256;

use super::{Index, NORMALISER_VERSION};
use crate::error::DeltaError;
use crate::lift::Target;
use crate::limits::MAX_INDEX_ENTRIES;
use crate::record::{FunctionRecord, ObjectRecord, Records, Run};

const MAGIC: &[u8; 8] = b"ASSAYIDX";
const HEADER: usize = 8 + 4 + 4 + 32;
const FUNCTION: usize = 3 * 8 + 3 * 32 + 4 * 8 + 8;
const OBJECT: usize = 2 * 8 + 2 * 16 + 32 + 2 * 8;
const COUNTS: usize = 7;
/// Bytes of one entry of each array, in the order of the counts.
const WIDTHS: [usize; COUNTS] = [1, 1, FUNCTION, OBJECT, 8, 4, 4];

impl Index {
    /// The index as bytes, the same for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let about = serde_json::to_vec(&self.about).unwrap_or_default();
        let counts = [
            about.len(),
            self.records.names.len(),
            self.records.functions.len(),
            self.records.objects.len(),
            self.records.references.len(),
            self.records.numbers.len(),
            self.records.features.len(),
        ];
        let size: usize = counts.iter().zip(WIDTHS).map(|(count, width)| count * width + 8).sum();
        let mut out = Vec::with_capacity(HEADER + COUNTS * 8 + size);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&NORMALISER_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4 + 32]);
        counts.iter().for_each(|&count| out.extend_from_slice(&(count as u64).to_le_bytes()));
        out.extend_from_slice(&about);
        align(&mut out);
        out.extend_from_slice(self.records.names.as_bytes());
        align(&mut out);
        self.records.functions.iter().for_each(|function| put_function(&mut out, function));
        self.records.objects.iter().for_each(|object| put_object(&mut out, object));
        self.records
            .references
            .iter()
            .for_each(|&target| out.extend_from_slice(&packed(target).to_le_bytes()));
        self.records.numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        align(&mut out);
        self.records.features.iter().for_each(|feature| out.extend_from_slice(&feature.to_le_bytes()));
        let digest = Sha256::of(&out[HEADER..]);
        out[16..HEADER].copy_from_slice(digest.as_bytes());
        out
    }

    /// Reads an index.
    ///
    /// # Errors
    /// [`DeltaError`]: no index, one of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DeltaError> {
        let arrays = arrays(payload(bytes)?)?;
        let [about, names, functions, objects, references, numbers, features] = arrays;
        let about =
            serde_json::from_slice(about).map_err(|_| DeltaError::NotAnIndex { detail: "no facts" })?;
        let names =
            std::str::from_utf8(names).map_err(|_| DeltaError::NotAnIndex { detail: "a name is no text" })?;
        let word = |word: &[u8]| u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let records = Records {
            names: names.to_owned(),
            functions: functions.chunks_exact(FUNCTION).map(function).collect(),
            objects: objects.chunks_exact(OBJECT).map(object).collect(),
            references: references
                .chunks_exact(8)
                .map(|bytes| unpacked(Reader { bytes, at: 0 }.u64()))
                .collect::<Option<_>>()
                .ok_or(DeltaError::NotAnIndex { detail: "a reference to nothing" })?,
            numbers: numbers.chunks_exact(4).map(word).collect(),
            features: features.chunks_exact(4).map(word).collect(),
        };
        let index = Self { about, records };
        index
            .is_consistent()
            .then_some(index)
            .ok_or(DeltaError::NotAnIndex { detail: "a run past its array" })
    }

    fn is_consistent(&self) -> bool {
        let within = |run: Run, length: usize| run.from as usize + run.length as usize <= length;
        let named = |run: Run| {
            let (from, to) = (run.from as usize, run.from as usize + run.length as usize);
            self.records.names.get(from..to).is_some()
        };
        let targets = self.records.references.iter().all(|target| match *target {
            Target::Function(number) => (number as usize) < self.records.functions.len(),
            Target::Object(number) => (number as usize) < self.records.objects.len(),
            Target::Variable(_) => true,
        });
        targets
            && self.records.functions.iter().all(|f| {
                named(f.name)
                    && within(f.numbers, self.records.numbers.len())
                    && within(f.references, self.records.references.len())
                    && within(f.features, self.records.features.len())
            })
            && self
                .records
                .objects
                .iter()
                .all(|o| named(o.name) && within(o.references, self.records.references.len()))
    }
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

fn arrays(payload: &[u8]) -> Result<[&[u8]; COUNTS], DeltaError> {
    let mut found = [[].as_slice(); COUNTS];
    let mut at = COUNTS * 8;
    for (number, width) in WIDTHS.iter().enumerate() {
        let bytes = payload.get(number * 8..number * 8 + 8).ok_or_else(truncated)?;
        let count = Reader { bytes, at: 0 }.u64();
        if count > MAX_INDEX_ENTRIES * 64 {
            return Err(DeltaError::NotAnIndex { detail: "a count past its limit" });
        }
        at = at.next_multiple_of(8);
        let size = usize::try_from(count).ok().and_then(|count| count.checked_mul(*width));
        let end = size.and_then(|size| at.checked_add(size)).ok_or_else(truncated)?;
        found[number] = payload.get(at..end).ok_or_else(truncated)?;
        at = end;
    }
    Ok(found)
}

fn truncated() -> DeltaError {
    DeltaError::NotAnIndex { detail: "it ends too early" }
}

/// The header is a multiple of eight, so that alignment in the file is alignment in the payload.
fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

fn packed(target: Target) -> u64 {
    match target {
        Target::Function(number) => u64::from(number),
        Target::Object(number) => 1 << 62 | u64::from(number),
        Target::Variable(address) => 2 << 62 | (address & ((1 << 62) - 1)),
    }
}

fn unpacked(value: u64) -> Option<Target> {
    let low = value & ((1 << 62) - 1);
    match value >> 62 {
        0 => u32::try_from(low).ok().map(Target::Function),
        1 => u32::try_from(low).ok().map(Target::Object),
        2 => Some(Target::Variable(low)),
        _ => None,
    }
}

fn put_run(out: &mut Vec<u8>, run: Run) {
    out.extend_from_slice(&run.from.to_le_bytes());
    out.extend_from_slice(&run.length.to_le_bytes());
}

fn put_function(out: &mut Vec<u8>, function: &FunctionRecord) {
    for value in [function.address, function.size, function.masked] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    for hash in [&function.exact, &function.meaning, &function.closure] {
        out.extend_from_slice(hash.as_bytes());
    }
    for run in [function.name, function.numbers, function.references, function.features] {
        put_run(out, run);
    }
    out.extend_from_slice(&u64::from(function.flags).to_le_bytes());
}

fn put_object(out: &mut Vec<u8>, object: &ObjectRecord) {
    out.extend_from_slice(&object.address.to_le_bytes());
    out.extend_from_slice(&object.size.to_le_bytes());
    out.extend_from_slice(&object.meaning);
    out.extend_from_slice(&object.exact);
    out.extend_from_slice(object.closure.as_bytes());
    put_run(out, object.name);
    put_run(out, object.references);
}

fn function(bytes: &[u8]) -> FunctionRecord {
    let mut reader = Reader { bytes, at: 0 };
    FunctionRecord {
        address: reader.u64(),
        size: reader.u64(),
        masked: reader.u64(),
        exact: Sha256::from_bytes(reader.take()),
        meaning: Sha256::from_bytes(reader.take()),
        closure: Sha256::from_bytes(reader.take()),
        name: reader.run(),
        numbers: reader.run(),
        references: reader.run(),
        features: reader.run(),
        flags: reader.u64() as u32,
    }
}

fn object(bytes: &[u8]) -> ObjectRecord {
    let mut reader = Reader { bytes, at: 0 };
    ObjectRecord {
        address: reader.u64(),
        size: reader.u64(),
        meaning: reader.take(),
        exact: reader.take(),
        closure: Sha256::from_bytes(reader.take()),
        name: reader.run(),
        references: reader.run(),
    }
}

/// Reads records whose size was checked.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        out
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn run(&mut self) -> Run {
        Run { from: u32::from_le_bytes(self.take()), length: u32::from_le_bytes(self.take()) }
    }
}
