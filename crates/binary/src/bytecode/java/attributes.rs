//! Attributes and annotations (JVMS 4.7).

use super::pool::Pool;
use crate::bytes::Bytes;

pub(super) struct Attribute<'data> {
    pub name: String,
    pub data: &'data [u8],
    /// Where `data` starts in the file.
    pub offset: u64,
}

/// Reads the list at `at`, and says where it ends.
pub(super) fn read<'data>(
    bytes: Bytes<'data>,
    pool: &Pool<'data>,
    at: u64,
) -> Option<(Vec<Attribute<'data>>, u64)> {
    let count = bytes.u16(at)?;
    let mut at = at + 2;
    let mut found = Vec::new();
    for _ in 0..count {
        let (name, length) = (bytes.u16(at)?, bytes.u32(at + 2)?);
        let data = bytes.slice(at + 6, length.into())?;
        found.push(Attribute { name: pool.text(name), data, offset: at + 6 });
        at += 6 + u64::from(length);
    }
    Some((found, at))
}

/// One annotation: its type, and of its elements the lists of numbers.
pub(super) struct Annotation {
    pub kind: String,
    lists: Vec<(String, Vec<i64>)>,
}

impl Annotation {
    pub(super) fn numbers(&self, name: &str) -> &[i64] {
        self.lists
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, numbers)| numbers.as_slice())
            .unwrap_or_default()
    }
}

/// The class's visible annotations, as far as they can be read.
pub(super) fn annotations(pool: &Pool<'_>, attributes: &[Attribute<'_>]) -> Vec<Annotation> {
    let lists = attributes.iter().filter(|attribute| attribute.name == "RuntimeVisibleAnnotations");
    let mut found = Vec::new();
    for list in lists {
        let bytes = Bytes { data: list.data, little: false };
        let mut at = 2;
        for _ in 0..bytes.u16(0).unwrap_or(0) {
            let Some((annotation, end)) = annotation(pool, bytes, at, 0) else { break };
            found.push(annotation);
            at = end;
        }
    }
    found
}

/// Annotations nest; real ones not deeper than this.
const MAX_DEPTH: usize = 16;

fn annotation(pool: &Pool<'_>, bytes: Bytes<'_>, at: u64, depth: usize) -> Option<(Annotation, u64)> {
    let kind = pool.text(bytes.u16(at)?);
    let mut lists = Vec::new();
    let mut end = at + 4;
    for _ in 0..bytes.u16(at + 2)? {
        let name = pool.text(bytes.u16(end)?);
        let mut numbers = Vec::new();
        end = value(pool, bytes, end + 2, depth, &mut numbers)?;
        lists.push((name, numbers));
    }
    Some((Annotation { kind, lists }, end))
}

/// Skips one element value, collecting the integers in it.
fn value(pool: &Pool<'_>, bytes: Bytes<'_>, at: u64, depth: usize, numbers: &mut Vec<i64>) -> Option<u64> {
    if depth > MAX_DEPTH {
        return None;
    }
    match bytes.u8(at)? {
        b'e' => Some(at + 5),
        b'@' => annotation(pool, bytes, at + 1, depth + 1).map(|(_, end)| end),
        b'[' => {
            let mut end = at + 3;
            for _ in 0..bytes.u16(at + 1)? {
                end = value(pool, bytes, end, depth + 1, numbers)?;
            }
            Some(end)
        }
        b'I' => {
            if let crate::BytecodeOperand::Number(number) = pool.operand(bytes.u16(at + 1)?) {
                numbers.push(number);
            }
            Some(at + 3)
        }
        _ => bytes.u16(at + 1).map(|_| at + 3),
    }
}
