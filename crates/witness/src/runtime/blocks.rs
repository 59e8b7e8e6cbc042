//! Taking an observer's blocks out of what a program wrote.

use super::Uncovered;

/// Most bytes of one block.
pub(super) const MAX_BLOCK_BYTES: u64 = 64 << 20;
/// Most digits of a block's length.
const MAX_DIGITS: usize = 9;

/// The blocks, and what the program itself wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub blocks: Vec<Vec<u8>>,
    pub rest: Vec<u8>,
}

/// Divides `bytes` at the blocks that carry `nonce`.
pub(super) fn take(bytes: &[u8], nonce: &str) -> Result<Taken, Uncovered> {
    let mark = format!("\0assay-coverage:{nonce}:").into_bytes();
    let broken = || Uncovered::new("broken_answer", "a block of the observer is cut");
    let mut taken = Taken { blocks: Vec::new(), rest: Vec::new() };
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], &mark) {
        taken.rest.extend_from_slice(&bytes[at..at + found]);
        let head = at + found + mark.len();
        let digits = bytes[head..].iter().take(MAX_DIGITS + 1).position(|byte| *byte == 0);
        let digits = digits.ok_or_else(broken)?;
        let length = std::str::from_utf8(&bytes[head..head + digits]).ok().and_then(|text| text.parse().ok());
        let length: usize = length.ok_or_else(broken)?;
        let start = head + digits + 1;
        let body = bytes.get(start..start.saturating_add(length)).ok_or_else(broken)?;
        if length as u64 > MAX_BLOCK_BYTES || bytes.get(start + length) != Some(&0) {
            return Err(broken());
        }
        taken.blocks.push(body.to_vec());
        at = start + length + 1;
    }
    taken.rest.extend_from_slice(&bytes[at..]);
    Ok(taken)
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_taken_out_of_the_middle() {
        let taken = take(b"before\0assay-coverage:n:3\0abc\0after", "n").unwrap();
        assert_eq!(taken.blocks, [b"abc".to_vec()]);
        assert_eq!(taken.rest, b"beforeafter");
    }

    #[test]
    fn another_nonce_is_the_programs_own_text() {
        let text = b"\0assay-coverage:m:3\0abc\0";
        assert_eq!(take(text, "n").unwrap(), Taken { blocks: Vec::new(), rest: text.to_vec() });
    }

    #[test]
    fn a_cut_block_is_refused() {
        for text in ["\0assay-coverage:n:9\0abc\0", "\0assay-coverage:n:x\0abc\0", "\0assay-coverage:n:3"] {
            assert_eq!(take(text.as_bytes(), "n").unwrap_err().code, "broken_answer", "{text:?}");
        }
    }
}
