//! Bombs, damage and tricks with names.

use std::io::Write as _;

use assay_archive::{ArchiveError, Limits, walk};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        // As bytes: the builder itself would refuse a name that climbs.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn refused(data: &[u8], limits: &Limits) -> Option<ArchiveError> {
    walk("x", data, limits, &mut |_, _| {}).err()
}

#[test]
fn depth_at_the_limit_and_one_past_it() {
    let mut data = b"end".to_vec();
    let limits = Limits { depth: 4, ..Limits::default() };
    for _ in 0..4 {
        data = gzip(&data);
    }
    assert_eq!(refused(&data, &limits), None);
    let error = refused(&gzip(&data), &limits);
    assert!(matches!(error, Some(ArchiveError::TooDeep { limit: 4, .. })), "{error:?}");
}

#[test]
fn entries_at_the_limit_and_one_past_it() {
    let limits = Limits { entries: 3, ..Limits::default() };
    let three = tar(&[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    assert_eq!(refused(&three, &limits), None);
    let four = tar(&[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]);
    assert!(matches!(refused(&four, &limits), Some(ArchiveError::TooManyEntries { limit: 3, .. })));
}

#[test]
fn output_at_the_limit_and_one_past_it() {
    let limits = Limits { output_bytes: 1000, ..Limits::default() };
    assert_eq!(refused(&gzip(&[5; 1000]), &limits), None);
    assert!(matches!(refused(&gzip(&[5; 1001]), &limits), Some(ArchiveError::TooLarge { limit: 1000, .. })));
    let limits = Limits { entry_bytes: 1000, ..Limits::default() };
    assert_eq!(refused(&gzip(&[5; 1000]), &limits), None);
    assert!(matches!(refused(&gzip(&[5; 1001]), &limits), Some(ArchiveError::TooLarge { limit: 1000, .. })));
}

#[test]
fn a_bomb_is_refused_by_its_ratio() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let limits = Limits { ratio: 500, ..Limits::default() };
    assert!(matches!(refused(&bomb, &limits), Some(ArchiveError::RatioTooHigh { limit: 500, .. })));
    assert_eq!(refused(&bomb, &Limits::default()), None, "deflate cannot grow past 1032 times");
}

/// A stream of some hundred bytes that asks for a dictionary of four gigabytes.
#[test]
fn memory_is_refused_before_it_is_taken() {
    let Ok(out) = std::process::Command::new("xz").args(["--version"]).output() else {
        eprintln!("skipped: xz is not installed");
        return;
    };
    assert!(out.status.success());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t"), [9; 5000]).unwrap();
    let pack = |dictionary: &str| {
        let mut command = std::process::Command::new("xz");
        command.args(["-k", "-c", &format!("--lzma2=dict={dictionary}"), "t"]).current_dir(&folder);
        command.output().unwrap().stdout
    };
    assert_eq!(refused(&pack("256MiB"), &Limits::default()), None);
    let error = refused(&pack("384MiB"), &Limits::default());
    assert!(matches!(error, Some(ArchiveError::MemoryTooLarge { .. })), "{error:?}");
}

#[test]
fn names_are_labels_and_nothing_more() {
    let data = tar(&[("../../etc/passwd", b"1"), ("/root/key", b"2"), ("./plain", b"3")]);
    let mut paths = Vec::new();
    walk("t", &data, &Limits::default(), &mut |path, _| paths.push(path.to_owned())).unwrap();
    assert_eq!(paths, ["t!/../../etc/passwd", "t!/root/key", "t!/plain"]);
}

#[test]
fn a_damaged_inner_container_is_a_file_with_a_warning() {
    let mut broken = gzip(b"text that is long enough to be compressed into something");
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    let data = tar(&[("broken.gz", &broken), ("whole", b"1")]);
    let mut paths = Vec::new();
    let walked = walk("t", &data, &Limits::default(), &mut |path, _| paths.push(path.to_owned())).unwrap();
    assert_eq!(paths, ["t!/broken.gz", "t!/whole"]);
    assert_eq!(walked.warnings.len(), 1);
    assert!(matches!(refused(&broken, &Limits::default()), Some(ArchiveError::Malformed { .. })));
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

#[test]
fn damage_of_every_kind_ends_in_an_answer() {
    let inner = tar(&[("a", &[1; 3000]), ("b", b"text")]);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("inner.tar", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&inner).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let mut ar = b"!<arch>\n".to_vec();
    ar.extend(
        format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "inner.tgz/", 0, 0, 0, 644, gzip(&inner).len())
            .bytes(),
    );
    ar.extend(gzip(&inner));
    let limits = Limits { output_bytes: 1 << 24, ..Limits::default() };
    let mut random = Random(0x00c0_ffee);
    for data in [gzip(&inner), inner.clone(), zip, ar] {
        for length in (0..data.len()).step_by((data.len() / 300).max(1)) {
            let _ = walk("x", &data[..length], &limits, &mut |_, _| {});
        }
        for _ in 0..2000 {
            let mut copy = data.clone();
            for _ in 0..1 + random.below(4) {
                let at = random.below(copy.len());
                copy[at] = [0, 0xff, 0x80, 0x7f, b'9'][random.below(5)];
            }
            let _ = walk("x", &copy, &limits, &mut |_, _| {});
        }
    }
}
