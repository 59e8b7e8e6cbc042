//! Bytecode: Java class files, .NET assemblies, WebAssembly. Constant pools are looked through, so that
//! equal code has equal operands however its pool is ordered.

pub(crate) mod clr;
pub(crate) mod java;
pub(crate) mod wasm;

use crate::BinaryError;

/// Text of a pool may be referred to any number of times, so the total is bounded by the file's size.
const TEXT_BYTES_PER_FILE_BYTE: usize = 64;
const TEXT_BYTES_FREE: usize = 1 << 20;
const MAX_TEXT_BYTES: usize = 1 << 30;

/// Bounds the sum of all texts that operands, names and facts hold.
pub(crate) struct TextBudget {
    left: usize,
}

impl TextBudget {
    pub(crate) fn new(file_bytes: usize) -> Self {
        let left = file_bytes.saturating_mul(TEXT_BYTES_PER_FILE_BYTE).saturating_add(TEXT_BYTES_FREE);
        Self { left: left.min(MAX_TEXT_BYTES) }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), BinaryError> {
        BinaryError::bound("total of all texts", bytes, self.left)?;
        self.left -= bytes;
        Ok(())
    }
}
