//! The memory that a core file holds.

/// Longest text read.
const MAX_TEXT: usize = 128 * 1024;

/// Segments of a core: (address, bytes).
pub(super) struct Memory<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Memory<'a> {
    pub(super) fn new(mut segments: Vec<(u64, &'a [u8])>) -> Self {
        segments.sort_by_key(|(address, _)| *address);
        Self(segments)
    }

    /// What lies from an address to the end of its segment.
    pub(super) fn from(&self, address: u64) -> Option<&'a [u8]> {
        let next = self.0.partition_point(|(start, _)| *start <= address);
        let (start, bytes) = self.0[..next].last()?;
        bytes.get(usize::try_from(address - start).ok()?..).filter(|rest| !rest.is_empty())
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.from(address)?.get(..8)?.try_into().ok()?))
    }

    /// A C string.
    pub(super) fn text(&self, address: u64) -> Option<String> {
        let bytes = self.from(address)?;
        let end = bytes.iter().take(MAX_TEXT).position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Where these bytes lie in the segment that holds an address.
    pub(super) fn find(&self, near: u64, wanted: &[u8]) -> Option<u64> {
        let next = self.0.partition_point(|(start, _)| *start <= near);
        let (start, bytes) = self.0[..next].last()?;
        let words = bytes.chunks(8).count();
        (0..words).map(|at| at * 8).find(|at| bytes[*at..].starts_with(wanted)).map(|at| start + at as u64)
    }
}
