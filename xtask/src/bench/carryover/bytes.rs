//! Mutants of the binary itself: bytes of code and data, slots and tables.

use assay_binary::{Image, SectionKind};

use super::random::Random;

pub const CODE: &str = "binary: code";
pub const DEAD_CODE: &str = "binary: code not executed";
pub const DATA: &str = "binary: data";
pub const SLOTS: &str = "binary: slots swapped";
pub const INITIALISERS: &str = "binary: initialisers swapped";
pub const TABLES: &str = "binary: unwind and loader tables";
pub const CALLS: &str = "binary: call to elsewhere";
pub const PADDING: &str = "binary: padding and notes";

/// Bytes written over others.
#[derive(Clone, Debug)]
pub struct Patch {
    pub kind: &'static str,
    pub changes: Vec<(usize, Vec<u8>)>,
}

impl Patch {
    pub fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for (at, new) in &self.changes {
            if let Some(place) = out.get_mut(*at..*at + new.len()) {
                place.copy_from_slice(new);
            }
        }
        out
    }
}

/// What is known of the file that patches are made for.
pub struct Target<'a> {
    pub image: &'a Image<'a>,
    pub bytes: &'a [u8],
    /// Ranges of addresses that the run executed, and that it did not.
    pub executed: &'a [(u64, u64)],
    pub idle: &'a [(u64, u64)],
}

const RELA_BYTES: usize = 24;
const ADDEND: usize = 16;

impl Target<'_> {
    fn offset(&self, address: u64) -> Option<usize> {
        let segment = self.image.segment_at(address)?;
        let offset = segment.file.start + (address - segment.address.0) as usize;
        segment.file.contains(&offset).then_some(offset)
    }

    /// A patch of that kind; none where the file has nothing of it.
    pub fn patch(&self, kind: &'static str, random: &mut Random) -> Option<Patch> {
        let changes = match kind {
            CODE => self.byte_of_code(self.executed, random),
            DEAD_CODE => self.byte_of_code(self.idle, random),
            DATA => self.byte_of(&["", ".rodata", ".data", ".data.rel.ro", ".tdata"], random),
            TABLES => self.byte_of(
                &[
                    "",
                    ".eh_frame",
                    ".gcc_except_table",
                    ".dynamic",
                    ".dynsym",
                    ".dynstr",
                    ".rela.dyn",
                    ".rela.plt",
                    ".gnu.hash",
                    ".gnu.version",
                    ".gnu.version_r",
                    ".gnu.version_d",
                    ".got",
                ],
                random,
            ),
            PADDING => {
                self.byte_of(&["", ".note.gnu.build-id", ".note.ABI-tag", ".comment", ".symtab"], random)
            }
            SLOTS => self.swapped(None, random),
            INITIALISERS => self.swapped(Some(".init_array"), random),
            _ => self.call(random),
        }?;
        let same = changes.iter().all(|(at, new)| self.bytes.get(*at..*at + new.len()) == Some(new));
        (!same).then_some(Patch { kind, changes })
    }

    fn byte_of_code(&self, ranges: &[(u64, u64)], random: &mut Random) -> Option<Vec<(usize, Vec<u8>)>> {
        let (start, end) = *random.pick(ranges)?;
        self.byte(start + random.next() % (end - start).max(1), random)
    }

    /// Another byte at an address: one bit, one more, or anything.
    fn byte(&self, address: u64, random: &mut Random) -> Option<Vec<(usize, Vec<u8>)>> {
        let at = self.offset(address)?;
        let old = *self.bytes.get(at)?;
        let new = match random.below(3) {
            0 => old ^ 1 << random.below(8),
            1 => old.wrapping_add(1),
            _ => random.next() as u8,
        };
        Some(vec![(at, vec![new])])
    }

    fn byte_of(&self, names: &[&str], random: &mut Random) -> Option<Vec<(usize, Vec<u8>)>> {
        let sections = self.image.sections().iter();
        let fit: Vec<_> = sections
            .filter(|section| !section.file.is_empty() && section.kind != SectionKind::Code)
            .filter(|section| names[1..].contains(&section.name.as_str()))
            .collect();
        let section = random.pick(&fit)?;
        let at = section.file.start + random.below(section.file.len());
        let old = *self.bytes.get(at)?;
        let new = if random.below(2) == 0 { old ^ 1 << random.below(8) } else { random.next() as u8 };
        Some(vec![(at, vec![new])])
    }

    /// The addends of two relocations in the file, exchanged.
    fn swapped(&self, section: Option<&str>, random: &mut Random) -> Option<Vec<(usize, Vec<u8>)>> {
        let table = self.image.section(".rela.dyn")?;
        let wanted = section.and_then(|name| self.image.section(name));
        let word = |at: usize| self.bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let fits = |at: &usize| {
            let (Some(slot), Some(info)) = (word(*at), word(*at + 8)) else { return false };
            const RELATIVE: u64 = 8;
            let inside = match section {
                Some(_) => wanted.is_some_and(|wanted| (wanted.address.0..wanted.end()).contains(&slot)),
                None => true,
            };
            info & 0xffff_ffff == RELATIVE && inside
        };
        let places: Vec<usize> = table.file.clone().step_by(RELA_BYTES).filter(fits).collect();
        let (a, b) = (*random.pick(&places)? + ADDEND, *random.pick(&places)? + ADDEND);
        let old = |at: usize| self.bytes.get(at..at + 8).map(<[u8]>::to_vec);
        Some(vec![(a, old(b)?), (b, old(a)?)])
    }

    /// A direct call in executed code leads to another function that is called there.
    fn call(&self, random: &mut Random) -> Option<Vec<(usize, Vec<u8>)>> {
        const CALL: u8 = 0xe8;
        let (start, end) = *random.pick(self.executed)?;
        let calls: Vec<u64> = (start..end.saturating_sub(5))
            .filter(|&at| self.offset(at).and_then(|offset| self.bytes.get(offset)) == Some(&CALL))
            .collect();
        let at = *random.pick(&calls)?;
        let among = if random.below(2) == 0 { self.executed } else { self.idle };
        let (target, _) = *random.pick(among)?;
        let distance = i32::try_from(target as i64 - (at as i64 + 5)).ok()?;
        Some(vec![(self.offset(at)? + 1, distance.to_le_bytes().to_vec())])
    }
}
