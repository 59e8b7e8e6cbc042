//! Damaged binaries and indexes: a typed error or a refusal, never a panic and never a carry-over.

use assay_delta::{DeltaError, Executed, Index, NORMALISER_VERSION, prove};

use crate::build::c;

const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
static const char *names[] = {"zero", "one", "two"};
__attribute__((noinline)) int pick(int x) {
    switch (x) { case 0: return rand(); case 1: puts("a"); return 5; case 2: return x * rand(); case 3: puts("b"); return 2;
                 case 4: return 9; case 5: puts(names[rand() % 3]); return 6; }
    return 0;
}
int main(int argc, char **argv) { printf("%d\n", pick(argc)); return 0; }
"#;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

#[test]
fn damaged_binaries() {
    let Some(bytes) = c(SOURCE) else { return };
    let mut random = Random(7);
    for length in (0..bytes.len()).step_by(256) {
        let _ = Index::build(&bytes[..length]);
        let _ = prove(&bytes, &bytes[..length], Executed::All);
    }
    for _ in 0..1000 {
        let mut copy = bytes.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(copy.len());
            copy[at] = random.below(256) as u8;
        }
        if let Ok(index) = Index::build(&copy) {
            assert_eq!(Index::from_bytes(&index.to_bytes()).unwrap(), index);
        }
        let _ = prove(&bytes, &copy, Executed::All);
        let _ = prove(&copy, &copy, Executed::All);
    }
}

#[test]
fn every_flipped_byte_of_code_or_constants_is_refused() {
    let Some(bytes) = c(SOURCE) else { return };
    let image = assay_binary::Image::parse(&bytes).unwrap();
    let map = assay_binary::CodeMap::build(&image);
    let mut tried = 0;
    for name in ["pick", "main"] {
        let unit = map.units().iter().find(|unit| unit.name == name).unwrap();
        for range in &unit.ranges {
            let text = image.section_at(range.start.0).unwrap();
            let from = text.file.start + (range.start.0 - text.address.0) as usize;
            for at in from..from + range.size() as usize {
                let mut copy = bytes.clone();
                copy[at] ^= 0x01;
                tried += 1;
                // REX.B means nothing beside a base of RIP: the instruction is the same.
                let harmless = (0x40..=0x4f).contains(&bytes[at]);
                assert!(harmless || prove(&bytes, &copy, Executed::All).is_err(), "byte {at:#x} of {name}");
            }
        }
    }
    let constants = image.section(".rodata").unwrap().file.clone();
    for at in constants {
        let mut copy = bytes.clone();
        copy[at] ^= 0x10;
        let shown = prove(&bytes, &copy, Executed::All).is_err();
        tried += 1;
        // The first bytes of .rodata are `_IO_stdin_used`, which nothing here reads.
        assert!(shown || at < image.section(".rodata").unwrap().file.start + 4, "byte {at:#x} of .rodata");
    }
    assert!(tried > 200);
}

#[test]
fn an_index_keeps_and_refuses() {
    let Some(bytes) = c(SOURCE) else { return };
    let index = Index::build(&bytes).unwrap();
    let file = index.to_bytes();
    assert_eq!(file, Index::build(&bytes).unwrap().to_bytes(), "the same artifact gives the same index");
    assert_eq!(Index::from_bytes(&file).unwrap(), index);
    let mut other = file.clone();
    other[8] = other[8].wrapping_add(1);
    let found = NORMALISER_VERSION + 1;
    assert_eq!(
        Index::from_bytes(&other),
        Err(DeltaError::OtherVersion { found, expected: NORMALISER_VERSION })
    );
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(Index::from_bytes(&damaged).unwrap_err(), DeltaError::Damaged);
    for length in 0..file.len().min(400) {
        assert!(Index::from_bytes(&file[..length]).is_err());
    }
    let mut random = Random(11);
    for _ in 0..2000 {
        // Damage below the checksum, which an attacker can compute as well.
        let mut copy = file[48..].to_vec();
        let at = random.below(copy.len().min(2000));
        copy[at] = random.below(256) as u8;
        let mut sealed = file[..16].to_vec();
        sealed.extend_from_slice(assay_evidence::Sha256::of(&copy).as_bytes());
        sealed.extend_from_slice(&copy);
        let _ = Index::from_bytes(&sealed).map(|other| assay_delta::diff(&index, &other));
    }
}

/// An ELF program with nothing but this code.
fn program_of(machine: u16, code: &[u8]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const ENTRY: u64 = 0x1000;
    let length = code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    file.extend([3u16, machine].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([ENTRY, 0, HEADER + length].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 0, 0, 64, 3, 2].map(u16::to_le_bytes).concat());
    file.extend(code);
    file.extend([0; 64]);
    file.extend([0u32, 1].map(u32::to_le_bytes).concat());
    file.extend([6, ENTRY, HEADER, length, 0, 4, 0].map(u64::to_le_bytes).concat());
    // The names, of which there is the empty one.
    file.extend([0u32, 3].map(u32::to_le_bytes).concat());
    file.extend([0, 0, HEADER + length, 1, 0, 1, 0].map(u64::to_le_bytes).concat());
    file
}

/// Reserved ones too: a 32-bit shift cannot be by more than 31, but its field can say so.
#[test]
fn every_bitfield_instruction_of_aarch64() {
    const AARCH64: u16 = 183;
    let kinds = [0x1300_0000u32, 0x3300_0000, 0x5300_0000, 0x9340_0000];
    let words =
        kinds.iter().flat_map(|kind| (0..1u32 << 12).map(move |f| kind | (f >> 6) << 16 | (f & 63) << 10));
    let code: Vec<u8> = words.chain([0xd65f_03c0]).flat_map(u32::to_le_bytes).collect();
    let index = Index::build(&program_of(AARCH64, &code)).unwrap();
    let lifted: usize = index.functions().map(|function| function.instructions()).sum();
    assert!(lifted > 1000, "{lifted} instructions");
}
