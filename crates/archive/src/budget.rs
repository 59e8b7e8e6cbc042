//! What a walk may still use.

use std::io::Read;

use crate::ArchiveError;

/// The bounds of one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep containers may lie in each other; a compressed stream counts as one.
    pub depth: usize,
    /// Most entries in all containers together.
    pub entries: usize,
    /// Most bytes of one entry.
    pub entry_bytes: u64,
    /// Most unpacked bytes in all.
    pub output_bytes: u64,
    /// Most bytes that one compressed byte may become, beyond the first 16 MiB.
    pub ratio: u64,
    /// Most memory that a decompressor may ask for, in bytes.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 8,
            entries: 1_000_000,
            entry_bytes: 2 << 30,
            output_bytes: 16 << 30,
            ratio: 2_000,
            memory_bytes: 256 << 20,
        }
    }
}

/// What may grow without a look at the ratio: small files are often all zeros.
const FREE_BYTES: u64 = 16 << 20;
const CHUNK_BYTES: usize = 1 << 16;

pub(crate) struct Budget {
    pub limits: Limits,
    entries: usize,
    output: u64,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, entries: limits.entries, output: limits.output_bytes }
    }

    pub(crate) fn entry(&mut self, path: &str) -> Result<(), ArchiveError> {
        let too_many = || ArchiveError::TooManyEntries { path: path.to_owned(), limit: self.limits.entries };
        self.entries = self.entries.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }

    /// Reads a stream to its end; `compressed` is how many bytes it comes from.
    ///
    /// # Errors
    /// `Err(Ok(..))` a limit, `Err(Err(..))` what the stream itself reports.
    pub(crate) fn read(
        &mut self,
        path: &str,
        reader: &mut dyn Read,
        compressed: u64,
    ) -> Result<Vec<u8>, Result<ArchiveError, std::io::Error>> {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match reader.read(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Err(error)),
            };
            bytes.extend_from_slice(&chunk[..read]);
            self.grown(path, read as u64, bytes.len() as u64, compressed).map_err(Ok)?;
        }
    }

    fn grown(&mut self, path: &str, by: u64, size: u64, compressed: u64) -> Result<(), ArchiveError> {
        let path = || path.to_owned();
        if size > self.limits.entry_bytes {
            return Err(ArchiveError::TooLarge { path: path(), limit: self.limits.entry_bytes });
        }
        if size > FREE_BYTES && size / self.limits.ratio.max(1) > compressed {
            return Err(ArchiveError::RatioTooHigh { path: path(), limit: self.limits.ratio });
        }
        let too_large = || ArchiveError::TooLarge { path: path(), limit: self.limits.output_bytes };
        self.output = self.output.checked_sub(by).ok_or_else(too_large)?;
        Ok(())
    }
}
