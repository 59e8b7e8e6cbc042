//! Layouts and archives, honest and hostile.

use std::path::Path;

use assay_witness::{Recording, oci};

use crate::lab::{Lab, assert_exited};

fn recording(lab: &Lab) -> Recording {
    let program = lab.compile("program", "#include <stdio.h>\nint main(){puts(\"hello\");return 0;}", &[]);
    lab.record(&[program.to_str().unwrap()])
}

#[test]
fn a_layout_and_an_archive_come_back_as_they_were() {
    let Some(lab) = Lab::new() else { return };
    let recording = recording(&lab);
    let folder = lab.folder.path().join("layout");
    oci::write_layout(&recording.capsule, &recording, &folder).unwrap();
    assert_eq!(oci::read_layout(&folder).unwrap(), recording.capsule);
    let mut first = Vec::new();
    oci::export(&recording.capsule, &recording, &mut first).unwrap();
    let mut second = Vec::new();
    oci::export(&recording.capsule, &recording, &mut second).unwrap();
    assert!(first == second, "an export is reproducible");
    let unpacked = lab.folder.path().join("unpacked");
    let back = oci::import(&mut first.as_slice(), &unpacked).unwrap();
    assert_eq!(back, recording.capsule);
    assert_eq!(assay_witness::witness_id(&back), assay_witness::witness_id(&recording.capsule));
    let blobs = Blobs(unpacked);
    let request = assay_witness::ReplayRequest::default();
    assert_exited(&assay_witness::replay(&back, &blobs, &request, &lab.host).unwrap());
}

struct Blobs(std::path::PathBuf);

impl assay_witness::FileSource for Blobs {
    fn path(&self, digest: &assay_evidence::Sha256) -> std::io::Result<std::path::PathBuf> {
        Ok(self.0.join("blobs/sha256").join(digest.hex()))
    }
}

fn entry(name: &str, kind: tar::EntryType, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // Written raw: the library itself refuses such names.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn refused(folder: &Path, archive: Vec<u8>) -> String {
    oci::import(&mut archive.as_slice(), folder).unwrap_err().to_string()
}

#[test]
fn hostile_archives_are_refused() {
    use tar::EntryType;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let plain = EntryType::Regular;
    assert!(refused(&at("a"), entry("../escape", plain, b"x")).contains("refused"));
    assert!(!folder.path().join("escape").exists());
    assert!(refused(&at("b"), entry("/tmp/absolute", plain, b"x")).contains("refused"));
    assert!(refused(&at("c"), entry("blobs/sha256/../../../x", plain, b"x")).contains("refused"));
    assert!(refused(&at("d"), entry("index.json", EntryType::Symlink, b"")).contains("no plain file"));
    assert!(refused(&at("e"), entry("index.json", EntryType::Link, b"")).contains("no plain file"));
    assert!(refused(&at("f"), entry("index.json", EntryType::Fifo, b"")).contains("no plain file"));
    let twice = [entry("index.json", plain, b"{}"), entry("index.json", plain, b"{}")].concat();
    assert!(refused(&at("g"), twice).contains("twice"));
    let wrong = format!("blobs/sha256/{}", "0".repeat(64));
    assert!(refused(&at("h"), entry(&wrong, plain, b"not zero")).contains("digest"));
    let mut huge = tar::Header::new_ustar();
    huge.set_path("index.json").unwrap();
    huge.set_size(1 << 40);
    huge.set_entry_type(plain);
    huge.set_cksum();
    assert!(refused(&at("i"), huge.as_bytes().to_vec()).contains("too large"));
    assert!(!refused(&at("j"), b"no archive at all".to_vec()).is_empty());
    assert!(!refused(&at("k"), Vec::new()).is_empty());
}

#[test]
fn a_layout_with_other_bytes_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let recording = recording(&lab);
    let folder = lab.folder.path().join("layout");
    oci::write_layout(&recording.capsule, &recording, &folder).unwrap();
    let blob = recording.capsule.blobs().pop().unwrap();
    let path = folder.join("blobs/sha256").join(blob.digest.hex());
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[0] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert!(oci::read_layout(&folder).unwrap_err().to_string().contains("digest"));
    std::fs::write(&path, &good[1..]).unwrap();
    assert!(oci::read_layout(&folder).is_err());
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(oci::read_layout(&folder).is_err());
}
