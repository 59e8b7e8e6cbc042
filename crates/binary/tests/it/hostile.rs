//! Bytes that are no honest binary: a typed error or a partial reading, never a panic.

use std::time::{Duration, Instant};

use assay_binary::{BinaryError, CodeMap, Image, Lsda};

use crate::basics::{C_SOURCE, build};

/// One file may not take longer than this, debug build and shared machine included.
const LONGEST: Duration = Duration::from_secs(20);

/// Does with the bytes all that can be done with them.
fn read_all(bytes: &[u8]) {
    let start = Instant::now();
    if let Ok(image) = Image::parse(bytes) {
        let map = CodeMap::build(&image);
        for fde in image.unwind().fdes().iter().take(200) {
            let _ = image.unwind().rules(fde);
            if let Some(address) = fde.lsda {
                let _ = Lsda::read(&image, address, fde.range.start);
            }
        }
        for unit in map.units() {
            assert_eq!(map.unit_at(unit.entry.0).map(|index| &map.units()[index].name), Some(&unit.name));
        }
    }
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
}

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

fn program() -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    Some(std::fs::read(build(dir.path(), "cc", "t.c", C_SOURCE, &["-O2"])?).unwrap())
}

#[test]
fn every_prefix_of_a_program() {
    let Some(bytes) = program() else { return };
    for length in (0..bytes.len()).step_by(64) {
        read_all(&bytes[..length]);
    }
}

#[test]
fn thousands_of_flipped_bytes() {
    let Some(bytes) = program() else { return };
    let mut random = Random(0x5eed);
    let headers = bytes.len().saturating_sub(4096);
    for round in 0..3000 {
        let mut copy = bytes.clone();
        for _ in 0..1 + random.below(8) {
            let at = match round % 3 {
                0 => random.below(1024),
                1 => headers + random.below(4096),
                _ => random.below(copy.len()),
            };
            copy[at] = match random.below(3) {
                0 => 0xff,
                1 => 0,
                _ => random.below(256) as u8,
            };
        }
        read_all(&copy);
    }
}

#[test]
fn other_formats_are_named() {
    let format = |bytes: &[u8]| Image::parse(bytes).map(|_| ()).unwrap_err();
    assert_eq!(format(b""), BinaryError::UnknownFormat);
    assert_eq!(format(b"#!/bin/sh\n"), BinaryError::UnknownFormat);
    for (bytes, name) in [
        (&b"MZ\x90\0"[..], "PE"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "Mach-O"),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", "a Java class"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "a universal Mach-O"),
        (b"\0asm\x01\0\0\0", "Wasm"),
        (b"!<arch>\n", "an ar archive"),
    ] {
        assert_eq!(format(bytes), BinaryError::UnsupportedFormat { format: name });
    }
    let mut arm = vec![0; 64];
    arm[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    arm[16] = 3;
    arm[18] = 183;
    let arch = "AArch64 (64 bits, little-endian)".to_owned();
    assert_eq!(format(&arm), BinaryError::UnsupportedArch { format: "ELF", arch });
}

/// An ELF object of `sections` sections of code, all of which show the same `length` bytes of the file.
fn sharing_object(sections: u16, length: u64) -> Vec<u8> {
    const HEADER: u64 = 64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    file.extend([1u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([0, 0, HEADER + length].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 0, 0, 64, sections + 2, sections + 1].map(u16::to_le_bytes).concat());
    // push rax, over and over
    file.extend(std::iter::repeat_n(0x50, length as usize));
    file.extend([0; 64]);
    for _ in 0..sections {
        file.extend([0u32, 1].map(u32::to_le_bytes).concat());
        file.extend([6, 0, HEADER, length, 0, 1, 0].map(u64::to_le_bytes).concat());
    }
    // The names, of which there is the empty one.
    file.extend([0u32, 3].map(u32::to_le_bytes).concat());
    file.extend([0, 0, HEADER + length, 1, 0, 1, 0].map(u64::to_le_bytes).concat());
    file
}

#[test]
fn sections_that_show_the_same_bytes_are_bounded() {
    let file = sharing_object(3_000, 1 << 20);
    let module = assay_binary::Module::parse(&file).unwrap();
    let shown: usize = module.regions.iter().map(|region| region.bytes.len()).sum();
    assert!(shown <= 2 * file.len(), "{shown} bytes of {}", file.len());
    assert!(
        module.warnings.iter().any(|warning| warning.contains("past the bound on bytes")),
        "{:?}",
        (&module.warnings, module.regions.len())
    );
    // As many sections as a linker makes of a file are all there.
    let few = sharing_object(2, 1 << 10);
    assert_eq!(assay_binary::Module::parse(&few).unwrap().regions.len(), 2);
}
