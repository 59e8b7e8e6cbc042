//! Reading of LEB128 numbers and names, checked.

use crate::limits;

#[derive(Clone)]
pub(super) struct Reader<'data> {
    pub data: &'data [u8],
    pub at: usize,
}

impl<'data> Reader<'data> {
    pub(super) fn new(data: &'data [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.data.len()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'data [u8]> {
        let bytes = self.data.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let mut value = 0i64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                let used = shift + 7;
                return Some(if used < 64 && byte & 0x40 != 0 { value | -1 << used } else { value });
            }
        }
        None
    }

    /// A count of things that take at least one byte each.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = self.u32()? as usize;
        (count <= self.data.len() - self.at.min(self.data.len())).then_some(count)
    }

    pub(super) fn name(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let bytes = self.bytes(length).filter(|_| length <= limits::MAX_NAME_BYTES)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn sized(&mut self) -> Option<&'data [u8]> {
        let length = self.u32()? as usize;
        self.bytes(length)
    }
}
