//! Subjects that are directory trees.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_witness::tree::{TreeError, pack, unpack};
use assay_witness::{Ending, RecordRequest, ReplayRequest};

use crate::lab::{Lab, text};

/// A folder with a script that reads `lib/value`, with this value.
fn package(folder: &Path, value: &str) -> PathBuf {
    let package = folder.join(format!("package-{}", value.len()));
    fs::create_dir_all(package.join("lib/empty")).unwrap();
    fs::write(package.join("lib/value"), value).unwrap();
    std::os::unix::fs::symlink("lib/value", package.join("link")).unwrap();
    package
}

fn listing(folder: &Path) -> String {
    let output =
        Command::new("find").arg(folder).args(["-mindepth", "1", "-printf", "%P %y %l\n"]).output().unwrap();
    let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn a_packed_directory_unpacks_to_itself_and_depends_on_content_only() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path(), "one");
    let mut first = Vec::new();
    pack(&package, &mut first).unwrap();
    let touched = Command::new("touch").args(["-d", "2001-01-01"]).arg(package.join("lib/value")).status();
    assert!(touched.unwrap().success());
    let mut second = Vec::new();
    pack(&package, &mut second).unwrap();
    assert_eq!(first, second);
    let archive = folder.path().join("archive");
    fs::write(&archive, &first).unwrap();
    let into = tempfile::tempdir().unwrap();
    unpack(&archive, into.path()).unwrap();
    assert_eq!(listing(&package), listing(into.path()));
    // What another program thinks is in it.
    let listed = Command::new("tar").arg("tf").arg(&archive).output().unwrap();
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap(),
        "tree/lib/\ntree/lib/empty/\ntree/lib/value\ntree/link\n"
    );
}

/// Archives that GNU tar, gzip and Python's zipfile wrote.
#[test]
fn archives_that_others_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path(), "three");
    let tarball = folder.path().join("package.tgz");
    let name = package.file_name().unwrap();
    let done = Command::new("tar").arg("czf").arg(&tarball).arg("-C").arg(folder.path()).arg(name).status();
    assert!(done.unwrap().success());
    let wheel = folder.path().join("package.whl");
    let zip = ["-m", "zipfile", "-c"];
    let made = Command::new("python3").args(zip).arg(&wheel).arg(package.join("lib")).status();
    let into = tempfile::tempdir().unwrap();
    unpack(&tarball, into.path()).unwrap();
    assert_eq!(listing(&package), listing(into.path()));
    assert!(made.unwrap().success());
    let into = tempfile::tempdir().unwrap();
    unpack(&wheel, into.path()).unwrap();
    assert_eq!(fs::read_to_string(into.path().join("lib/value")).unwrap(), "three");
}

fn hostile(entries: &[(&str, tar::EntryType, &str)]) -> Result<(), TreeError> {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive.tar");
    let mut bytes = Vec::new();
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let is_link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
        header.set_size(if is_link { 0 } else { content.len() as u64 });
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        if is_link {
            old.linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_cksum();
        bytes.write_all(header.as_bytes()).unwrap();
        if !is_link && !content.is_empty() {
            let mut block = content.as_bytes().to_vec();
            block.resize(block.len().next_multiple_of(512), 0);
            bytes.write_all(&block).unwrap();
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(&archive, bytes).unwrap();
    let into = folder.path().join("into");
    fs::create_dir(&into).unwrap();
    let done = unpack(&archive, &into);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "something lies beside the tree: {names:?}");
    done
}

#[test]
fn archives_that_leave_their_tree_are_refused() {
    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
    let refused: [&[(&str, tar::EntryType, &str)]; 8] = [
        &[("a", Regular, "x"), ("../outside", Regular, "x")],
        &[("a", Regular, "x"), ("/etc/outside", Regular, "x")],
        &[("a/x", Regular, "x"), ("a/../../outside", Regular, "x")],
        &[("to", Symlink, ".."), ("to/outside", Regular, "x"), ("b", Regular, "x")],
        &[("a", Link, "/etc/passwd"), ("b", Regular, "x")],
        &[("a", Link, "../archive.tar"), ("b", Regular, "x")],
        &[("twice", Regular, "x"), ("twice", Regular, "y")],
        &[("d", Directory, ""), ("device", Char, ""), ("b", Regular, "x")],
    ];
    for entries in refused {
        let error = hostile(entries).expect_err(&format!("{entries:?}"));
        assert!(matches!(error, TreeError::Entry { .. }), "{entries:?}: {error}");
    }
    hostile(&[("a", Regular, "x"), ("b", Link, "a"), ("c/d", Symlink, "../a")]).unwrap();
}

#[test]
fn a_bomb_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("bomb.tgz");
    let script = format!("head -c 600M /dev/zero > big && tar czf {} big && rm big", archive.display());
    assert!(Command::new("sh").args(["-c", &script]).current_dir(folder.path()).status().unwrap().success());
    let into = folder.path().join("into");
    fs::create_dir(&into).unwrap();
    assert!(matches!(unpack(&archive, &into), Err(TreeError::TooMuch { what: "bytes" })));
    fs::write(&archive, b"#!/bin/sh\n").unwrap();
    assert!(matches!(unpack(&archive, &into), Err(TreeError::NotAnArchive)));
}

#[test]
fn another_tree_in_the_subjects_place() {
    let Some(lab) = Lab::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let vulnerable = package(folder.path(), "vulnerable");
    let fixed = package(folder.path(), "fixed");
    fs::write(fixed.join("lib/more"), " and more").unwrap();
    let script = format!("cd {}; for file in lib/*; do cat $file; done; cat link", vulnerable.display());
    let subjects = vec![("lib".to_owned(), vulnerable.clone())];
    let request = RecordRequest { subjects, ..lab.request(&["/bin/sh", "-c", &script]) };
    let recording = assay_witness::record(&request, &lab.host).unwrap();
    let slot = &recording.capsule.subjects[0];
    assert!(slot.tree.is_some() && recording.capsule.artifact(slot) == slot.tree.map(|tree| tree.digest));
    let replay = |build: Option<&Path>| {
        let substitutions =
            build.map(|build| ("lib".to_owned(), build.to_owned())).into_iter().collect::<BTreeMap<_, _>>();
        let request = ReplayRequest { substitutions, ..ReplayRequest::default() };
        lab.replay_as(&recording, &request)
    };
    assert_eq!(text(&replay(None)), "vulnerablevulnerable");
    assert_eq!(text(&replay(Some(&vulnerable))), "vulnerablevulnerable");
    assert_eq!(text(&replay(Some(&fixed))), " and morefixedfixed");
    let archive = folder.path().join("fixed.tar");
    pack(&fixed, &mut fs::File::create(&archive).unwrap()).unwrap();
    assert_eq!(text(&replay(Some(&archive))), " and morefixedfixed");
    let impostor = replay(Some(Path::new("/bin/true")));
    let unsupported =
        matches!(&impostor.ending, Ending::Unsupported { code, .. } if code == "subject_does_not_fit");
    assert!(unsupported, "{:?}", impostor.ending);
}
