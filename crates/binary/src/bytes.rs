//! Bounds-checked reading of numbers and texts, for the parts of formats that no crate reads for us.

/// Bytes with an order; every read is checked and answers `None` past the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'data> {
    pub data: &'data [u8],
    pub little: bool,
}

impl<'data> Bytes<'data> {
    pub(crate) fn little(data: &'data [u8]) -> Self {
        Self { data, little: true }
    }

    pub(crate) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.slice(at, N as u64)?.try_into().ok()
    }

    pub(crate) fn slice(&self, at: u64, length: u64) -> Option<&'data [u8]> {
        let from = usize::try_from(at).ok()?;
        self.data.get(from..from.checked_add(usize::try_from(length).ok()?)?)
    }

    pub(crate) fn u8(&self, at: u64) -> Option<u8> {
        self.data.get(usize::try_from(at).ok()?).copied()
    }

    pub(crate) fn u16(&self, at: u64) -> Option<u16> {
        let bytes = self.array(at)?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    pub(crate) fn u32(&self, at: u64) -> Option<u32> {
        let bytes = self.array(at)?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    pub(crate) fn u64(&self, at: u64) -> Option<u64> {
        let bytes = self.array(at)?;
        Some(if self.little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    /// A number of `width` bytes (1, 2, 4 or 8).
    pub(crate) fn word(&self, at: u64, width: u8) -> Option<u64> {
        match width {
            1 => self.u8(at).map(u64::from),
            2 => self.u16(at).map(u64::from),
            4 => self.u32(at).map(u64::from),
            8 => self.u64(at),
            _ => None,
        }
    }

    /// The bytes from `at` up to the first zero byte, at most `limit` of them.
    pub(crate) fn until_zero(&self, at: u64, limit: usize) -> Option<&'data [u8]> {
        let rest = self.data.get(usize::try_from(at).ok()?..)?;
        let end = rest.iter().take(limit).position(|&byte| byte == 0)?;
        Some(&rest[..end])
    }
}
