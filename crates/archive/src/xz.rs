//! What an xz stream asks for before it is unpacked: its index leads to the head of every block (XZ file
//! format 1.1.0, sections 2 to 4).

const HEADER_BYTES: usize = 12;
const FOOTER_BYTES: usize = 12;
const LZMA2: u64 = 0x21;

/// The largest dictionary of all blocks, in bytes; none where the stream cannot be understood.
pub(crate) fn dictionary_bytes(data: &[u8]) -> Option<u64> {
    let end = data.len() - data.iter().rev().take_while(|&&byte| byte == 0).count();
    let end = end.next_multiple_of(4).min(data.len());
    let footer = data.get(end.checked_sub(FOOTER_BYTES)?..end)?;
    (&footer[10..] == b"YZ").then_some(())?;
    let size = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
    let index_bytes = (u64::from(size) + 1) * 4;
    let index_at = (end - FOOTER_BYTES).checked_sub(usize::try_from(index_bytes).ok()?)?;
    let mut index = data.get(index_at..end - FOOTER_BYTES)?;
    (*index.split_off_first()? == 0).then_some(())?;
    let blocks = integer(&mut index)?;
    let (mut at, mut largest) = (HEADER_BYTES as u64, 0);
    for _ in 0..blocks {
        let unpadded = integer(&mut index)?;
        integer(&mut index)?;
        largest = largest.max(block(data.get(usize::try_from(at).ok()?..index_at)?)?);
        at = at.checked_add(unpadded.checked_next_multiple_of(4)?)?;
    }
    // Streams one behind another have an index each; only one stream ends where the first index starts.
    (at == index_at as u64).then_some(largest)
}

/// A number in base 128, at most 63 bits.
fn integer(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn block(data: &[u8]) -> Option<u64> {
    let size = (usize::from(*data.first()?) + 1) * 4;
    let header = data.get(..size)?;
    let flags = header[1];
    let mut rest = &header[2..];
    if flags & 0x40 != 0 {
        integer(&mut rest)?;
    }
    if flags & 0x80 != 0 {
        integer(&mut rest)?;
    }
    let mut dictionary = 0;
    for _ in 0..=flags & 3 {
        let filter = integer(&mut rest)?;
        let length = usize::try_from(integer(&mut rest)?).ok()?;
        let (properties, after) = rest.split_at_checked(length)?;
        rest = after;
        if filter == LZMA2 {
            dictionary = dictionary.max(dictionary_size(*properties.first()?)?);
        }
    }
    Some(dictionary)
}

fn dictionary_size(property: u8) -> Option<u64> {
    match property {
        0..=39 => Some((2 | u64::from(property & 1)) << (property / 2 + 11)),
        40 => Some(u64::from(u32::MAX)),
        _ => None,
    }
}
